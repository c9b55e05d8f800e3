/** Every promise of the contract, on MySQL 8. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.make({ name: "MySQL 8", product: "MySQL" }))
