/**
 * Hands the shared server to `MariaServer.makeTest` and `MariaServer.layerTest` in the worker: Vitest fixes its workers'
 * environment before global setups run.
 */
import { inject } from "vitest"

const url = inject("dbpoolMysqlUrl")
if (url !== undefined) {
  process.env.DBPOOL_MYSQL_URL = url
}
