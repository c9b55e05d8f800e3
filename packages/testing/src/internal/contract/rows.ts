import type { Dialect } from "../../ContractDialect.js"
import { cancellation } from "./cancellation.js"
import { compatibility } from "./compatibility.js"
import { connectionLoss } from "./connectionLoss.js"
import { errors } from "./errors.js"
import { interruption } from "./interruption.js"
import { leases } from "./leases.js"
import { modules } from "./modules.js"
import { nested } from "./nested.js"
import { notifications } from "./notifications.js"
import { repeats } from "./repeats.js"
import type { Spec } from "./row.js"
import { serverRestart } from "./serverRestart.js"
import { sessionState } from "./sessionState.js"
import { sharing } from "./sharing.js"
import { streams } from "./streams.js"
import { timeouts } from "./timeouts.js"
import { transactions } from "./transactions.js"
import { twoClients } from "./twoClients.js"
import { types } from "./types.js"

/** every promise, in the order in which they are tried; servers are restarted last @internal */
export const specs = (dialect: Dialect): ReadonlyArray<Spec> => [
  ...leases,
  ...interruption,
  ...cancellation,
  ...timeouts,
  ...transactions,
  ...nested,
  ...twoClients,
  ...streams,
  ...sessionState,
  ...connectionLoss,
  ...repeats,
  ...sharing,
  ...errors,
  ...types(dialect),
  ...compatibility,
  ...modules,
  ...notifications,
  ...serverRestart
]
