/**
 * psycopg2.pool, which has no tests: what it does, and its bugs.
 */
import { bug, leftOut, row } from "./row.mjs"

export default {
  system: "psycopg2.pool",
  rows: [
    row("minconn, maxconn", "`minConnections`, `maxConnections`, `whenExhausted: \"fail\"`", [
      "core/parity/psycopg2: opens minconn at the start, and fails at once when maxconn are taken"
    ]),
    row("getconn()", "`acquire`, `use`; newest first", [
      "core/parity/psycopg2: lends the connection that came back last"
    ]),
    row("getconn(key)", "`KeyedPool`", [
      "core/parity/psycopg2: gives a key the same connection while it is held"
    ]),
    row("key 0 (#848)", "any key", ["core/keyedPool: may be 0 or empty"]),
    row("putconn(conn)", "the end of the lease: rolled back, or closed when broken", [
      "core/parity/psycopg2: on return rolls back what is open, and closes what is broken"
    ]),
    row("putconn(conn, close=True)", "`lease.invalidate`", [
      "core/parity/psycopg2: putconn with close closes the connection instead of keeping it"
    ]),
    row("putconn of an unknown or foreign connection", "cannot be written: a lease is given back by its scope", [
      "core/acquire: acquire lends until its scope closes, and no longer"
    ]),
    row("closeall()", "the scope, with `shutdownTimeout: 0`", [
      "core/parity/psycopg2: closeall closes what is idle and what is in use, and then refuses everybody"
    ]),
    row("autocommit, or commit and rollback, per lease", "a statement by itself, or `withTransaction`", [
      "sql-pg/parity/pythonPools: a lease commits each statement by itself, or all together at its end"
    ]),
    row("cursor_factory=RealDictCursor, or tuples", "`query`, `values`", [
      "sql-pg/parity/pythonPools: gives rows as objects or as arrays",
      "sql/parity/steadyDb: gives rows as objects or as arrays, with autocommit or in a transaction, per lease"
    ]),
    row("keepalives, keepalives_idle, connect_timeout", "`keepAlive`, `keepAliveInitialDelay`, `connectTimeout`", [
      "sql-pg/login: is noticed by the system's probes, unless they are turned off",
      "sql-pg/connect: gives up on a server that never answers, and leaves no socket"
    ]),
    row("a pool that is built when it is first wanted", "`initialize: \"lazy\"`", [
      "core/layer: builds without the server when it is lazy"
    ]),
    leftOut("SimpleConnectionPool beside ThreadedConnectionPool", "one pool serves any number of fibers"),

    bug("#563, PR #1622: keeps only minconn idle", "`maxIdle`, by default all", [
      "core/parity/psycopg2: the minimum does not bound what is kept idle"
    ]),
    bug("#1220: no waiting with a timeout", "`acquireTimeout`", [
      "core/parity/psycopg2: waits for a connection, up to a deadline, where one wants to"
    ]),
    bug("#778, PR #367: `with` does not give back", "`use` and scopes do", [
      "core/acquire: from a borrower that fails, dies, or throws before there is an effect"
    ]),
    bug("#62, #1576, #369: bad connections are handed out, no reconnect", "validated, replaced", [
      "core/parity/psycopg2: an idle connection that the server closed is not handed out"
    ]),
    bug("#974, #565: no idle timeout, no liveness, no refill", "housekeeping", [
      "core/parity/psycopg2: lifetime, idle time and liveness are looked after without anybody asking"
    ]),
    bug("#261, #1022: state leaks to the next user", "`reset: \"session\"`", [
      "sql-pg/parity/pythonPools: better: settings of one user do not reach the next, where the pool is told so"
    ]),
    bug("[measured] a rollback that raises loses the slot for ever", "the connection is closed", [
      "core/parity/psycopg2: a rollback that fails costs the connection and never its place"
    ]),
    bug("[measured] a key that was taken twice cannot be put twice", "holders are counted", [
      "core/parity/psycopg2: a key that was taken twice goes back twice, and the connection with the second"
    ]),
    bug("[measured] minconn above maxconn is accepted", "`InvalidPoolConfig`", [
      "core/config: refuses a minimum above the maximum"
    ]),
    leftOut("#569: documentation", "about its documentation")
  ]
}
