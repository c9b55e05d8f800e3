/**
 * Who uses a socket, as its users see it: from the moment they have it until they are done with it. A stay lies within
 * the engine's lease or turn on both sides, so whatever overlaps here overlaps there.
 */
import type { Socket } from "./network.js"

/** what a user got a socket for: to run something on it, alone or beside others, until a scope closes, or for a session */
export type Kind = "use" | "share" | "lease" | "session"

export class Stay {
  going = true

  /** the session that it is a turn in; if that has ended, it may also be a lease of its own */
  readonly session: Stay | undefined

  /** `within`: the stay that the user's code was inside of when it asked */
  constructor(
    readonly user: string,
    readonly kind: Kind,
    readonly socket: Socket,
    readonly within: Stay | undefined
  ) {
    this.session = innermost(within, (stay) => stay.kind === "session" && stay.socket === socket)
  }
}

/** the stay that code is inside of, by its own fiber or an ancestor of it; it may have ended since */
export type Place = Stay | undefined

const innermost = (place: Place, which: (stay: Stay) => boolean): Stay | undefined => {
  let stay = place
  while (stay !== undefined && !which(stay)) stay = stay.within
  return stay
}

/** the session that is going on around a place */
export const sessionOf = (place: Place): Stay | undefined =>
  innermost(place, ({ going, kind }) => going && kind === "session")

/** whether a session around a place has lost its connection; a turn may go on for longer than its session */
export const isLost = (place: Place): boolean =>
  innermost(place, ({ kind, session, socket }) => (kind === "session" || session !== undefined) && socket.gone) !==
    undefined

/** the lease, not a turn in a session, that is going on around a place */
export const leaseOf = (place: Place): Stay | undefined =>
  innermost(
    place,
    ({ going, kind, session, socket }) => going && kind !== "session" && session === undefined && !socket.gone
  )

/** whether one of those who use it is not around that place; `shared`: others who share it are none */
export const isForeign = (socket: Socket, place: Place, shared = false): boolean => {
  for (const stay of socket.stays) {
    if (shared && stay.kind === "share") continue
    if (innermost(place, (outer) => outer === stay) === undefined) return true
  }
  return false
}
