/** `pnpm contract mysql2`, that is MariaDB, `mysql2-8`, and the official client as `mysql2-peer`, `mysql2-8-peer`. */
import * as ContractCommand from "@dbpool/testing/ContractCommand"
import * as Dialect from "./dialect.js"
import * as Peer from "./peer.js"

ContractCommand.main({
  "mysql2": { dialect: () => Dialect.make({ name: "MariaDB", product: "MariaDB" }) },
  "mysql2-8": { dialect: () => Dialect.make({ name: "MySQL 8", product: "MySQL" }) },
  "mysql2-peer": { dialect: () => Peer.make("MariaDB"), isPeer: true },
  "mysql2-8-peer": { dialect: () => Peer.make("MySQL"), isPeer: true }
})
