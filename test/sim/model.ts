/**
 * What must be visible at the end, kept apart from all that the devices store: each acknowledged write, and how far its device
 * held every log at that time. A write covers what its device held; what nobody covers and its own device did not write over
 * must be shown, as the winner or as a conflict; everything else must not.
 */
export interface ModelWrite {
  readonly device: string
  readonly key: string
  /** Null for a deletion. */
  readonly id: string | null
  /** The length of its log from which on it is held. */
  readonly end: number
  /** By device, how far its log was held, at least and at most. */
  readonly atLeast: ReadonlyMap<string, number>
  readonly atMost: ReadonlyMap<string, number>
}

export class Model {
  readonly #writes: ModelWrite[] = []

  add(write: ModelWrite): void {
    this.#writes.push(write)
  }

  /** Throws when `shown`, the ids of winner and conflicts by key, lacks a write or shows one that is over. */
  check(shown: ReadonlyMap<string, readonly string[]>): void {
    for (const write of this.#writes) {
      if (write.id === null) continue
      const isShown = shown.get(write.key)?.includes(write.id) === true
      if (!isShown && !this.#isOver(write, 'atMost'))
        throw new Error(`${write.id} at ${write.key} disappeared, and no write had seen it`)
      if (isShown && this.#isOver(write, 'atLeast'))
        throw new Error(`${write.id} at ${write.key} is shown, though a later write had seen it`)
    }
  }

  #isOver(write: ModelWrite, held: 'atLeast' | 'atMost'): boolean {
    return this.#writes.some(
      (other) =>
        other.key === write.key &&
        other !== write &&
        (other.device === write.device
          ? other.end > write.end
          : (other[held].get(write.device) ?? 0) >= write.end)
    )
  }
}
