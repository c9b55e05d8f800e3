/**
 * eventlet's pools and db_pool: their tests, and their bugs.
 */
import { bug, row } from "./row.mjs"

export default {
  system: "eventlet",
  rows: [
    row("db_pool_test: test_connecting, test_create_cursor, test_run_query, test_run_bad_query", "`SqlClient`, `use`", [
      "sql-pg/parity/pythonPools: runs a query; one that fails leaves the connection usable"
    ]),
    row("db_pool_test: test_put_none", "`lease.invalidate` frees the slot", [
      "core/parity/eventlet: wakes the waiter when a connection comes back dead: its place is free"
    ]),
    row("db_pool_test: test_close_does_a_put", "the end of a lease; its handle is dead then", [
      "sql/lease: that has ended sends nothing more: LeaseReleased"
    ]),
    row("db_pool_test: test_put_doesnt_double_wrap", "each lease has a handle of its own", [
      "sql/lease: hands a statement that was queued behind its end to nobody"
    ]),
    row("db_pool_test: test_bool", "`lease.condition`", [
      "core/parity/eventlet: a handle knows when its connection is no longer its own"
    ]),
    row("db_pool_test: test_returns_immediately", "fibers", [
      "sql-pg/parity/pythonPools: a slow query keeps no other fiber from running"
    ]),
    row("db_pool_test: test_connection_is_clean_after_put", "`reset`", [
      "sql-pg/parity/pythonPools: gives back a connection that is clean: what was not committed is not there"
    ]),
    row("db_pool_test: test_visibility_from_other_connections", "committed is committed", [
      "sql-pg/parity/pythonPools: shows what was committed to other connections"
    ]),
    row("db_pool_test: test_clear, test_clear_warmup", "`evictIdle`", [
      "core/parity/eventlet: clear closes all that is idle, the minimum included, and keeps count"
    ]),
    row(
      "db_pool_test: test_unwrap_connection, test_safe_close",
      "closing never fails; what does not close is destroyed",
      [
        "core/parity/eventlet: a failing close frees the slot all the same",
        "core/return: a close that takes longer is destroyed, and its slot is free"
      ]
    ),
    row("db_pool_test: test_zero_max_idle, test_zero_max_age", "`maxIdle: 0`; `maxLifetime`", [
      "core/parity/eventlet: closes on return with max_idle 0, and with the shortest max_age as soon as it has passed"
    ]),
    row("db_pool_test: test_waiters_get_woken", "a place that becomes free serves who waits", [
      "core/parity/eventlet: wakes the waiter when a connection comes back dead: its place is free"
    ]),
    row("db_pool_test: test_raising_create", "a failed connect loses no slot", [
      "core/parity/eventlet: keeps its count of free items when creating one fails"
    ]),
    row("db_pool_test: test_raw_pool_issue_125", "`minConnections`", [
      "core/parity/eventlet: connections opened in advance can be taken and given back like others"
    ]),
    row("db_pool_test: test_raw_pool_custom_cleanup_ok, _arg_error, _fatal", "`reset` by an effect; a `PoolReset`", [
      "core/parity/eventlet: runs the cleanup on every return; one that fails costs the connection, and nobody else notices",
      "core/return: is closed when its reset or cancel fails, dies, or leaves it as it was"
    ]),
    row("db_pool_test: test_raw_pool_clear_update_current_size", "`evictIdle` keeps count", [
      "core/parity/eventlet: clear closes all that is idle, the minimum included, and keeps count"
    ]),
    row(
      "db_pool_test: test_cursor_works_as_context_manager, test_set_isolation_level",
      "streams; `transaction({ isolation })`",
      [
        "sql-pg/stream: holds its connection until it ends, and no longer",
        "sql-pg/parity/pythonPools: sets an isolation level for a transaction"
      ]
    ),
    row("DatabaseConnector: get(host, dbname), credentials_for, default", "`PoolMap` with settings for each key", [
      "core/parity/eventlet: has a pool for every host and database, with the credentials of the host",
      "core/parity/eventlet: takes the default for a host that it does not know",
      "sql-pg/parity/pythonPools: DatabaseConnector: a pool for every database of a host, under one maximum for the server"
    ]),

    row("pools_test: test_integers, TestIntPool2.test_something", "opened when wanted; `minConnections`", [
      "core/parity/eventlet: creates items when they are wanted, up to max_size",
      "core/parity/eventlet: connections opened in advance can be taken and given back like others"
    ]),
    row("pools_test: test_free", "`stats`", [
      "core/parity/eventlet: says how many are free: those that are idle and those that may still be opened"
    ]),
    row("pools_test: test_exhaustion, test_blocks_on_pool", "who waits gets what comes back", [
      "core/parity/eventlet: has the fifth caller of four wait, and says that one waits"
    ]),
    row("pools_test: test_ordering, TestOrderAsStack.test_ordering", "`order`", [
      "core/parity/eventlet: lends oldest first or newest first"
    ]),
    row("pools_test: test_putting_to_queue", "giving back never waits", [
      "core/parity/eventlet: takes many back at once without anybody waiting for anybody"
    ]),
    row("pools_test: test_resize", "`resize`", [
      "core/control: lets more callers in at once",
      "core/control: to fewer closes what is idle at once, and the rest when it comes back, without handing it on"
    ]),
    row("pools_test: test_create_contention", "no more than `maxConnections` are opened", [
      "core/parity/eventlet: serves a hundred users with no more items than it may have"
    ]),
    row("pools_test: test_put_with_timed_out_getters", "a waiter that has gone gets nothing", [
      "core/parity/eventlet: does not hand an item to a getter that timed out: it stays free"
    ]),
    row("pools_test: TestAbstract, TestCreateRaises", "`connect` is required by the types; its failure loses nothing", [
      "core/parity/eventlet: keeps its count of free items when creating one fails"
    ]),

    bug("PR #527: a timeout during connect loses the slot for ever", "connecting belongs to the pool", [
      "core/parity/eventlet: a caller that gives up while its connection is opened loses no slot"
    ]),
    bug("PR #113: waiters are not woken when creating fails", "each gets a connection or the cause", [
      "core/parity/eventlet: a failed connect wakes all who wait for it: each gets a connection, or the cause"
    ]),
    bug("#139: clear() did not keep count", "counted where states change", [
      "core/parity/eventlet: clear closes all that is idle, the minimum included, and keeps count"
    ]),
    bug("#389: autocommit is proxied as a method", "nothing is proxied; transactions are scopes", [
      "sql-pg/parity/pythonPools: a lease commits each statement by itself, or all together at its end"
    ]),
    bug("#193: hangs together with a socket timeout", "every wait has a deadline", [
      "core/timeout: is absolute: it spans queueing, a failed validation and connecting"
    ]),
    bug("[source] no acquire timeout", "`acquireTimeout`", [
      "core/timeout: ends the wait in a full pool, with what the pool was doing then"
    ]),
    bug("[source] resize drops connections without closing them", "they are closed", [
      "core/parity/eventlet: a smaller pool closes what it has too many of"
    ]),
    bug("[source] a double put lets the pool grow", "a lease ends once", [
      "core/parity/eventlet: giving back twice does not let the pool grow beyond its maximum"
    ]),
    bug("[source] nothing is checked on checkout", "`validateOn: [\"acquire\"]` is the default", [
      "core/validation: is asked after validateAfterIdle, and not before"
    ]),
    bug("[source] a forgotten connection is lost", "scopes give back; `leakDetectionThreshold` tells who holds", [
      "core/leak: reports a lease that lasts longer, once, with who took it, where, and how long ago"
    ]),
    bug(
      "[source] DatabaseConnector never evicts, and fails oddly for an unknown host",
      "idle pools are closed; `UnknownPool`",
      [
        "core/parity/eventlet: better: closes the pools that nobody uses any more",
        "core/parity/eventlet: better: without a default fails for an unknown host with an error that names it"
      ]
    ),
    bug(
      "SQLAlchemy #8974, #8965: a Timeout that races with get loses the connection",
      "a hand-off is owned from its moment on",
      [
        "core/acquire: from a waiter that is interrupted after the hand-off: it goes to the next one"
      ]
    )
  ]
}
