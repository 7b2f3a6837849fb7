/**
 * Invites, as the pass (pass.ts) meets with them: which there are, and whom each has let in. A grant that names an invite stands for one use of
 * it. Devices that let in at the same time, without knowing of each other, may come to more uses than there are; then those count that
 * the pass reads first, which is the same on every device.
 */
import type { Entry, History } from './history.ts'
import type { GrantRecord, Head, InviteRecord, Key } from './records.ts'

/** What an invite has come to. */
export interface Invite {
  /** Names its record. */
  readonly head: Head
  readonly record: InviteRecord
  /** Whose it is. */
  readonly identity: Key
  readonly isWithdrawn: boolean
  /** Devices that it has let in, and that count. */
  readonly devices: readonly Key[]
}

export class Invites {
  readonly #history: History
  /** Those that count, with whom they are of. */
  readonly #made = new Map<Entry, Key>()
  readonly #withdrawn = new Set<Entry>()
  readonly #uses = new Map<Entry, Set<Key>>()

  constructor(history: History) {
    this.#history = history
  }

  make(entry: Entry, identity: Key): void {
    this.#made.set(entry, identity)
  }

  /** @returns false for what its author has not seen as an invite */
  withdraw(entry: Entry, invite: Head): boolean {
    const made = this.#find(entry, invite)
    if (made !== null) this.#withdrawn.add(made)
    return made !== null
  }

  /**
   * RULE 12: Of the grants that name one invite and count otherwise, those to the first devices count, as many as it has uses.
   * @returns why the grant does not count
   */
  refuses(entry: Entry, { invite, member: { device } }: GrantRecord): string | null {
    if (invite === undefined) return null
    const made = this.#find(entry, invite)
    if (made === null) return 'it names no invite that it had seen'
    const used = this.#uses.get(made)
    if (used === undefined || used.has(device) || used.size < usesOf(made)) return null
    return 'the invite had let in as many others as it may'
  }

  /** To be called for a grant that counts. */
  use(entry: Entry, { invite, member: { device } }: GrantRecord): void {
    const made = invite === undefined ? null : this.#find(entry, invite)
    if (made === null) return
    this.#uses.set(made, (this.#uses.get(made) ?? new Set()).add(device))
  }

  list(): readonly Invite[] {
    return [...this.#made].flatMap(([entry, identity]) => {
      const { record, core, index, treeHash } = entry
      if (typeof record === 'string' || record.kind !== 'invite') return []
      const head = { core, length: index + 1, treeHash }
      const devices = [...(this.#uses.get(entry) ?? [])]
      return { head, record, identity, isWithdrawn: this.#withdrawn.has(entry), devices }
    })
  }

  /** Whether whoever made it still may does not matter here: who lets in by it answers for that. */
  #find(by: Entry, head: Head): Entry | null {
    const made = this.#history.at(head)
    if (made === null || usesOf(made) === 0 || !this.#history.sees(by, made)) return null
    return made
  }
}

function usesOf({ record }: Entry): number {
  return typeof record !== 'string' && record.kind === 'invite' ? record.uses : 0
}
