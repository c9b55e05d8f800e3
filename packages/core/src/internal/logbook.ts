/**
 * Writes down what happens in a pool, by `PoolLogger`'s rules.
 */
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { AcquireError } from "../PoolError.js"
import type { PoolOccurrence } from "../PoolEvent.js"
import type { RetireReason } from "../PoolStats.js"
import type { Engine } from "./engine.js"
import * as Format from "./format.js"
import { Throttle } from "./throttle.js"

type Details = Readonly<Record<string, string | number | boolean>>

/** what a person should hear of, though nobody has to do anything about it */
const unplanned: ReadonlyArray<RetireReason> = ["lost", "stale", "unrestored"]

/** outside of an outage these mean that the pool is too small, or its holders too slow */
const shortage: ReadonlyArray<AcquireError["_tag"]> = ["AcquireTimeout", "TooManyConnections", "NestedAcquire"]

const plural = (n: number, what: string): string => n === 1 ? `1 ${what}` : `${n} ${what}s`

/** @internal */
export const start = <C>(engine: Engine<C>, every: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const { name } = engine.config
    const pool = `Pool "${name}"`
    const throttle = new Throttle(every, (window) => {
      Runtime.runFork(engine.runtime)(Effect.interruptible(window), { scope, immediate: false })
    })
    /** refused since the trouble that goes on began */
    let refused = 0
    let troubled = false

    // in a task of the pool: loggers are the user's code, which must not run inside a decision
    const write = (level: LogLevel.LogLevel, event: PoolOccurrence, message: string, details: Details = {}): void =>
      engine.spawn(
        Effect.annotateLogs(Effect.logWithLevel(level, message), { pool: name, event: event._tag, ...details })
      )
    const seldom = (
      level: LogLevel.LogLevel,
      event: PoolOccurrence,
      kind: string,
      message: string,
      details: Details = {}
    ): void =>
      throttle.offer(`${event._tag} ${kind}`, (more) => {
        const others = more === 0 ? "" : ` (and ${more} more within ${Format.millis(every)})`
        write(level, event, message + others, more === 0 ? details : { ...details, more })
      })

    const hear = (event: PoolOccurrence): void => {
      switch (event._tag) {
        case "TroubleBegan": {
          troubled = true
          refused = 0
          const what = event.trouble === "outage" ? "cannot connect" : "gets no more connections from its server"
          return seldom(LogLevel.Warning, event, event.trouble, `${pool} ${what}: ${Format.cause(event.cause)}`)
        }
        case "TroubleEnded": {
          troubled = false
          const { lastedMillis } = event
          const what = event.trouble === "outage" ? "connects again" : "gets connections again"
          const lasting = `after ${Format.millis(lastedMillis)}`
          const toll = refused === 0 ? "" : `, in which ${plural(refused, "caller")} got an error`
          return seldom(LogLevel.Info, event, event.trouble, `${pool} ${what} ${lasting}${toll}`, {
            lastedMillis,
            refused
          })
        }
        case "AcquireRefused": {
          if (troubled) refused++
          const { _tag: tag, message } = event.error
          const level = !troubled && shortage.includes(tag) ? LogLevel.Warning : LogLevel.Debug
          return seldom(level, event, `${level.label} ${tag}`, message, {
            error: tag,
            waitedMillis: event.waitedMillis
          })
        }
        case "ConnectionRetired": {
          const { ageMillis, connectionId, reason, uses } = event
          const message = `${pool} gives up connection ${connectionId} (${reason}) after ${Format.millis(ageMillis)} ` +
            `and ${plural(uses, "lease")}`
          const details = { connectionId, reason, ageMillis, uses }
          return unplanned.includes(reason)
            ? seldom(LogLevel.Info, event, reason, message, details)
            : write(LogLevel.Debug, event, message, details)
        }
        case "ConnectionClosed": {
          const { abandoned, connectionId } = event
          return abandoned
            ? seldom(
              LogLevel.Warning,
              event,
              "",
              `${pool} had to destroy connection ${connectionId}, which did not close`,
              {
                connectionId
              }
            )
            : write(LogLevel.Debug, event, `${pool} has closed connection ${connectionId}`, { connectionId })
        }
        case "ConnectionOpened": {
          const { connectMillis, connectionId } = event
          const message = `${pool} has opened connection ${connectionId} in ${Format.millis(connectMillis)}`
          return write(LogLevel.Debug, event, message, { connectionId, connectMillis })
        }
        case "ConnectAttemptFailed": {
          const { cause, connectMillis, connectionId, fault } = event
          const message = `${pool} could not open connection ${connectionId}: ${Format.cause(cause)}`
          return write(LogLevel.Debug, event, message, { connectionId, connectMillis, fault })
        }
        case "Resized": {
          const { maxConnections, minConnections } = event
          const message = `${pool} may now have ${minConnections} to ${maxConnections} connections`
          return write(LogLevel.Info, event, message, { maxConnections, minConnections })
        }
        case "Drained": {
          const { hard, overMillis } = event
          const message = `${pool} replaces its connections within ${Format.millis(overMillis)}`
          return write(LogLevel.Info, event, message, { hard, overMillis })
        }
        case "Suspended":
          return write(LogLevel.Info, event, `${pool} is suspended`)
        case "Resumed":
          return write(LogLevel.Info, event, `${pool} is resumed`)
        case "Closing":
          return write(LogLevel.Info, event, `${pool} is closing`)
      }
    }
    let over = false
    engine.hub.listen({
      leases: false,
      hear: (event) => over ? undefined : hear(event),
      end: () => {
        over = true
      }
    })
  })
