/**
 * DBUtils 3.1: its tests, and its bugs.
 */
import { bug, leftOut, row } from "./row.mjs"

const pythonOnly = "about Python's packaging or its mocks, not about pools"

export default {
  system: "DBUtils",
  rows: [
    leftOut("test_pooled_db: test_version", pythonOnly),
    row("test_pooled_db: test_create_connection", "`minConnections`; `stats` says what is idle and what is leased", [
      "core/parity/pooledDb: opens mincached connections at once, and a lease moves one from idle to in use and back",
      "sql/setup: runs its statements once on every physical connection, before anybody gets it"
    ]),
    row("test_pooled_db: test_close_connection", "a lease ends once; its handle is dead then (`LeaseReleased`)", [
      "core/parity/pooledDb: gives the same connection again after close, and a second close gives nothing back twice",
      "sql/lease: that has ended sends nothing more: LeaseReleased"
    ]),
    row("test_pooled_db: test_close_all", "the pool ends with its scope: idle ones first, then leases", [
      "core/shutdown: closes what is idle, and leaves neither a connection nor a fiber nor a timer",
      "core/shutdown: waits for leases, and no longer than for the last of them"
    ]),
    row("test_pooled_db: test_min_max_cached", "`minConnections`, `maxIdle`", [
      "core/parity/pooledDb: grows on demand beyond mincached, and keeps no more than maxcached of what comes back"
    ]),
    row("test_pooled_db: test_equally_shared (dedicated connections)", "`order: \"fifo\"` takes them in turn", [
      "core/parity/pooledDb: in fifo order uses all connections equally: 15 uses of 5 are 3 each"
    ]),
    row("test_pooled_db: test_rollback", "`reset: \"rollback-if-needed\"`", [
      "sql/parity/steadyDb: uncommitted work is gone when it is returned, and committed work stays"
    ]),
    row("test_pooled_db: test_maxconnections", "`maxConnections`, and `whenExhausted` for `blocking`", [
      "core/parity/pooledDb: without blocking tells at once that all maxconnections are taken, until one comes back",
      "core/parity/pooledDb: with blocking waits, and gets the very connection that comes back"
    ]),
    row("test_pooled_db: test_maxusage [0, 3, 7]", "`maxUses` counts leases, `maxStatements` statements", [
      "core/parity/pooledDb: recycles after maxusage leases, exactly, and never when there is no such limit",
      "sql/maxStatements: replaces a connection that has run so many statements"
    ]),
    row("test_pooled_db: test_setsession", "`setup`; what users set stays until the connection is replaced", [
      "sql/parity/steadyDb: runs its session commands after every connect, whatever was the reason for it",
      "sql/parity/steadyDb: what a user sets stays with the connection until it is replaced"
    ]),
    row("test_pooled_db: test_one_thread_two_connections", "two leases are two connections", [
      "core/parity/pooledDb: gives one fiber two different connections for two leases, and again the one it gave back"
    ]),
    row("test_pooled_db: test_three_threads_two_connections", "the third waits, and gets the one that comes back", [
      "core/parity/pooledDb: with blocking waits, and gets the very connection that comes back",
      "core/parity/pooledDb: has a third fiber wait for one of two connections, and all three are served"
    ]),
    row("test_pooled_db: test_ping_check", "`validateOn`: a dead connection is replaced before it is lent", [
      "core/parity/pooledDb: replaces a connection that died while idle before anybody gets it",
      "sql/parity/steadyDb: 7 is validateOn: [acquire, transaction, statement]"
    ]),
    row("test_pooled_db: test_failed_transaction", "replaced outside transactions, told inside", [
      "sql/parity/steadyDb: outside a transaction a dead connection is replaced; inside one the error is told, once"
    ]),
    row("test_pooled_db: test_reset_transaction", "`reset`: `rollback-if-needed`, `always-rollback`", [
      "sql/parity/steadyDb: on return rolls back what was begun, always, or forgets the whole session, as reset says"
    ]),
    row("test_pooled_db: test_context_manager", "`use`; a stream ends its cursor", [
      "sql/lease: of `acquire` and `reserve` lasts until the scope closes, of `use` until the effect ends",
      "sql/lease: streams, and lets the next statement in when the stream has ended or was abandoned"
    ]),

    leftOut("test_steady_db: test_version, test_mocked_connection", pythonOnly),
    row(
      "test_steady_db: test_broken_connection",
      "a connect that fails is `ConnectFailed`; wrong options `InvalidPoolConfig`",
      [
        "sql/parity/steadyDb: closes once, and a pool whose server cannot be reached says why",
        "sql/config: that are wrong make the pool fail with InvalidPoolConfig, which names them, before anything is opened"
      ]
    ),
    row("test_steady_db: test_close [closeable]", "`FiberPool`: the end of a use is no close, `release` is", [
      "sql/parity/steadyDb: close is ignored where a fiber keeps its connection, but rolls back what is open",
      "core/parity/persistentDb: ignores close between two uses, unless it is asked for"
    ]),
    row("test_steady_db: test_connection", "what died while nobody used it is replaced, and nobody notices", [
      "sql/parity/steadyDb: is opened again when it has died while nobody used it, and nobody notices"
    ]),
    row("test_steady_db: test_connection_context_handler", "`withTransaction`", [
      "sql/parity/steadyDb: commits on success and rolls back on error, as `with` does"
    ]),
    row("test_steady_db: test_cursor_context_handler", "a stream ends with its scope", [
      "sql/parity/steadyDb: is read row by row, and ends its cursor with the block"
    ]),
    row("test_steady_db: test_cursor_as_iterator_provided, test_cursor_as_iterator_created", "`Stream` of rows", [
      "sql/parity/steadyDb: is read row by row, and ends its cursor with the block"
    ]),
    row("test_steady_db: test_connection_creator_function", "`connect` is an effect, run for every connection", [
      "core/parity/psycopgPool: evaluates the way to connect for every connection, so that passwords may change"
    ]),
    row("test_steady_db: test_connection_maxusage", "`maxStatements`, between leases only", [
      "sql/parity/steadyDb: counts statements up to maxusage, is not replaced in a transaction, and is right after it"
    ]),
    row("test_steady_db: test_connection_setsession", "`setup` on every connect", [
      "sql/parity/steadyDb: runs its session commands after every connect, whatever was the reason for it"
    ]),
    row("test_steady_db: test_connection_failures", "the driver says which errors are the connection's", [
      "sql/parity/steadyDb: only the errors of the connection mend it; those of the server reach the caller and leave it alone"
    ]),
    row("test_steady_db: test_connection_failure_error", "the second answer is told as it is", [
      "sql/parity/steadyDb: after a reconnect an error of the server is told as it is"
    ]),
    row("test_steady_db: test_connection_set_sizes", "a repeated statement is the same statement", [
      "sql/parity/steadyDb: sends a repeated statement with the parameters and options it had"
    ]),
    row(
      "test_steady_db: test_connection_ping_check",
      "`validateOn`: 0 `[]`, 1 `acquire`, 2 `transaction`, 4 `statement`",
      [
        "sql/parity/steadyDb: 0 is validateOn: []",
        "sql/parity/steadyDb: 1 is validateOn: [acquire]",
        "sql/parity/steadyDb: 2 is validateOn: [transaction]",
        "sql/parity/steadyDb: 4 is validateOn: [statement]",
        "sql/parity/steadyDb: 7 is validateOn: [acquire, transaction, statement]"
      ]
    ),
    row("test_steady_db: test_begin_transaction", "no repeats inside a transaction; an error undoes it", [
      "sql/parity/steadyDb: outside a transaction a dead connection is replaced; inside one the error is told, once",
      "sql/parity/steadyDb: an error of the server inside a transaction is told, and undoes it"
    ]),
    row(
      "test_steady_db: test_with_begin_extension, test_with_cancel_extension",
      "options of `transaction`; the driver's `cancel`",
      [
        "sql/parity/steadyDb: begins with what the driver can be told",
        "sql/parity/steadyDb: cancelling a transaction ends it: everything is undone, and the connection goes on"
      ]
    ),
    row("test_steady_db: test_cancel_transaction", "interrupting rolls back", [
      "sql/parity/steadyDb: cancelling a transaction ends it: everything is undone, and the connection goes on"
    ]),
    row("test_steady_db: test_reset_transaction", "the end of a use rolls back what it left open", [
      "sql/parity/steadyDb: close is ignored where a fiber keeps its connection, but rolls back what is open"
    ]),
    row("test_steady_db: test_commit_error, test_rollback_error", "told; the next transaction has another connection", [
      "sql/parity/steadyDb: is replaced when its commit or rollback fails: the error is told, and the next transaction works"
    ]),

    leftOut("test_persistent_db: test_version", pythonOnly),
    leftOut(
      "test_persistent_db: test_no_threadsafety",
      "every driver here can be used by any number of fibers: each connection has one holder"
    ),
    row(
      "test_persistent_db, test_persistent_pg: test_close [closeable]",
      "`FiberPool.use` keeps, `release` gives back",
      [
        "core/parity/persistentDb: ignores close between two uses, unless it is asked for",
        "core/parity/persistentDb: rolls back at close what was begun and not ended"
      ]
    ),
    row("test_persistent_db: test_connection", "one fiber, one connection", [
      "core/parity/persistentDb: gives a thread the same connection every time"
    ]),
    row("test_persistent_db, test_persistent_pg: test_threads", "each fiber has its own", [
      "core/parity/persistentDb: gives each thread its own connection, and losing one renews only that one",
      "core/parity/persistentDb: has as many connections as threads, without a cap, and gives each back when its thread ends"
    ]),
    row("test_persistent_db: test_maxusage", "`maxUses` and `maxStatements`, when the fiber gives back", [
      "core/parity/persistentDb: recycles after maxusage when the thread gives its connection back"
    ]),
    row("test_persistent_db: test_setsession", "`setup`", [
      "core/parity/persistentDb: runs the session commands once per connection, not per use"
    ]),
    row(
      "test_persistent_db: test_ping_check, test_failed_transaction",
      "a fiber whose connection has died gets another",
      [
        "core/fiberPool: gets another connection when its own has died"
      ]
    ),
    row("test_persistent_db: test_context_manager", "`use`", [
      "core/fiberPool: uses the same connection in a use within a use"
    ]),
    row("test_persistent_db: test_threadlocal", "kept by fiber (`FiberPool`), or by any key (`KeyedPool`)", [
      "core/keyedPool: gets the same connection while it is held, and another key another one"
    ]),
    leftOut(
      "test_threading_local: test_getattr, test_dict, test_threadlocal, test_subclass",
      "about Python's `threading.local`"
    ),

    row("test_simple_pooled_db: test_create_connection, test_close_connection, test_two_connections", "as PooledDB", [
      "core/parity/pooledDb: opens all its connections at the start",
      "core/parity/pooledDb: gives the same connection again after close, and a second close gives nothing back twice",
      "core/parity/pooledDb: gives one fiber two different connections for two leases, and again the one it gave back"
    ]),
    row("test_simple_pooled_db: test_threadsafety_1; test_simple_pooled_pg: test_threads", "the third waits", [
      "core/parity/pooledDb: has a third fiber wait for one of two connections, and all three are served"
    ]),
    row(
      "test_pooled_pg: test_create_connection, test_close_connection, test_min_max_cached, test_max_connections, test_one_thread_two_connections, test_three_threads_two_connections, test_context_manager",
      "as PooledDB",
      [
        "core/parity/pooledDb: opens mincached connections at once, and a lease moves one from idle to in use and back",
        "core/parity/pooledDb: gives the same connection again after close, and a second close gives nothing back twice",
        "core/parity/pooledDb: grows on demand beyond mincached, and keeps no more than maxcached of what comes back",
        "core/parity/pooledDb: without blocking tells at once that all maxconnections are taken, until one comes back"
      ]
    ),
    row("test_pooled_pg: test_reset_transaction", "`rollback-if-needed`, `always-rollback`, `session`", [
      "sql/parity/steadyDb: on return rolls back what was begun, always, or forgets the whole session, as reset says",
      "sql-pg/sessionReset: \"session\" forgets settings, temporary tables, locks, LISTEN, prepared statements and cursors"
    ]),
    leftOut("test_steady_pg: test_mocked_connection", pythonOnly),
    row(
      "test_steady_pg: test_broken_connection, test_close, test_connection, test_connection_maxusage, test_connection_setsession",
      "as SteadyDB",
      [
        "sql/parity/steadyDb: is opened again when it has died while nobody used it, and nobody notices",
        "sql/parity/steadyDb: counts statements up to maxusage, is not replaced in a transaction, and is right after it",
        "sql/parity/steadyDb: runs its session commands after every connect, whatever was the reason for it"
      ]
    ),
    row("test_steady_pg: test_connection_context_handler", "`withTransaction`", [
      "sql/parity/steadyDb: commits on success and rolls back on error, as `with` does"
    ]),
    row("test_steady_pg: test_begin, test_end [closeable]", "`transaction`; raw BEGIN and COMMIT in a lease", [
      "sql/lease: rolls back what its user began by hand and left open",
      "sql/parity/steadyDb: outside a transaction a dead connection is replaced; inside one the error is told, once"
    ]),

    row(
      "test_pooled_db: test_no_threadsafety, test_threadsafety [1, 2, 3]",
      "`sharing` is an option only where the driver can",
      [
        "sql-pg/sharing: is refused by name when it is wrong, or behind a transaction pooler"
      ]
    ),
    row(
      "test_pooled_db: test_shareable_connection, test_shared_db_connection_create, _share_and_unshare",
      "`share`, `SharingPool`",
      [
        "core/parity/sharedConnections: are idle again when the last share has ended, and then may be had alone",
        "core/parity/sharedConnections: are none where nobody asked for it: each lease has a connection of its own"
      ]
    ),
    row("test_pooled_db: test_max_shared", "`sharing: { maxLeases }`", [
      "core/parity/sharedConnections: are shared by ten requests where there may be one",
      "core/parity/sharedConnections: are none where nobody asked for it: each lease has a connection of its own"
    ]),
    row(
      "test_pooled_db: test_sort_shared, test_shared_db_connection_compare",
      "the fewest first, and never one in a transaction",
      [
        "core/parity/sharedConnections: are never one that somebody has alone, as for a transaction; after it they may be",
        "core/sharing: a free one first, then the one that the fewest share"
      ]
    ),
    row("test_pooled_db: test_equally_shared (shares)", "the fewest first", [
      "core/parity/sharedConnections: go to the connection that the fewest share: 35 shares of 5 are 7 each"
    ]),
    row("test_pooled_db: test_many_shared", "counted by who has begun and not ended", [
      "core/parity/sharedConnections: stay balanced after releases and new requests at random"
    ]),
    row("test_pooled_db: test_shared_in_transaction", "`TooManyConnections`, or waits", [
      "core/parity/sharedConnections: fail for who would not wait when all connections are in transactions",
      "sql/sharing: transactions, streams, leases, reserved connections and sessions are alone"
    ]),
    row(
      "test_simple_pooled_db: test_threadsafety_2 [2, 3]; test_no_threadsafety [None, -1, 0, 4]",
      "the fewest first",
      [
        "core/parity/sharedConnections: serve a hundred users of two connections with fifty each"
      ]
    ),
    bug(
      "[measured] begin() on a shared connection leaks to its other holders",
      "a transaction has its connection alone",
      [
        "sql/sharing: transactions, streams, leases, reserved connections and sessions are alone",
        "sql/sharing: inside a transaction of the same pool run in it"
      ]
    ),

    bug(
      "[measured] execute is run up to three times, after a deadlock too; #52",
      "once; again only if it was surely not executed",
      [
        "sql/parity/steadyDb: a statement is executed once, whatever the server says of it: no blind repeats",
        "sql/parity/steadyDb: a statement that was surely not executed is sent again, but not for ever"
      ]
    ),
    bug(
      "[measured] implicit transactions are not protected; after an error the next statement runs outside",
      "a scope on one connection",
      [
        "sql/parity/steadyDb: after a lost connection no later statement of a transaction runs elsewhere",
        "sql/parity/steadyDb: two statements of one lease never land on two connections"
      ]
    ),
    bug("[measured] a dead connection is handed out when ping and reconnect fail", "`ConnectFailed`", [
      "core/parity/pooledDb: a dead connection is never handed out, not even when there is no other: the caller gets the cause"
    ]),
    bug("[measured] a closed pool goes on, waiters hang, the limit is exceeded", "`PoolClosed`", [
      "core/shutdown: tells those who wait, and those who come, that the pool is closed",
      "core/shutdown: closes leases after shutdownTimeout; their late return does no harm"
    ]),
    bug("[measured] the constructor hangs or raises when mincached > maxconnections", "`InvalidPoolConfig`", [
      "core/parity/pooledDb: more connections at the start than there may be is refused by name, and nothing hangs"
    ]),
    bug(
      "[measured] blocking without a timeout and without an order",
      "`acquireTimeout`, `maxWaiting`, first come first served",
      [
        "core/parity/pooledDb: waiting for a connection ends at the deadline, in order of arrival, with who holds them"
      ]
    ),
    bug("[source] connect, ping and rollback under one lock", "no input or output in a critical section", [
      "core/parity/pooledDb: a slow connect keeps nobody from getting or giving back what is there"
    ]),
    bug(
      "[measured] recycling refuses a healthy connection while the server cannot be reached",
      "the old one is lent on",
      [
        "core/parity/pooledDb: a connection that is due for recycling is lent on while the server takes no new ones"
      ]
    ),
    bug("#9: recycled between a procedure call and the reading of its result", "never within a lease", [
      "sql/parity/steadyDb: a connection is never recycled between two statements of a lease, as between a call and its result"
    ]),
    bug(
      "#23, #40: session commands lost when the driver reconnects by itself",
      "drivers never reconnect; `setup` is the connection's",
      [
        "sql/parity/steadyDb: runs its session commands after every connect, whatever was the reason for it"
      ]
    ),
    bug(
      "#34: no way to renew connections by age; idle ones are cut",
      "`idleTimeout`, `maxLifetime`, `keepaliveInterval`",
      [
        "core/idle: closes a connection that nobody has used for so long, each in its own time",
        "core/lifetime: below the maximum opens the successor before it closes the old one",
        "core/keeping: validates what is kept although idle, one after the other"
      ]
    ),
    bug("#36: InterfaceError was not among the failures", "the driver classifies every error", [
      "sql-pg/errors: after FATAL nobody knows what became of the statement, but for a session that was idle"
    ]),
    bug("#57: ping is not in DB-API", "`validate` is the driver's own", [
      "core/validation: drops stale connections one after another until one is good"
    ]),
    bug("#16: no timeout for a call", "`statementTimeout`, and interruption", [
      "sql/statementTimeout: of the pool cancels a statement that takes longer, whatever sends it, and its connection is used again"
    ]),
    bug("#18, #3: ping blocks in a failover", "`validateTimeout`", [
      "sql/parity/steadyDb: a validation that hangs is bounded",
      "core/validation: bounds a validation, and ten deaf connections cost one of it"
    ]),
    bug("#19: temporary tables survive the return", "`reset: \"session\"`", [
      "sql-pg/sessionReset: \"session\" forgets settings, temporary tables, locks, LISTEN, prepared statements and cursors"
    ]),
    bug("#50: mincached is not kept", "`minConnections` is", [
      "core/parity/pooledDb: the minimum is kept, not only filled once"
    ]),
    bug("#5: caching off is wanted", "`maxIdle: 0`", [
      "core/keeping: of zero keeps nothing, and hands on to those who wait"
    ]),
    bug("#14: errors after days of idling", "validated before it is lent", [
      "core/parity/pooledDb: replaces a connection that died while idle before anybody gets it"
    ]),
    leftOut("#43: async support is asked for", "everything here is"),
    leftOut("#11: confusing code for waiting", "about its source"),
    bug("a closed connection opens itself again when it is used", "`LeaseReleased`", [
      "sql/parity/steadyDb: a handle is dead after its end, and does not open itself again"
    ]),
    bug(
      "PersistentDB has no limit, and no end but the garbage collector's",
      "`maxConnections`; given back when the fiber ends",
      [
        "core/fiberPool: waits for the pool, up to its deadline, when too many fibers have one, and is served when one ends",
        "core/fiberPool: has a connection of its own, which is given back when the fiber ends, however it ends"
      ]
    )
  ]
}
