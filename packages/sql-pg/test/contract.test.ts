/** Every promise of the contract, on PostgreSQL. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.make({ name: "PostgreSQL 18", server: { version: "18" } }))
