/**
 * Statements as reports show them: on one line, not too long, and without what is quoted in them, which may be a secret.
 */
import type { Driver } from "../Driver.js"

const longest = 120

const single = /'(?:[^'\\]|\\.|'')*(?:'|$)/gs
const double = /"(?:[^"\\]|\\.|"")*(?:"|$)/gs
const dollar = /\$([A-Za-z_]\w*)?\$.*?(?:\$\1\$|$)/gs

/** @internal */
export const shown = ({ compiler }: Driver, sql: string): string => {
  const text = sql.replace(dollar, "'…'").replace(single, "'…'")
  // elsewhere double quotes are for names
  const masked = compiler.dialect === "mysql" ? text.replace(double, "\"…\"") : text
  const line = masked.replace(/\s+/g, " ").trim()
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}
