/** Every promise of the contract that Avatica can keep. */
import { dialectContract } from "@dbpool/testing/DialectContract"
import * as Dialect from "./contract/dialect.js"

dialectContract(Dialect.plain())
dialectContract(Dialect.lindorm())
