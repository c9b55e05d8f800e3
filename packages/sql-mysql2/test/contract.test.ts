/** Every promise of the contract, on MariaDB, and on the MySQL 8 at `DBPOOL_MYSQL8_URL` if there is one. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.make({ name: "MariaDB", server: Dialect.ownServer }))

const mysql8 = process.env.DBPOOL_MYSQL8_URL
if (mysql8 !== undefined && mysql8 !== "") {
  dialectContract(Dialect.make({
    name: "MySQL 8",
    server: MariaServer.fromUrl(mysql8),
    capabilities: { restart: "the server is not ours to kill" }
  }))
}
