/**
 * From the Java sources of this package to something that starts in half a second: the artifacts that `pom.xml` names,
 * our classes, and an archive of everything that a start loads. It is made once for each machine, in the user's cache.
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as userCache from "./userCache.js"
import { run } from "./userCache.js"

/** @internal */
export interface BuildError {
  readonly reason: "JavaMissing" | "MavenMissing" | "ArtifactsMissing" | "StartFailed"
  readonly message: string
}

/** the command that runs the server @internal */
export interface Build {
  readonly java: string
  readonly args: ReadonlyArray<string>
}

const sources = fileURLToPath(new URL("../../java/", import.meta.url))

const mainClass = "AvaticaTestServer"

/** a quick start, no file left behind by a process that was killed, and nothing of the JVM's own on standard output */
const jvmArgs = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xlog:disable", "-Xmx512m"]

const tool = (name: string): string =>
  process.env.JAVA_HOME === undefined ? name : Path.join(process.env.JAVA_HOME, "bin", name)

const step = (
  self: Effect.Effect<string, userCache.Failed>,
  whenMissing: BuildError,
  reason: BuildError["reason"],
  whatFailed: string
): Effect.Effect<string, BuildError> =>
  Effect.mapError(
    self,
    ({ missing, output }) => missing ? whenMissing : { reason, message: `${whatFailed}: ${output.slice(-2000)}` }
  )

/** @internal */
export const noJava: BuildError = { reason: "JavaMissing", message: "There is no JDK here: 17 or later is needed." }

/** @internal */
export const build: Effect.Effect<Build, BuildError> = Effect.gen(function*() {
  const java = tool("java")
  const files = Fs.readdirSync(sources).sort().map((file) => Path.join(sources, file))
  const hash = Crypto.createHash("sha256")
  for (const file of files) hash.update(Fs.readFileSync(file))
  const directory = yield* userCache.directory(
    `avatica-${hash.digest("hex").slice(0, 16)}`,
    (work) => make(work, files),
    (directory) => archive(java, directory)
  )
  return { java, args: [`-XX:SharedArchiveFile=${archiveOf(directory)}`, ...command(directory)] }
})

const archiveOf = (directory: string): string => Path.join(directory, "classes.jsa")

const command = (directory: string): ReadonlyArray<string> => {
  const jars = Fs.readdirSync(Path.join(directory, "lib")).sort().map((file) => Path.join("lib", file))
  const classPath = ["server.jar", ...jars].map((file) => Path.join(directory, file)).join(Path.delimiter)
  return [...jvmArgs, "-cp", classPath, mainClass]
}

const make = (work: string, files: ReadonlyArray<string>): Effect.Effect<void, BuildError> => {
  const [lib, classes, jar] = ["lib", "classes", "server.jar"].map((name) => Path.join(work, name)) as [
    string,
    string,
    string
  ]
  const pom = files.find((file) => file.endsWith("pom.xml"))!
  const compiler = tool("javac")
  return step(run(compiler, ["-version"], work), noJava, "JavaMissing", "Java does not run").pipe(
    Effect.andThen(step(
      run("mvn", ["-B", "-q", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${lib}`], work),
      { reason: "MavenMissing", message: "There is no Maven here, which gets Avatica's server." },
      "ArtifactsMissing",
      "Maven could not get Avatica's server"
    )),
    Effect.andThen(step(
      run(
        compiler,
        [
          "--release",
          "17",
          "-cp",
          Path.join(lib, "*"),
          "-d",
          classes,
          ...files.filter((file) => file.endsWith(".java"))
        ],
        work
      ),
      noJava,
      "StartFailed",
      "The server does not compile"
    )),
    Effect.andThen(step(
      run(tool("jar"), ["cf", jar, "-C", classes, "."], work),
      noJava,
      "StartFailed",
      "The server cannot be packed"
    )),
    Effect.andThen(() => Fs.rmSync(classes, { recursive: true }))
  )
}

/** A start that only loads classes. The archive is good for the paths it was made with; without it a start is slower. */
const archive = (java: string, directory: string): Effect.Effect<void> => {
  const partial = Path.join(directory, `classes-${process.pid}.jsa`)
  const settings = { engine: "h2", database: "rehearsal", cache: {}, directory: Path.join(directory, "none") }
  return run(
    java,
    [`-XX:ArchiveClassesAtExit=${partial}`, ...command(directory)],
    directory,
    `${JSON.stringify(settings)}\n`
  ).pipe(
    Effect.andThen(Effect.try(() => Fs.renameSync(partial, archiveOf(directory)))),
    Effect.ensuring(Effect.sync(() => Fs.rmSync(partial, { force: true }))),
    Effect.ignore
  )
}
