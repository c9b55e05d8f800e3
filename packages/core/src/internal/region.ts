/**
 * The options that hold where a fiber is right now. Looked up without an effect, which would cost more than waiting does.
 */
import type * as Fiber from "effect/Fiber"
import { type AcquireOptions, Region } from "../AcquireOptions.js"

const none: AcquireOptions = {}

/** @internal */
export const regionOf = (fiber: Fiber.RuntimeFiber<any, any>): AcquireOptions =>
  fiber.currentContext.unsafeMap.get(Region.key) ?? none
