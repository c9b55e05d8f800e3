/**
 * Transactions of one connection. JDBC has no statement that begins one: it is open while autocommit is off, and what it
 * needs besides (its isolation level, its access mode) is a property of the connection, which is given back afterwards.
 */
import type { TransactionOptions } from "@dbpool/sql/Transaction"
import type { AvaticaConnection } from "./connection.js"
import type { ConnectionProperties } from "./schema.js"

/** JDBC's numbers */
const isolations = {
  "read uncommitted": 1,
  "read committed": 2,
  "repeatable read": 4,
  "serializable": 8
} as const

/** @internal */
export class Transaction {
  isOpen = false
  /** what it has changed besides, as it was before */
  private restoring: Partial<ConnectionProperties> = {}

  constructor(private readonly connection: AvaticaConnection) {}

  async begin({ accessMode, isolation }: TransactionOptions): Promise<void> {
    // if only a part of it works, or nobody hears whether it did, it has to be undone
    this.isOpen = true
    const { readOnly, transactionIsolation } = this.connection.opened ?? {}
    this.restoring = {
      ...(isolation === undefined ? {} : { transactionIsolation: transactionIsolation ?? 0 }),
      ...(accessMode === undefined ? {} : { readOnly: readOnly ?? false, hasReadOnly: true })
    }
    await this.connection.sync({
      autoCommit: false,
      hasAutoCommit: true,
      ...(isolation === undefined ? {} : { transactionIsolation: isolations[isolation] }),
      ...(accessMode === undefined ? {} : { readOnly: accessMode === "read only", hasReadOnly: true })
    })
  }

  async commit(): Promise<"committed"> {
    await this.connection.call("Commit", {})
    // it is committed, whatever becomes of the rest; a connection that cannot be restored is broken
    await this.restore().catch((cause) => this.connection.breaks(cause))
    return "committed"
  }

  async rollback(): Promise<void> {
    // autocommit may have been switched off by a statement
    if (!this.isOpen && (await this.connection.sync({}))?.autoCommit !== false) return
    await this.connection.call("Rollback", {})
    await this.restore()
  }

  private async restore(): Promise<void> {
    await this.connection.sync({ ...this.restoring, autoCommit: true, hasAutoCommit: true })
    this.restoring = {}
    this.isOpen = false
  }
}
