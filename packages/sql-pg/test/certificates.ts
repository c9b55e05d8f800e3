/**
 * Certificates for one test run, made by the `openssl` program: an authority, and what it vouches for.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const openssl = (directory: string, ...args: ReadonlyArray<string>) =>
  Effect.async<void>((resume) => {
    execFile("openssl", args, { cwd: directory }, (error) =>
      resume(error === null ? Effect.void : Effect.die(new Error(`the tests of TLS need openssl: ${error.message}`))))
  })

export interface Pair {
  readonly cert: string
  readonly key: string
}

/** makes certificates in a directory that goes away with the scope */
export const makeAuthority = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-tls-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )
  const read = (name: string) => Fs.readFileSync(Path.join(directory, name), "utf8")
  const write = (name: string, content: string) => {
    Fs.writeFileSync(Path.join(directory, name), content)
    return Path.join(directory, name)
  }
  const run = (...args: ReadonlyArray<string>) => openssl(directory, ...args)
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  yield* run("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=dbpool test")
  let count = 0
  return {
    ca: read("ca.crt"),
    /** a certificate for these names, such as `DNS:localhost,IP:127.0.0.1` */
    issue: (names: string, commonName = "server") =>
      Effect.gen(function*() {
        const name = `${++count}`
        write(`${name}.ext`, `subjectAltName=${names}\n`)
        yield* run(
          "req",
          "-new",
          ...newKey,
          "-keyout",
          `${name}.key`,
          "-out",
          `${name}.csr`,
          "-subj",
          `/CN=${commonName}`
        )
        yield* run(
          ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
          ...["-days", "2", "-extfile", `${name}.ext`, "-out", `${name}.crt`]
        )
        return { cert: read(`${name}.crt`), key: read(`${name}.key`) } satisfies Pair
      }),
    file: write
  }
})
