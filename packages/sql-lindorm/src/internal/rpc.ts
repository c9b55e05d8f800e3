/**
 * One question and its answer: the envelope, and what an answer is worth that comes in none.
 */
import { AvaticaError, AvaticaProtocolError } from "../AvaticaError.js"
import type { Answer, Line } from "./line.js"
import type { Message } from "./protobuf.js"
import type { Calls, Request, Response } from "./schema.js"
import { calls, ErrorResponse, WireMessage } from "./schema.js"

const requests = "org.apache.calcite.avatica.proto.Requests$"
const responses = "org.apache.calcite.avatica.proto.Responses$"

/** @internal */
export const call = async <K extends keyof Calls>(
  line: Line,
  name: K,
  request: Request<K>
): Promise<Response<K>> => {
  const { answer: expected, request: question, response } = calls[name]
  const wrapped = (question as Message<any>).encode(request)
  const answer = await line.post(WireMessage.encode({ name: `${requests}${name}Request`, wrapped }))
  const refuse = (problem: string) => new AvaticaProtocolError({ request: name, status: answer.status, problem })
  const [what, content] = open(answer) ?? []
  if (what === undefined) throw refuse(explain(answer))
  if (what === `${responses}ErrorResponse`) {
    const { errorCode, errorMessage, exceptions, sqlState } = ErrorResponse.decode(content!)
    // unsigned on the way: -1 comes as 4294967295
    throw new AvaticaError({ errorMessage, errorCode: errorCode | 0, sqlState, exceptions })
  }
  if (what !== `${responses}${expected}Response`) throw refuse(`an answer to another question, ${what}`)
  try {
    return (response as Message<any>).decode(content!)
  } catch (cause) {
    throw refuse(`an answer that cannot be read (${String(cause)})`)
  }
}

/** what is in the envelope, if it is one */
const open = ({ body }: Answer): readonly [name: string, content: Uint8Array] | undefined => {
  try {
    const { name, wrapped } = WireMessage.decode(body)
    return name.startsWith(responses) ? [name, wrapped] : undefined
  } catch {
    return undefined
  }
}

const explain = ({ body, contentType, status }: Answer): string => {
  if (status === 401 || status === 403) return "the login is refused"
  const text = Buffer.from(body).toString("utf8")
  if (/^\s*\{\s*"response"/.test(text)) return "the server speaks JSON, and this client protobuf"
  const title = /<title>([^<]*)<\/title>/i.exec(text)?.[1]
  const words = (title ?? text).replace(/[^\x20-\x7e]+/g, " ").trim().slice(0, 100)
  return `not from an Avatica server (${contentType || "no content type"})${words === "" ? "" : `: "${words}"`}`
}
