/**
 * A row of the table: what one of the systems that we replace does, or does wrong, how it is done here, and the tests that
 * prove it, by their file below `packages` and their title: `core/timeout: of zero still takes what is there`.
 */

/** a behaviour of theirs that makes sense here, too */
export const row = (theirs, ours, tests) => ({ kind: "behaviour", theirs, ours, tests })

/** a bug or a limit of theirs, and tests that show ours doing better */
export const bug = (theirs, ours, tests) => ({ kind: "bug", theirs, ours, tests })

/** what makes no sense here, and why */
export const leftOut = (theirs, reason) => ({ kind: "left out", theirs, reason, tests: [] })
