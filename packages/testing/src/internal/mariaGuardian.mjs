/**
 * Guards a MariaDB server: it comes with `Settings` and goes with its owner.
 *
 * @internal
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { environment, Failure, finish, give, guard, host, makeDirectory, serve, unprivileged } from "./guardian.mjs"

/**
 * @typedef {{
 *   readonly server: string
 *   readonly install: string
 *   readonly user: string
 *   readonly password: string
 *   readonly database: string
 *   readonly settings: Record<string, string>
 * }} Settings
 */

/**
 * The accounts that a new data directory comes with have no password, so ours takes their place.
 *
 * @param {Settings} settings
 */
const accounts = ({ database, password, user }) =>
  [
    "delete from mysql.global_priv where User <> 'mariadb.sys'",
    "flush privileges",
    `create user '${user}'@'%' identified by '${password}'`,
    `grant all on *.* to '${user}'@'%' with grant option`,
    `create database ${database} character set utf8mb4 collate utf8mb4_unicode_ci`
  ].map((statement) => `${statement};\n`).join("")

guard([["SIGTERM", 5000], ["SIGKILL", 1000]], async (/** @type {Settings} */ settings) => {
  const identity = unprivileged("MariaDB")
  const home = makeDirectory("maria", identity)
  const probe = spawnSync(settings.server, ["--version"], {
    ...identity,
    cwd: home,
    encoding: "utf8",
    env: environment
  })
  if (probe.status !== 0) {
    throw new Failure(
      "UnsupportedPlatform",
      `"${settings.server}" does not run here: ${(probe.error?.message ?? probe.stderr ?? "").trim()}`
    )
  }
  const dataDirectory = Path.join(home, "data")
  // a server that starts removes the temporary tables of all others that share its directory for them
  const temporary = Path.join(home, "tmp")
  Fs.mkdirSync(temporary)
  give(temporary, identity)
  const statements = Path.join(home, "accounts.sql")
  Fs.writeFileSync(statements, accounts(settings), { mode: 0o600 })
  give(statements, identity)
  await finish(
    settings.install,
    [
      "--no-defaults",
      `--datadir=${dataDirectory}`,
      `--tmpdir=${temporary}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      "--skip-name-resolve",
      "--innodb-flush-log-at-trx-commit=0",
      `--extra-file=${statements}`
    ],
    home,
    identity
  )
  Fs.rmSync(statements)
  const pidFile = Path.join(dataDirectory, "mariadbd.pid")
  const { pid, port } = await serve({
    name: "MariaDB",
    command: settings.server,
    args: (port) => [
      "--no-defaults",
      ...Object.entries({
        ...settings.settings,
        datadir: dataDirectory,
        tmpdir: temporary,
        "bind-address": host,
        port: String(port),
        // none at all: its path may not be long, and the one of a directory for temporary files may be
        socket: "",
        "pid-file": pidFile
      }).map(([name, value]) => `--${name}=${value}`)
    ],
    cwd: home,
    identity,
    isReady: (output) => output.includes("ready for connections"),
    // the others: by a server that was killed
    isTaken: (output) => /Bind on TCP\/IP port|Can't lock|Unable to lock/.test(output),
    complaints: (output) => [...output.matchAll(/\[ERROR\] (.*)/g)].map(([, complaint]) => complaint).join(" ")
  })
  return { port, pid, pidFile, version: probe.stdout.replace(/^.*\bVer (\S+).*$/s, "$1") }
})
