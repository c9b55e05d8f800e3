/**
 * Medians, and how far they can be trusted: no assumption is made about how times are spread, since they are skewed by
 * garbage collection and by whatever else the machine does.
 */

const sorted = (values: ReadonlyArray<number>): ReadonlyArray<number> => [...values].sort((a, b) => a - b)

export const median = (values: ReadonlyArray<number>): number => {
  const ordered = sorted(values)
  const middle = ordered.length >> 1
  return ordered.length % 2 === 1 ? ordered[middle]! : (ordered[middle - 1]! + ordered[middle]!) / 2
}

/** The 95 % interval of the median by order statistics; with less than six values it is all of them. */
export const interval = (values: ReadonlyArray<number>): readonly [low: number, high: number] => {
  const ordered = sorted(values)
  const n = ordered.length
  const low = Math.max(0, lowerRank(n) - 1)
  return [ordered[low]!, ordered[n - 1 - low]!]
}

/** the largest rank r such that fewer than r of n fair coins come up heads at most once in forty times */
const lowerRank = (n: number): number => {
  let chance = 0.5 ** n
  let sum = 0
  for (let rank = 0; rank <= n; rank++) {
    sum += chance
    if (sum > 0.025) return rank
    chance *= (n - rank) / (rank + 1)
  }
  return n
}
