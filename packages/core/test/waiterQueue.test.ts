import { assert, describe, it } from "@effect/vitest"
import { Waiter, WaiterQueue } from "../src/internal/waiterQueue.js"

const waiter = (deadline = Infinity) => {
  const made = new Waiter<string>(() => {}, false)
  made.deadline = deadline
  return made
}

const inOrder = (queue: WaiterQueue<string>) => {
  const order: Array<Waiter<string>> = []
  for (let next = queue.head; next !== undefined; next = next.behind) order.push(next)
  return order
}

/** a random number from 0 up to `below`, the same ones in every run */
const dice = (seed: number) => (below: number) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed % below
}

describe("WaiterQueue", () => {
  it("keeps the order of arrival, whatever the deadlines", () => {
    const queue = new WaiterQueue<string>()
    const waiters = [waiter(30), waiter(10), waiter(), waiter(20)]
    for (const each of waiters) queue.add(each)
    assert.deepStrictEqual(inOrder(queue), waiters)
    assert.strictEqual(queue.size, 4)
    assert.strictEqual(queue.tail, waiters[3])
  })

  it("gives up waiters at any place", () => {
    const queue = new WaiterQueue<string>()
    const [a, b, c, d] = [waiter(), waiter(), waiter(), waiter()]
    for (const each of [a, b, c, d]) queue.add(each)
    queue.remove(b)
    assert.deepStrictEqual(inOrder(queue), [a, c, d])
    queue.remove(a)
    queue.remove(d)
    assert.deepStrictEqual(inOrder(queue), [c])
    queue.remove(c)
    assert.isUndefined(queue.head)
    assert.isUndefined(queue.tail)
    assert.isFalse(c.queued)
    queue.add(a)
    assert.deepStrictEqual(inOrder(queue), [a])
  })

  it("knows the next deadline, and takes out those that have passed, earliest first", () => {
    const queue = new WaiterQueue<string>()
    for (const deadline of [50, 20, 40, Infinity, 10, 30]) queue.add(waiter(deadline))
    assert.strictEqual(queue.nextDeadline, 10)
    const taken: Array<number> = []
    for (let late = queue.takeExpired(30); late !== undefined; late = queue.takeExpired(30)) taken.push(late.deadline)
    assert.deepStrictEqual(taken, [10, 20, 30])
    assert.strictEqual(queue.nextDeadline, 40)
    assert.deepStrictEqual(inOrder(queue).map(({ deadline }) => deadline), [50, 40, Infinity])
  })

  it("is never confused by any sequence of arrivals and departures", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const roll = dice(seed)
      const queue = new WaiterQueue<string>()
      let model: Array<Waiter<string>> = []
      for (let step = 0; step < 200; step++) {
        const what = roll(5)
        if (what < 3) {
          const next = waiter(roll(4) === 0 ? Infinity : roll(1000))
          queue.add(next)
          model.push(next)
        } else if (what === 3 && model.length > 0) {
          const next = model[roll(model.length)]!
          queue.remove(next)
          model = model.filter((each) => each !== next)
        } else {
          const now = roll(500)
          const late = queue.takeExpired(now)
          const earliest = Math.min(...model.map(({ deadline }) => deadline))
          assert.strictEqual(late?.deadline, earliest <= now ? earliest : undefined)
          model = model.filter((each) => each !== late)
        }
        assert.strictEqual(queue.nextDeadline, Math.min(...model.map(({ deadline }) => deadline)))
      }
      assert.deepStrictEqual(inOrder(queue), model)
      assert.strictEqual(queue.size, model.length)
    }
  })

  it("lets a hundred thousand leave in any order without noticing", () => {
    const queue = new WaiterQueue<string>()
    const waiters = Array.from({ length: 100_000 }, (_, i) => waiter((i * 7919) % 100_000))
    for (const each of waiters) queue.add(each)
    for (const each of waiters) queue.remove(each)
    assert.strictEqual(queue.size, 0)
    assert.strictEqual(queue.nextDeadline, Infinity)
  })
})
