/**
 * What a dialect has to supply for each capability that it has.
 */
import type { Capability, Dialect, Server, Syntax } from "../../ContractDialect.js"

const inSyntax: Partial<Record<Capability, ReadonlyArray<keyof Syntax>>> = {
  cancel: ["sleep", "sleepMarker"],
  sharing: ["sleep", "sleepMarker"],
  streams: ["wideSeries", "failingSeries"],
  rawTransactions: ["begin"],
  isolation: ["isolation", "setSerializable"],
  deferredConstraints: ["createDeferred"],
  constraints: ["createConstrained"],
  sessionState: ["createTemporary", "setVariable", "variable"],
  models: ["createSerial"]
}

const inServer: Partial<Record<Capability, ReadonlyArray<keyof Server>>> = {
  sessions: ["sessions", "kill"],
  restart: ["restart"]
}

const without = <A extends object>(
  dialect: Dialect,
  needs: Partial<Record<Capability, ReadonlyArray<keyof A>>>,
  has: A
): ReadonlyArray<readonly [Capability, string]> =>
  (Object.entries(needs) as unknown as ReadonlyArray<readonly [Capability, ReadonlyArray<keyof A>]>).flatMap((
    [capability, keys]
  ) =>
    dialect.capabilities[capability] === true
      ? keys.filter((key) => has[key] === undefined).map((key) => [capability, String(key)] as const)
      : []
  )

/** what rows would miss in what it says of itself @internal */
export const missing = (dialect: Dialect) => [
  ...without(dialect, inSyntax, dialect.syntax),
  ...without<Dialect>(dialect, { listen: ["notifications"] }, dialect)
]

/** what rows would miss in its server @internal */
export const missingInServer = (dialect: Dialect, server: Server) => without(dialect, inServer, server)
