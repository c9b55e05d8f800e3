/**
 * psycopg_pool: the tests of both its pools and of its scheduler, and its bugs.
 */
import { bug, leftOut, row } from "./row.mjs"

const timeouts = "core/parity/psycopgPool: a caller's own timeout goes before the pool's"
const cancelled = "core/proofs/interrupt: loses nothing, whenever it comes"

export default {
  system: "psycopg_pool",
  rows: [
    row("test_pool: test_default_sizes, test_min_size_max_size, test_bad_size", "`minConnections`, `maxConnections`", [
      "core/config: fills in the defaults",
      "core/config: refuses a minimum above the maximum",
      "core/config: has cases of bad input for every option"
    ]),
    row("test_pool: test_generic_connection_type, test_non_generic_connection_type", "`Pool<C>`", [
      "core/layer: a pool of a more special connection is a pool of a more general one"
    ]),
    row("test_pool: test_its_really_a_pool", "reuse", [
      "core/acquire: opens a connection when none is idle, and reuses it afterwards"
    ]),
    row("test_pool: test_connection_not_lost", "an error gives back, too", [
      "core/parity/psycopgPool: gives back the same connection after an error in the block"
    ]),
    row("test_pool: test_concurrent_filling", "`connectConcurrency`", [
      "core/parity/psycopgPool: fills its minimum in the background, a few connects at a time"
    ]),
    row("test_pool: test_wait_ready, test_open_wait, test_open_as_wait", "`awaitReady`, `initialize: \"fill\"`", [
      "core/parity/psycopgPool: waits until its minimum is ready, any number of callers at once",
      "core/initialize: \"fill\" waits for the minimum"
    ]),
    row("test_pool: test_configure", "`setup`", [
      "core/parity/psycopgPool: configures each connection once; one that cannot be configured is never lent"
    ]),
    row("test_pool: test_reset, test_reset_badstate, test_reset_broken", "`reset`", [
      "core/parity/psycopgPool: resets after each return; a reset that fails or leaves something open costs the connection"
    ]),
    row(
      "test_pool: test_intrans_rollback, test_inerror_rollback, test_active_close, test_fail_rollback_close",
      "rolled back, cancelled, or closed",
      [
        "core/parity/psycopgPool: rolls back what is open and keeps the connection; closes what is busy for good, or will not roll back"
      ]
    ),
    leftOut("test_pool: test_del_no_warning", "about Python's garbage collector"),
    row("test_pool: test_closed_putconn", "what comes back is kept open", [
      "core/return: clean is lent again as it is"
    ]),
    row("test_pool: test_grow", "one at a time, earned by waiting", [
      "core/admission: is earned step by step, however often anybody looks",
      "core/parity/psycopgPool: grows one at a time: short work is done by the connections that are there"
    ]),
    row("test_pool: test_shrink", "`idleTimeout`, each connection by itself", [
      "core/parity/psycopgPool: shrinks to its minimum when connections have been idle for too long"
    ]),
    row("test_pool: test_reconnect, test_reconnect_after_grow_failed, test_refill_on_check", "`connectRetry`", [
      "core/parity/psycopgPool: tries to connect again at growing intervals, and refills its minimum after an outage"
    ]),
    row("test_pool: test_reconnect_failure", "a schedule that ends; `events` tell", [
      "core/parity/psycopgPool: gives up when its schedule ends, tells whoever listens, and the next request tries at once",
      "core/events: tell of an outage when it begins and ends, and of every attempt"
    ]),
    row("test_pool: test_uniform_use", "`order: \"fifo\"`", [
      "core/keeping: fifo lends the one that has rested longest"
    ]),
    row("test_pool: test_resize, test_bad_resize", "`resize`", [
      "core/parity/psycopgPool: is resized while it works, and refuses sizes that make no sense"
    ]),
    row("test_pool: test_max_lifetime, test_check_max_lifetime", "`maxLifetime`", [
      "core/lifetime: closes an idle connection",
      "core/lifetime: does not end a lease: the connection is closed when it comes back, if its successor is there"
    ]),
    row("test_pool: test_check, test_check_idle", "`check`", [
      "core/parity/psycopgPool: check replaces what is broken and leaves alone what is not",
      "sql-pg/parity/pythonPools: checks a connection without leaving a transaction open"
    ]),
    row("test_pool: test_connect_no_check", "`validateOn: []`, which is not the default", [
      "core/parity/psycopgPool: without validation serves a connection that died unheard; with it never"
    ]),
    row("test_pool: test_connect_check, test_getconn_check [autocommit]", "`validateOn: [\"acquire\"]`", [
      "core/validation: drops stale connections one after another until one is good",
      "sql-pg/parity/pythonPools: checks a connection without leaving a transaction open"
    ]),
    row(
      "test_pool: test_connect_check_timeout, test_check_backoff, test_check_returns_an_ok_connection",
      "`acquireTimeout`, `validateTimeout`",
      [
        "core/parity/psycopgPool: a check that hangs is bounded by the caller's own deadline, and by its own"
      ]
    ),
    row("test_pool: test_stats_connect, test_stats_check", "`stats`", [
      "core/parity/psycopgPool: has a twin for every gauge and counter of get_stats"
    ]),
    row("test_pool: test_spike", "admission", [
      "core/parity/psycopgPool: grows one at a time: short work is done by the connections that are there"
    ]),
    leftOut("test_pool, test_pool_common: test_debug_deadlock", "about the lock of Python's logging"),
    row("test_pool: test_cancellation_in_queue", "an interrupted waiter leaves nothing", [
      "core/acquire: is left by a waiter that is interrupted, at any place",
      cancelled
    ]),
    row("test_pool: test_cancelled_waiter_assigned_conn_is_reclaimed", "the hand-off is owned, and passed on", [
      "core/acquire: from a waiter that is interrupted after the hand-off: it goes to the next one",
      "core/acquire: into the pool from a waiter that is interrupted after the hand-off when nobody else waits",
      cancelled
    ]),
    row(
      "test_pool: test_override_close, test_close_returns, _custom_class, _no_loop, test_override_close_no_loop_subclass",
      "there is no close: the end of a lease gives back, `invalidate` closes",
      [
        "core/acquire: acquire lends until its scope closes, and no longer",
        "core/invalidate: closes the connection at once, and its place is free"
      ]
    ),
    row(
      "test_pool: test_get_config_rotates_connections, test_get_config_raise_exception",
      "`connect`, and `password`, are effects",
      [
        "core/parity/psycopgPool: evaluates the way to connect for every connection, so that passwords may change",
        "sql-pg/login: is asked for by every connection that is opened, so that it can change",
        "sql-pg/login: that cannot be had is a failed connect that is tried again, and says why"
      ]
    ),

    row("test_pool_common: test_defaults", "other defaults, written down", ["core/config: fills in the defaults"]),
    row("test_pool_common: test_connection_class, test_kwargs, test_context", "`connect`; layers and scopes", [
      "core/layer: is a service, with a layer that opens and closes the pool"
    ]),
    leftOut("test_pool_common: test_create_warning", "a pool here is open from the moment it is made"),
    row(
      "test_pool_common: test_wait_closed, test_closed_getconn, test_open_explicit, test_open_context, test_open_no_op, test_reopen",
      "a pool is open as long as its scope; another scope, another pool",
      [
        "core/parity/psycopgPool: is told to those who wait and those who come; what is in use is closed when it comes back"
      ]
    ),
    row("test_pool_common: test_setup_no_timeout", "`initialize: \"lazy\"`", [
      "core/parity/psycopgPool: works when the database starts later than the program"
    ]),
    row("test_pool_common: test_configure_badstate, test_configure_broken", "a failing `setup` is a failed connect", [
      "core/parity/psycopgPool: configures each connection once; one that cannot be configured is never lent",
      "sql/setup: that leaves a transaction open is a failed connect too"
    ]),
    row(
      "test_pool_common: test_queue, test_queue_size, test_queue_timeout, test_queue_timeout_override",
      "`maxWaiting`, `acquireTimeout`",
      [
        "core/parity/psycopgPool: bounds its queue, and serves it in order",
        timeouts
      ]
    ),
    row("test_pool_common: test_dead_client", "a client that timed out loses no connection", [
      "core/parity/eventlet: does not hand an item to a getter that timed out: it stays free"
    ]),
    row("test_pool_common: test_broken_reconnect", "replaced", [
      "sql-pg/parity/pythonPools: replaces a connection that was killed while it was out"
    ]),
    row("test_pool_common: test_close_no_tasks, test_del_stops_threads", "nothing is left of a closed pool", [
      "core/parity/psycopgPool: leaves no fiber behind, although its maintenance was at work"
    ]),
    row(
      "test_pool_common: test_putconn_no_pool, test_putconn_wrong_pool",
      "cannot be written: a lease is given back by its scope",
      [
        "core/acquire: gives back at once what is acquired into a scope that is closed already"
      ]
    ),
    row("test_pool_common: test_close_connection_on_pool_close, test_closed_queue", "`PoolClosed`", [
      "core/parity/psycopgPool: is told to those who wait and those who come; what is in use is closed when it comes back"
    ]),
    row("test_pool_common: test_jitter", "`lifetimeJitter`, and that of `PoolSchedule`", [
      "core/lifetime: falls at random into the last part of the lifetime, per connection",
      "core/schedule: is off by a quarter at most, at random"
    ]),
    row("test_pool_common: test_stats_measures, test_stats_usage", "`stats`, and `PoolStats.since` for pop_stats", [
      "core/parity/psycopgPool: has a twin for every gauge and counter of get_stats",
      "core/stats: tell what happened since an earlier snapshot, without forgetting anything"
    ]),
    row(
      "test_pool_common: test_check_connection, test_check_init, test_check_timeout",
      "`validate`, `validateTimeout`",
      [
        "core/parity/psycopgPool: a check that hangs is bounded by the caller's own deadline, and by its own",
        "core/validation: also ends a validation that ignores its interruption"
      ]
    ),
    row(
      "test_pool_common: test_cancellation_in_queue, test_cancel_on_check, test_cancel_on_rollback",
      "interruption in every phase",
      [
        cancelled,
        "core/validation: a connection whose waiter has gone meanwhile becomes idle, and does not look used"
      ]
    ),
    row("test_pool_common: test_drain", "`drain`", [
      "core/control: replaces every connection, each after its successor is there",
      "sql-pg/parity/pythonPools: drain replaces every old connection, those in use when they come back"
    ]),

    row("test_pool_null: test_default_sizes, test_min_size_max_size, test_bad_size, test_bad_resize", "`maxIdle: 0`", [
      "core/parity/psycopgPool: refuses a minimum, and bad sizes"
    ]),
    row("test_pool_null: test_its_no_pool_at_all, test_closed_putconn", "a connection for each use", [
      "core/parity/psycopgPool: opens a connection for each use and keeps none"
    ]),
    row("test_pool_null: test_wait_ready, test_check", "`awaitReady`, `check`", [
      "core/parity/psycopgPool: is ready when it has had one connection, and has nothing to check"
    ]),
    row("test_pool_null: test_configure", "`setup`", [
      "core/setup: prepares every new connection before anybody gets it, and no connection twice"
    ]),
    row(
      "test_pool_null: test_reset, test_reset_badstate, test_reset_broken, test_intrans_rollback, test_inerror_rollback, test_active_close, test_fail_rollback_close",
      "handed on clean, or replaced",
      [
        "core/parity/psycopgPool: cleans a connection and hands it to whoever waits; one that cannot be cleaned is replaced"
      ]
    ),
    row("test_pool_null: test_no_queue_timeout", "`acquireTimeout`", [
      "core/parity/psycopgPool: answers in time when the server does not"
    ]),
    row("test_pool_null: test_max_lifetime", "`maxLifetime`", [
      "core/parity/psycopgPool: does not hand on a connection that is too old"
    ]),
    row("test_pool_null: test_stats_connect, test_cancellation_in_queue, test_close_returns", "as every pool", [
      "core/keeping: of zero keeps nothing, and hands on to those who wait",
      cancelled
    ]),
    row("test_pool_null: generic type tests", "`Pool<C>`", [
      "core/layer: a pool of a more special connection is a pool of a more general one"
    ]),

    row(
      "test_sched: test_sched, test_sched_task, test_empty_queue_timeout, test_first_task_rescheduling",
      "one alarm for what is due next",
      [
        "core/timeout: per call, per region and of the pool expire each in its time, shorter and longer mixed",
        "core/idle: closes a connection that nobody has used for so long, each in its own time"
      ]
    ),
    row("test_sched: test_sched_error", "what dies takes nothing else along", [
      "core/rounds: that dies is told to the log, and takes nothing else along"
    ]),
    leftOut(
      "test_pool_async_noasyncio: test_reconnect_after_max_lifetime, test_working_created_before_loop, test_cant_create_open_outside_loop",
      "about asyncio's event loop"
    ),
    leftOut("test_module", "about Python's packaging"),

    bug(
      "#584, #849, #1018, #482, #381, #472, #1029: lifetime and idle time are not kept",
      "checked on borrow, on return and by the clock",
      [
        "core/parity/psycopgPool: lifetime and idle time are kept while nobody borrows, and looked at on every checkout",
        "core/lifetime: never lends it again: neither to a waiter nor to the next caller"
      ]
    ),
    bug("#709: pauses between stale candidates, up to the timeout", "the next one at once", [
      "core/parity/psycopgPool: four stale connections cost the first client no seconds: the next is tried at once"
    ]),
    bug("#1401: the check swallows a cancel", "interruption is kept", [
      "core/timeout: gives back what it interrupts",
      cancelled
    ]),
    bug("#1123, #1208, #1275, #503, #509: connections are lost by cancels", "swept at every operation", [
      cancelled,
      "core/proofs/interrupt: loses nothing when it is interrupted, while the session ends too"
    ]),
    bug("#370, #438, #395, #1176, #1315: not refilled, or stuck, after an outage", "the pump runs after every event", [
      "core/parity/psycopgPool: tries to connect again at growing intervals, and refills its minimum after an outage",
      "core/scenarios: is sat out: nobody gets an error but those whose statement was cut off"
    ]),
    bug("#247, #656, #701, #731: disconnections, failovers and proxies", "told by the socket, validated, drained", [
      "core/lost: while idle is closed and never lent",
      "core/admission: is not believed after a failure: the connection must be valid, too",
      "core/scenarios: and drops every connection at its first use costs a statement an attempt, and is not stormed"
    ]),
    bug("#851, #438: credentials that change", "evaluated for every connection", [
      "sql-pg/login: is asked for by every connection that is opened, so that it can change"
    ]),
    bug("#1046, #1124: close() does not give back", "scopes do", [
      "core/acquire: acquire lends until its scope closes, and no longer"
    ]),
    bug("#1215: no drain before 3.3", "`drain`", [
      "core/control: spreads it over a time"
    ]),
    bug("#930, #954: the interpreter ends slowly because of worker threads", "no threads; `shutdownTimeout`", [
      "core/parity/psycopgPool: closing waits for those who hold connections, and then for nobody"
    ]),
    bug("[source] NullConnectionPool connects under its lock", "side by side", [
      "core/parity/psycopgPool: better: connects side by side, and a slow connect keeps nobody from giving back"
    ]),
    bug("[source] NullConnectionPool ignores reconnect_failed", "one engine: the same options everywhere", [
      "core/parity/psycopgPool: answers in time when the server does not"
    ]),
    bug("[source] timeout=0 never succeeds", "it takes what is there", [
      "core/parity/psycopgPool: a timeout of zero takes what is there"
    ]),
    bug("[source] two waits at once hit an assertion", "any number may wait", [
      "core/parity/psycopgPool: waits until its minimum is ready, any number of callers at once"
    ]),
    bug("[source] a timeout hides the last connect error and is not always counted", "`lastConnectError`, `refused`", [
      "core/parity/psycopgPool: a timeout tells the last error of connecting, and is counted"
    ])
  ]
}
