/** `pnpm contract pg`, `pg-15`, and the official client as `pg-peer`. */
import * as ContractCommand from "@dbpool/testing/ContractCommand"
import * as Dialect from "./dialect.js"
import * as Peer from "./peer.js"

const version = (version: string) => () => Dialect.make({ name: `PostgreSQL ${version}`, server: { version } })

ContractCommand.main({
  "pg": { dialect: version("18") },
  "pg-15": { dialect: version("15") },
  "pg-peer": { dialect: () => Peer.make("18"), isPeer: true }
})
