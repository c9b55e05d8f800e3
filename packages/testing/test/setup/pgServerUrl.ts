/**
 * Hands the shared server to `PgServer.makeTest` and `PgServer.layerTest` in the worker: Vitest fixes its workers'
 * environment before global setups run.
 */
import { inject } from "vitest"

const url = inject("dbpoolPgUrl")
if (url !== undefined) {
  process.env.DBPOOL_PG_URL = url
}
