/**
 * How long a run takes: `full` for figures, `quick` for an impression, `tiny` to see that everything works.
 */
export interface Size {
  readonly name: "full" | "quick" | "tiny"
  /** how often each contestant has its turn */
  readonly rounds: number
  /** how long a turn is meant to last, in milliseconds; 0 is as short as can be */
  readonly turn: number
  /** how long each contestant runs before anything counts, in milliseconds */
  readonly warmUp: number
  /** how long all turns together may take, in milliseconds: on a slow machine there are fewer */
  readonly atMost: number
  /** how often what cannot be split into turns (a burst, an outage) is repeated */
  readonly repeats: number
}

export const sizes = {
  full: { name: "full", rounds: 31, turn: 50, warmUp: 1000, atMost: 60_000, repeats: 7 },
  quick: { name: "quick", rounds: 9, turn: 8, warmUp: 200, atMost: 800, repeats: 3 },
  tiny: { name: "tiny", rounds: 2, turn: 0, warmUp: 0, atMost: 60_000, repeats: 1 }
} as const satisfies Record<string, Size>
