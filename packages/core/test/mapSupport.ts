import * as Pool from "@dbpool/core/Pool"
import * as PoolMap from "@dbpool/core/PoolMap"
import type * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as Duration from "effect/Duration"
import type * as Scope from "effect/Scope"
import { optionsOf } from "./support.js"

type Settings = Pool.Options<SimulatedServer.Connection, SimulatedServer.ServerError, Scope.Scope>

/** pools of one server, each in its key's name */
export const makeMap = (
  server: SimulatedServer.SimulatedServer,
  options: {
    readonly maxConnections?: number
    readonly idleTimeout?: Duration.DurationInput
    readonly pools?: (key: string) => Partial<Settings>
  } = {}
) => {
  const { pools, ...rest } = options
  const common: Settings = { ...optionsOf(server), idleTimeout: Duration.infinity }
  return PoolMap.make({
    default: common,
    overrides: (key: string) => ({ name: key, ...pools?.(key) }),
    make: (settings) => Pool.make(settings),
    ...rest
  })
}
