/**
 * Guards a PgBouncer: it comes with `Settings` and goes with its owner.
 *
 * @internal
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { environment, give, guard, host, makeDirectory, serve, unprivileged } from "./guardian.mjs"

/**
 * @typedef {{
 *   readonly pgbouncer: string
 *   readonly server: { readonly host: string, readonly port: number, readonly user: string, readonly password: string }
 *   readonly settings: Record<string, string>
 * }} Settings
 */

/** @param {string} text */
const quote = (text) => `"${text.replaceAll("\"", "\"\"")}"`

// it calls SIGINT a safe shutdown, which waits for clients, and SIGTERM an immediate one
guard([["SIGTERM", 2000], ["SIGKILL", 1000]], async (/** @type {Settings} */ { pgbouncer, server, settings }) => {
  const identity = unprivileged("PgBouncer")
  const home = makeDirectory("pgbouncer", identity)
  const file = (/** @type {string} */ name, /** @type {string} */ content) => {
    const path = Path.join(home, name)
    Fs.writeFileSync(path, content, { mode: 0o600 })
    give(path, identity)
    return path
  }
  const users = file("users", `${quote(server.user)} ${quote(server.password)}\n`)
  const pidFile = Path.join(home, "pgbouncer.pid")
  const configuration = (/** @type {number} */ port) => {
    const all = {
      ...settings,
      listen_addr: host,
      listen_port: port,
      unix_socket_dir: "",
      auth_file: users,
      pidfile: pidFile
    }
    return [
      "[databases]",
      `* = host=${server.host} port=${server.port}`,
      "[pgbouncer]",
      ...Object.entries(all).map(([name, value]) => `${name} = ${value}`),
      ""
    ].join("\n")
  }
  const { pid, port } = await serve({
    name: "PgBouncer",
    command: pgbouncer,
    args: (port) => [file("pgbouncer.ini", configuration(port))],
    cwd: home,
    identity,
    isReady: (output) => output.includes("process up:"),
    isTaken: (output) => output.includes("Address already in use")
  })
  const { stdout } = spawnSync(pgbouncer, ["--version"], { ...identity, cwd: home, encoding: "utf8", env: environment })
  return { port, pid, pidFile, version: stdout.split("\n")[0]?.replace(/^PgBouncer\s*/, "") ?? "" }
})
