/**
 * Pools of something that costs nothing to use, so that only the pool itself is measured: ours, and each peer with the
 * settings that are fastest for it (no timers for idle ones, no validation).
 */
import * as Pool from "@dbpool/core/Pool"
import * as Effect from "effect/Effect"
import * as EffectPool from "effect/Pool"
import type * as Scope from "effect/Scope"
import genericPool from "generic-pool"
import { createPool } from "lightning-pool"
import { EventEmitter } from "node:events"
import pg from "pg"
import * as Tarn from "tarn"

/** what a connection of a pool looks like from outside */
export class Resource {
  broken = false
  uses = 0
}

/** what a pool is used as, where it has promises */
export interface PromisePool {
  readonly name: string
  readonly acquire: () => Promise<any>
  readonly release: (resource: any) => void
  readonly close: () => Promise<unknown>
}

export type Options = Pool.Options<Resource, never, Scope.Scope>

/** ours with every guarantee on: it knows how to validate, sees the condition on return and hears of deaths */
export const guarded: Partial<Options> = {
  validate: () => Effect.void,
  condition: (resource) => resource.broken ? "broken" : "clean",
  onLost: () => {},
  destroy: () => {}
}

const open = Effect.acquireRelease(Effect.sync(() => new Resource()), () => Effect.void)

export const ours = (options: Partial<Options> = {}) =>
  Pool.make({
    connect: open,
    minConnections: options.maxConnections ?? 10,
    initialize: "fill",
    ...guarded,
    ...options
  })

export const effectPool = (size: number) => EffectPool.make({ acquire: open, size })

const scoped = (make: () => PromisePool) =>
  Effect.acquireRelease(Effect.sync(make), ({ close }) => Effect.promise(close))

/** how a pool opens a resource; those of the peers take it as a promise */
export type Open = () => Promise<Resource>

const atOnce: Open = () => Promise.resolve(new Resource())

export interface Bounds {
  readonly min: number
  readonly max: number
}

export const generic = ({ max, min }: Bounds, connect = atOnce) =>
  scoped(() => {
    const pool = genericPool.createPool({ create: connect, destroy: () => Promise.resolve() }, { max, min })
    return {
      name: "generic-pool",
      acquire: () => pool.acquire() as Promise<Resource>,
      release: (resource) => void pool.release(resource),
      close: () => pool.drain().then(() => pool.clear())
    }
  })

export const tarn = ({ max, min }: Bounds, connect = atOnce) =>
  scoped(() => {
    const pool = new Tarn.Pool<Resource>({ create: connect, destroy: () => {}, max, min })
    return {
      name: "tarn",
      acquire: () => pool.acquire().promise,
      release: (resource) => void pool.release(resource),
      close: () => pool.destroy()
    }
  })

export const lightning = ({ max, min }: Bounds, connect = atOnce) =>
  scoped(() => {
    const pool = createPool<Resource>(
      { create: connect, destroy: () => Promise.resolve() },
      { max, min, minIdle: min, idleTimeoutMillis: 0, validation: false, maxQueue: Infinity }
    )
    pool.start()
    return {
      name: "lightning-pool",
      acquire: () => pool.acquire(),
      release: (resource) => pool.release(resource),
      close: () => Promise.resolve(pool.close(true))
    }
  })

export const pgPool = ({ max }: Bounds, connect = atOnce) =>
  scoped(() => {
    /** what pg-pool takes for a client */
    class Client extends EventEmitter {
      readonly _queryable = true
      readonly _ending = false
      readonly _poolUseCount = 0
      connect(done: (error?: unknown) => void): void {
        connect().then(() => done(), done)
      }
      end(done?: () => void): void {
        done?.()
      }
    }
    const pool = new pg.Pool({ Client: Client as never, max, idleTimeoutMillis: 0 })
    return {
      name: "pg-pool",
      acquire: () => pool.connect(),
      release: (client: pg.PoolClient) => client.release(),
      close: () => pool.end()
    }
  })
