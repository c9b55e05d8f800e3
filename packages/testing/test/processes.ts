/**
 * What becomes of the processes of servers, and of those who started them.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { fileURLToPath } from "node:url"

export const isRunning = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Slim Linux images have no `ps`, and macOS has no `/proc`. */
export const parentOf = (pid: number) =>
  process.platform === "linux"
    ? Number(/^PPid:\s*(\d+)/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    : Number(execFileSync("ps", ["-o", "ppid=", "-p", String(pid)], { encoding: "utf8" }))

export const isGone = (started: { readonly pid: number; readonly dataDirectory: string }) =>
  !isRunning(started.pid) && !Fs.existsSync(Path.dirname(started.dataDirectory))

export const eventuallyGone = (started: { readonly pid: number; readonly dataDirectory: string }) =>
  Effect.sync(() => isGone(started)).pipe(
    Effect.repeat({ until: (gone) => gone, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("8 seconds")
  )

/** a process of its own that has started a server and keeps it */
export const holdServer = (server: "PgServer" | "MariaServer") =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        process.execPath,
        ["--import", "tsx", fileURLToPath(new URL("./fixtures/holdServer.ts", import.meta.url)), server],
        { cwd: fileURLToPath(new URL("..", import.meta.url)), stdio: ["ignore", "pipe", "inherit"] }
      )
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  ).pipe(
    Effect.flatMap((child) =>
      Effect.async<
        { readonly child: typeof child; readonly started: { readonly pid: number; readonly dataDirectory: string } }
      >((resume) => {
        child.once("exit", () => resume(Effect.dieMessage("the fixture ended early")))
        ReadLine.createInterface({ input: child.stdout }).once("line", (line) => {
          resume(Effect.succeed({ child, started: JSON.parse(line) }))
        })
      })
    )
  )
