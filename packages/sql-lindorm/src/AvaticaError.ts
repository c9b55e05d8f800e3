/**
 * What goes wrong between this client and an Avatica server. Programs meet these as the `cause` of the pool's errors:
 * `StatementError`, `NoSuchConnection`, `ConnectionLost`, `ConnectFailed`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The server answered with an error of its own. Most carry only a text: of an SQL error Avatica keeps neither the SQLSTATE
 * nor the vendor's code (`errorCode` -1, `sqlState` 00000), and some have no text at all but that of `exceptions`, the
 * stack traces of the server.
 *
 * @since 0.1.0
 * @category errors
 */
export class AvaticaError extends Data.TaggedError("AvaticaError")<{
  readonly errorMessage: string
  readonly errorCode: number
  readonly sqlState: string
  readonly exceptions: ReadonlyArray<string>
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    // the causes of Java's exceptions, each of which repeats the text of the next
    const text = this.errorMessage.split(" -> ", 1)[0]!.replace(/^RuntimeException: /, "")
    const trace = this.exceptions[0]?.split("\n", 1)[0] ?? ""
    return text || trace || `error ${this.errorCode} without a text`
  }
}

/**
 * What answered is not an Avatica server that speaks protobuf: a proxy's page, a refused login, a wrong path, the other
 * serialization.
 *
 * @since 0.1.0
 * @category errors
 */
export class AvaticaProtocolError extends Data.TaggedError("AvaticaProtocolError")<{
  /** What was asked, such as `CreateStatement`. */
  readonly request: string
  /** The status of the HTTP answer. */
  readonly status: number
  readonly problem: string
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `${this.request} was answered with HTTP status ${this.status}: ${this.problem}`
  }
}

/**
 * The server had forgotten the statement, and said so in an answer that looks like success. It was not executed.
 *
 * @since 0.1.0
 * @category errors
 */
export class MissingStatement extends Data.TaggedError("MissingStatement")<{
  readonly request: string
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `the server had forgotten the statement when it was asked for ${this.request}`
  }
}

/**
 * No byte of an answer came for `readTimeout`. The connection was cut; what the server does with the request is unknown.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReadTimeout extends Data.TaggedError("ReadTimeout")<{
  readonly afterMillis: number
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `no answer within ${this.afterMillis} ms`
  }
}
