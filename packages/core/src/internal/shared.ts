/**
 * Things that are made once for each key and shared by all who use them at the same time: the pools of a `PoolMap`, the
 * leases of a `KeyedPool`.
 *
 * Not Effect's `RcMap`: that one interrupts who comes after its end instead of telling him, keeps what could not be made
 * for as long as what could, closes one after the other, and can make two for one key when a fiber yields in between.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"

/** @internal */
export class Slot<K, A, E> {
  users = 0
  /** what was made, as soon as it is there */
  value: A | undefined = undefined
  /** when its last user left, in the owner's time */
  idleSince = 0
  readonly made = Deferred.unsafeMake<A, E>(FiberId.none)
  maker: Fiber.RuntimeFiber<A, E> | undefined = undefined

  constructor(readonly key: K, readonly scope: Scope.CloseableScope) {}
}

/** @internal */
export interface Owner<K, A, E> {
  readonly make: (slot: Slot<K, A, E>) => Effect.Effect<A, E, Scope.Scope>
  /** what somebody is told who comes after the end, or waits for what is not there yet then */
  readonly closed: () => E
  /** nobody uses it any more */
  readonly left: (slot: Slot<K, A, E>) => Effect.Effect<void>
}

/** @internal */
export class Shared<K, A, E> {
  readonly slots = MutableHashMap.empty<K, Slot<K, A, E>>()
  private closed = false

  constructor(private readonly owner: Owner<K, A, E>, readonly runtime: Runtime.Runtime<never>) {}

  /** Runs an effect with what belongs to a key, which lasts until then. */
  use<B, E2, R>(key: K, f: (a: A) => Effect.Effect<B, E2, R>): Effect.Effect<B, E | E2, R> {
    return Effect.uninterruptibleMask((restore) => {
      const slot = this.enter(key)
      if (slot === undefined) return Effect.fail(this.owner.closed())
      return Effect.ensuring(restore(Effect.flatMap(Deferred.await(slot.made), f)), this.leave(slot))
    })
  }

  /** What belongs to a key; it lasts until the scope closes. */
  hold(key: K): Effect.Effect<A, E, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) => {
      const slot = this.enter(key)
      if (slot === undefined) return Effect.fail(this.owner.closed())
      return Effect.matchCauseEffect(restore(Deferred.await(slot.made)), {
        onFailure: (cause) => Effect.zipRight(this.leave(slot), Effect.failCause(cause)),
        onSuccess: (value) => Effect.as(Effect.addFinalizer(() => this.leave(slot)), value)
      })
    })
  }

  /** Closes one; whoever comes now gets another. */
  drop(slot: Slot<K, A, E>): Effect.Effect<void> {
    this.forget(slot)
    // one that is still being made has been told to stop, and closes its scope itself
    return slot.value === undefined && slot.maker !== undefined
      ? Effect.asVoid(Fiber.interrupt(slot.maker))
      : Scope.close(slot.scope, Exit.void)
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    return Effect.forEach([...MutableHashMap.values(this.slots)], (slot) => this.drop(slot), {
      concurrency: "unbounded",
      discard: true
    })
  })

  private enter(key: K): Slot<K, A, E> | undefined {
    if (this.closed) return undefined
    const slot = Option.getOrElse(MutableHashMap.get(this.slots, key), () => this.start(key))
    slot.users++
    return slot
  }

  private leave(slot: Slot<K, A, E>): Effect.Effect<void> {
    return Effect.suspend(() => --slot.users === 0 && this.has(slot) ? this.owner.left(slot) : Effect.void)
  }

  /** in a fiber of its own: whoever comes first may leave before the others get it */
  private start(key: K): Slot<K, A, E> {
    const slot = new Slot<K, A, E>(key, Effect.runSync(Scope.make()))
    MutableHashMap.set(this.slots, key, slot)
    const making = Effect.suspend(() => this.owner.make(slot)).pipe(
      Scope.extend(slot.scope),
      Effect.onExit((exit) =>
        Exit.isSuccess(exit)
          ? Effect.sync(() => void (slot.value = exit.value))
          : Effect.zipRight(Effect.sync(() => this.forget(slot)), Scope.close(slot.scope, exit))
      ),
      Effect.interruptible
    )
    slot.maker = Runtime.runFork(this.runtime)(making)
    slot.maker.addObserver((exit) => {
      Deferred.unsafeDone(slot.made, Exit.isInterrupted(exit) ? Exit.fail(this.owner.closed()) : exit)
    })
    return slot
  }

  private forget(slot: Slot<K, A, E>): void {
    if (this.has(slot)) MutableHashMap.remove(this.slots, slot.key)
  }

  private has(slot: Slot<K, A, E>): boolean {
    return Option.contains(MutableHashMap.get(this.slots, slot.key), slot)
  }
}
