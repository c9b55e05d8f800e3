/**
 * phoenixdb and Avatica, which have no pool, but behaviours and bugs that a pool over them meets; and those tests of
 * SQLAlchemy's QueuePool that a pool should pass, too.
 */
import { bug, row } from "./row.mjs"

const forgotten = (title) => `sql-lindorm/forgotten: ${title}`

export default {
  system: "phoenixdb, Avatica and SQLAlchemy",
  rows: [
    row(
      "Avatica ConnectionPropertiesTest: testConnectionPropertiesSync",
      "`retryUnsent`; `setup` on the new connection",
      [
        forgotten("is replaced, and the statement that found out is sent once more")
      ]
    ),
    row("Avatica ConnectionPropertiesTest: testConnectionPropertiesSyncNoReconnect", "`NoSuchConnection`", [
      forgotten("is NoSuchConnection in a lease, where nothing is sent again")
    ]),
    bug(
      "phoenixdb: an expired connection is a generic error without a text",
      "known by its code, or its exception's name",
      [
        "sql-lindorm/answers: is a missing connection by its code, though it has no text, or by the name of the exception alone"
      ]
    ),
    bug("phoenixdb: an expired statement silently loses an upsert", "sent once more", [
      forgotten("was not executed, though the answer looks like success: it is sent once more")
    ]),
    bug("phoenixdb has no ping: DBUtils' ping switches itself off", "`connectionSync` validates, and changes nothing", [
      forgotten("is found before it is lent, when it was idle for longer than validateAfterIdle"),
      forgotten("does not come to be while keepalive says that it is wanted, by a ping that changes nothing")
    ]),
    bug("phoenixdb under DBUtils: an expiry inside begin() or at commit() goes on elsewhere", "the transaction fails", [
      forgotten("loses its transaction: the commit says so, and is not sent again"),
      forgotten("loses its transaction, of which nothing is visible")
    ]),
    bug("phoenixdb: network failures are no errors of DB-API; no failover", "`ConnectionLost`, `NoSuchConnection`", [
      "sql-lindorm/answers: to what may have been executed is ConnectionLost: nothing is sent again",
      "sql-lindorm/answers: before anything was executed replaces the connection, and the statement is sent once more"
    ]),
    bug("phoenixdb: no timeouts", "`connectTimeout`, `readTimeout`", [
      "sql-lindorm/connect: is bounded by connectTimeout, and leaves nothing",
      "sql-lindorm/answers: is waited for readTimeout; then the connection is cut"
    ]),
    bug("Avatica: execute and fetch do not renew a connection", "renewed while a long result is read", [
      forgotten("does not come to be while a long result is read: fetching alone would not prevent it")
    ]),

    row("SQLAlchemy: test_timeout, test_timeout_race", "`acquireTimeout`", [
      "core/timeout: ends the wait in a full pool, with what the pool was doing then",
      "core/waiterQueue: is never confused by any sequence of arrivals and departures"
    ]),
    row("SQLAlchemy: test_overflow_reset_on_failed_connect", "a failed connect loses no slot", [
      "core/parity/eventlet: keeps its count of free items when creating one fails"
    ]),
    row("SQLAlchemy: test_hanging_connect_within_overflow", "one hanging connect keeps nobody else waiting", [
      "core/parity/pooledDb: a slow connect keeps nobody from getting or giving back what is there"
    ]),
    row("SQLAlchemy: test_waiters_handled, test_notify_waiters", "who waits is served or told", [
      "core/acquire: is served first come, first served",
      "core/parity/eventlet: a failed connect wakes all who wait for it: each gets a connection, or the cause"
    ]),
    row("SQLAlchemy: test_recycle_on_soft_invalidate", "`drain`", [
      "core/control: lets an old connection be lent again while there is no other, unless it is hard"
    ]),
    row("SQLAlchemy: test_no_double_checkin", "a lease ends once", [
      "core/parity/eventlet: giving back twice does not let the pool grow beyond its maximum"
    ]),
    row("SQLAlchemy: test_lifo, test_fifo", "`order`", [
      "core/parity/eventlet: lends oldest first or newest first"
    ]),
    row("SQLAlchemy: ResetOnReturnTest", "`reset`", [
      "sql/parity/steadyDb: on return rolls back what was begun, always, or forgets the whole session, as reset says",
      "sql/reset: \"none\" sends nothing, and closes what comes back in a transaction"
    ])
  ]
}
