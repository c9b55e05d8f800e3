/**
 * What `npm start` and `npm test` share. Plain Node without dependencies: it runs before anything is installed.
 */
import { spawn, spawnSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export const root = Path.dirname(Path.dirname(fileURLToPath(import.meta.url)))

const packages = Path.join(root, "packages")
const stampFile = Path.join(root, "node_modules", ".dbpool-installed")
const onWindows = process.platform === "win32"

const readManifest = () => JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8"))

/** @returns {Array<string>} */
const members = () =>
  Fs.readdirSync(packages)
    .map((name) => Path.join(packages, name))
    .filter((directory) => Fs.existsSync(Path.join(directory, "package.json")))
    .sort()

/** Ends the process if it is not a Node that can run the workspace. */
export const requireNode = () => {
  const floor = Number(/\d+/.exec(readManifest().engines.node)[0])
  if (Number(process.versions.node.split(".")[0]) < floor) {
    process.stderr.write(`dbpool needs Node.js ${floor} or later, and this is ${process.versions.node}.\n`)
    process.exit(1)
  }
}

/** What the installed packages depend on: another lockfile, manifest, platform or Node makes another stamp. */
const stamp = () => {
  const hash = Crypto.createHash("sha256")
  hash.update(`${process.platform} ${process.arch} ${process.versions.modules}\n`)
  const manifests = [root, ...members()].map((directory) => Path.join(directory, "package.json"))
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml"].map((name) => Path.join(root, name)).concat(manifests)) {
    hash.update(`${Path.relative(root, file)}\n`)
    hash.update(Fs.readFileSync(file))
  }
  return hash.digest("hex")
}

const isInstalled = () =>
  Fs.existsSync(stampFile) &&
  Fs.readFileSync(stampFile, "utf8") === stamp() &&
  members().every((directory) => Fs.existsSync(Path.join(directory, "node_modules")))

/** @param {string} version */
const pnpmCommand = (version) => {
  // Asked outside the workspace, where pnpm does not turn itself into the version that package.json names.
  const found = spawnSync("pnpm", ["--version"], {
    cwd: Os.tmpdir(),
    encoding: "utf8",
    env: { ...process.env, COREPACK_ENABLE_DOWNLOAD_PROMPT: "0" },
    shell: onWindows,
    timeout: 20_000
  })
  return found.status === 0 && found.stdout.trim() === version
    ? { command: "pnpm", args: [] }
    : { command: "npx", args: ["--yes", `pnpm@${version}`] }
}

/**
 * Installs the workspace unless that is done already. Answers whether it is installed now; if it is not, everything
 * there is to say about it has been said.
 *
 * @returns {Promise<boolean>}
 */
export const install = async () => {
  if (isInstalled()) {
    return true
  }
  const version = readManifest().packageManager.replace(/^pnpm@/, "")
  process.stderr.write(`Installing the packages with pnpm ${version} ...\n`)
  const { args, command } = pnpmCommand(version)
  // Without a terminal pnpm would refuse to replace a node_modules made with other settings.
  const installArgs = ["install", "--frozen-lockfile", "--config.confirm-modules-purge=false"]
  // What `npx --package=...` was told would hold for the npx here, too.
  const { npm_config_package: _, ...env } = process.env
  const { code, output, signalled } = await run(command, [...args, ...installArgs], {
    cwd: root,
    env,
    quiet: true,
    shell: onWindows
  })
  if (signalled !== undefined) {
    process.exit(128 + Os.constants.signals[signalled])
  }
  if (code === 0) {
    Fs.writeFileSync(stampFile, stamp())
    return true
  }
  process.stderr.write(output)
  process.stderr.write(
    `dbpool's packages could not be installed (exit code ${code}): pnpm's own words are above; ` +
      "is the package registry reachable?\n"
  )
  return false
}

/**
 * Runs a command to its end, with exit code 128 + n if signal n ended it.
 *
 * The child has a process group of its own and is sent each signal once, however often it reaches us: on Ctrl-C from
 * the terminal and then again from npm, which passes it on. A program takes a second one for impatience and dies at
 * once, without its shutdown. A person's second Ctrl-C comes later, and is passed on.
 *
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean, shell?: boolean }} options
 * @returns {Promise<{ code: number, signalled: string | undefined, output: string }>}
 */
export const run = (command, args, options) =>
  new Promise((resolve) => {
    const { quiet, ...rest } = options
    const child = spawn(command, args, {
      ...rest,
      detached: !onWindows,
      stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit"
    })
    const chunks = []
    child.stdout?.on("data", (chunk) => chunks.push(chunk))
    child.stderr?.on("data", (chunk) => chunks.push(chunk))

    let signalled
    let last = 0
    const forward = (signal) => {
      const now = performance.now()
      if (signalled === undefined || now - last > echoMillis) {
        child.kill(signal)
      }
      signalled = signal
      last = now
    }
    signals.forEach((signal) => process.on(signal, forward))
    const settle = (code) => {
      signals.forEach((signal) => process.removeListener(signal, forward))
      resolve({ code, signalled, output: Buffer.concat(chunks).toString("utf8") })
    }
    child.once("error", (error) => {
      chunks.push(Buffer.from(`${command}: ${error.message}\n`))
      settle(127)
    })
    child.once("close", (code, signal) => {
      if (signalled !== undefined) {
        endGroup(child.pid)
      }
      settle(signal === null ? code : 128 + Os.constants.signals[signal])
    })
  })

/** Vitest, when told to stop, dies before its workers and forgets them. */
const endGroup = (pid) => {
  try {
    process.kill(-pid, "SIGTERM")
  } catch {
    // Usually nobody is left.
  }
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"]

/** Within this time a signal is the same one arriving by another way. */
const echoMillis = 500
