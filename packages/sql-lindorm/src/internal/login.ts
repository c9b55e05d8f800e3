/**
 * HTTP authentication of one socket: RFC 7617 (Basic) and RFC 7616 (Digest, with `qop=auth` or without).
 */
import * as Redacted from "effect/Redacted"
import * as Crypto from "node:crypto"

/** @internal */
export interface Credentials {
  readonly scheme: "basic" | "digest"
  readonly username: string
  readonly password: Redacted.Redacted
}

interface Challenge {
  readonly realm: string
  readonly nonce: string
  readonly opaque: string | undefined
  readonly algorithm: "MD5" | "SHA-256"
  readonly qop: boolean
}

const hashes = { "MD5": "md5", "SHA-256": "sha256" } as const

/** @internal */
export class Login {
  private challenge: Challenge | undefined = undefined
  private uses = 0

  constructor(private readonly credentials: Credentials) {}

  /** what the next request says about who sends it */
  authorize(method: string, path: string): string | undefined {
    const { scheme, username } = this.credentials
    const password = Redacted.value(this.credentials.password)
    if (scheme === "basic") return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`
    if (this.challenge === undefined) return undefined
    const { algorithm, nonce, opaque, qop, realm } = this.challenge
    const hash = (text: string) => Crypto.createHash(hashes[algorithm]).update(text).digest("hex")
    const user = hash(`${username}:${realm}:${password}`)
    const target = hash(`${method}:${path}`)
    const count = (++this.uses).toString(16).padStart(8, "0")
    const own = Crypto.randomBytes(8).toString("hex")
    const fields = {
      username: quoted(username),
      realm: quoted(realm),
      nonce: quoted(nonce),
      uri: quoted(path),
      algorithm,
      response: quoted(
        qop ? hash(`${user}:${nonce}:${count}:${own}:auth:${target}`) : hash(`${user}:${nonce}:${target}`)
      ),
      ...(opaque === undefined ? {} : { opaque: quoted(opaque) }),
      ...(qop ? { qop: "auth", nc: count, cnonce: quoted(own) } : {})
    }
    return `Digest ${Object.entries(fields).map(([name, value]) => `${name}=${value}`).join(", ")}`
  }

  /** takes the challenge of a 401; whether the request is worth sending again */
  isChallenged(header: string | undefined): boolean {
    if (this.credentials.scheme === "basic" || header === undefined) return false
    const found = /(?:^|,)\s*digest\s+(.*)$/i.exec(header)
    if (found === null) return false
    const parts = Object.fromEntries(
      [...found[1]!.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)]
        .map(([, name, text, token]) => [name!.toLowerCase(), token ?? text!.replace(/\\(.)/g, "$1")])
    )
    const algorithm = (parts.algorithm ?? "MD5").toUpperCase()
    if (parts.nonce === undefined || (algorithm !== "MD5" && algorithm !== "SHA-256")) return false
    if (parts.qop !== undefined && !parts.qop.split(",").map((word) => word.trim()).includes("auth")) return false
    this.uses = 0
    this.challenge = {
      realm: parts.realm ?? "",
      nonce: parts.nonce,
      opaque: parts.opaque,
      algorithm,
      qop: parts.qop !== undefined
    }
    return true
  }
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`
