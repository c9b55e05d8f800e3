/**
 * Every suite, in the order in which they run.
 */
import type { Suite } from "../Suite.js"
import { burst } from "./burst.js"
import { core } from "./core.js"
import { growth } from "./growth.js"
import { memory } from "./memory.js"
import { mysql } from "./mysql.js"
import { outage } from "./outage.js"
import { pg } from "./pg.js"

export const suites: ReadonlyArray<Suite> = [core, pg, mysql, burst, outage, memory, growth]
