import { assert, describe, it } from "@effect/vitest"
import { Entry } from "../src/internal/entry.js"
import { IdleStore } from "../src/internal/idleStore.js"

const entry = (id: number, idleSince: number) => {
  const made = new Entry<string>(id, 0)
  made.idleSince = idleSince
  return made
}

const ids = (store: IdleStore<string>) => Array.from(store, ({ id }) => id)

describe("IdleStore", () => {
  it("offers the newest, and walks from the oldest", () => {
    const store = new IdleStore<string>("lifo")
    for (const id of [1, 2, 3]) store.add(entry(id, id))
    assert.strictEqual(store.peek()?.id, 3)
    assert.strictEqual(store.oldest?.id, 1)
    assert.deepStrictEqual(ids(store), [1, 2, 3])
  })

  it("puts one that was taken out to be validated back in its old place", () => {
    const store = new IdleStore<string>("lifo")
    const [a, b, c] = [entry(1, 10), entry(2, 20), entry(3, 30)]
    for (const each of [a, b, c]) store.add(each)
    for (const each of [b, a, c]) {
      store.remove(each)
      store.add(each)
      assert.deepStrictEqual(ids(store), [1, 2, 3])
    }
  })

  it("puts the later of two that came back at the same time in front", () => {
    const store = new IdleStore<string>("lifo")
    store.add(entry(1, 10))
    store.add(entry(2, 10))
    assert.strictEqual(store.peek()?.id, 2)
  })

  it("gives up any, and is empty afterwards", () => {
    const store = new IdleStore<string>("lifo")
    const entries = [1, 2, 3, 4].map((id) => entry(id, id))
    for (const each of entries) store.add(each)
    for (const i of [1, 3, 0]) store.remove(entries[i]!)
    assert.deepStrictEqual(ids(store), [3])
    assert.strictEqual(store.size, 1)
    store.remove(entries[2]!)
    assert.isUndefined(store.peek())
    assert.isUndefined(store.oldest)
    assert.strictEqual(store.size, 0)
  })

  it("may lose the one just walked over", () => {
    const store = new IdleStore<string>("lifo")
    for (const id of [1, 2, 3, 4]) store.add(entry(id, id))
    const seen: Array<number> = []
    for (const each of store) {
      seen.push(each.id)
      if (each.id % 2 === 1) store.remove(each)
    }
    assert.deepStrictEqual(seen, [1, 2, 3, 4])
    assert.deepStrictEqual(ids(store), [2, 4])
  })
})
