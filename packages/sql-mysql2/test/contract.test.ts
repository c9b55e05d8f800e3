/** Every promise of the contract, on MariaDB. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.make({ name: "MariaDB", product: "MariaDB" }))
