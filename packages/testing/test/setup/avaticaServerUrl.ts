/**
 * Hands the shared server to `AvaticaServer.makeTest` and `AvaticaServer.layerTest` in the worker: Vitest fixes its
 * workers' environment before global setups run.
 */
import { inject } from "vitest"

const url = inject("dbpoolAvaticaUrl")
if (url !== undefined) {
  process.env.DBPOOL_AVATICA_URL = url
}
