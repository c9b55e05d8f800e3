/**
 * Programs that tests need and no npm package has: from the Debian packages of this machine.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as aptPackage from "./internal/aptPackage.js"

/**
 * The program is not there. The message says why and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class DebianPackageError extends Data.TaggedError("DebianPackageError")<{ readonly message: string }> {}

/**
 * The first of these files that exists; if none does, the package that has it is installed, where this is Debian and we are
 * root. Fails with `DebianPackageError` where it cannot be had.
 *
 * @since 0.1.0
 * @category constructors
 */
export const program = (
  name: string,
  files: ReadonlyArray<string>
): Effect.Effect<string, DebianPackageError> =>
  Effect.mapError(aptPackage.program(name, files), (message) => new DebianPackageError({ message }))
