/** Every promise of the contract, on the oldest PostgreSQL that we look at. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.make({ name: "PostgreSQL 15", server: { version: "15" } }))
