/**
 * Tells who wrote by compare-and-set when that write loses after all: another device wrote the key without having seen it, and
 * the fold lets the other win, be it at one field of an object. Told once; not told when a later write that had seen ours takes its place, for that one knew.
 *
 * The latest 10,000 such writes of this run are watched. A change of the union costs as much as it changed (changed.ts), and
 * nothing while no write is watched, nor for what we write ourselves.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import { compareStamps } from '../clock/index.ts'
import type { Conflict, Shown } from '../crdt/index.ts'
import { changedKeys } from './changed.ts'
import { iterate } from './cursor.ts'
import type { CasWrite } from './group.ts'
import { isReadAlike, type Part } from './part.ts'
import type { Union } from './union.ts'
import type { FoldedKey, Said, View } from './view.ts'

/** Beyond, the oldest are forgotten. */
export const MAX_WATCHED_WRITES = 10_000

export interface CasLoss {
  /** What lost: one of the conflicts now. Of an object, the first of its fields that lost. */
  readonly lost: Conflict<Said>
  /** What stands there now. */
  readonly folded: FoldedKey
}

export class CasLosses {
  readonly events = new EventEmitter<{ lost: [CasLoss] }>()
  readonly #union: Union
  readonly #writer: string
  /** By key (latin1), the oldest first. */
  readonly #writes = new Map<string, CasWrite>()
  /** Among them, those that were never looked at. */
  readonly #fresh = new Set<string>()
  /** As of when all others were looked at. */
  #shown: View | null = null
  #isChecking = false
  #isStale = false

  /** @param writer our own log, in text form */
  constructor(union: Union, writer: string) {
    this.#union = union
    this.#writer = writer
    union.events.on('change', this.#onchange)
    union.events.on('close', () => this.#writes.clear())
  }

  watch(writes: readonly CasWrite[]): void {
    if (writes.length === 0) return
    for (const write of writes) {
      const id = b4a.toString(write.key, 'latin1')
      this.#forget(id)
      this.#writes.set(id, write)
      this.#fresh.add(id)
    }
    for (const oldest of this.#writes.keys()) {
      if (this.#writes.size <= MAX_WATCHED_WRITES) break
      this.#forget(oldest)
    }
    this.#onchange()
  }

  #forget(id: string): void {
    this.#writes.delete(id)
    this.#fresh.delete(id)
  }

  readonly #onchange = (): void => {
    if (this.#writes.size === 0) return
    this.#isStale = true
    if (!this.#isChecking) void this.#check()
  }

  async #check(): Promise<void> {
    this.#isChecking = true
    const losses: CasLoss[] = []
    while (this.#isStale && this.#writes.size > 0) {
      this.#isStale = false
      // What cannot be read now is looked at again with the next change.
      losses.push(...(await this.#findLosses().catch(() => [])))
    }
    this.#isChecking = false
    for (const loss of losses) this.events.emit('lost', loss)
  }

  async #findLosses(): Promise<readonly CasLoss[]> {
    const view = await this.#union.view(LOCAL)
    const outcomes: [string, CasWrite, CasLoss | 'stands' | 'replaced'][] = []
    for (const id of await this.#touched(view)) {
      const write = this.#writes.get(id)
      if (write === undefined) continue
      outcomes.push([id, write, this.#outcome(write, await view.get(write.key, LOCAL))])
    }
    // Only now that all could be read, so that nothing is told twice.
    this.#shown = view
    return outcomes.flatMap(([id, write, outcome]) => {
      if (this.#writes.get(id) !== write) return []
      this.#fresh.delete(id)
      if (outcome === 'stands') return []
      this.#forget(id)
      return outcome === 'replaced' ? [] : [outcome]
    })
  }

  /** Which of the writes are to be looked at. */
  async #touched(view: View): Promise<ReadonlySet<string>> {
    const touched = new Set(this.#fresh)
    const isAllFresh = touched.size === this.#writes.size
    if (this.#shown === null || isAllFresh || isSameOfOthers(this.#shown, view)) return touched
    for await (const key of iterate(changedKeys(this.#shown, view, {}, LOCAL))) {
      const id = b4a.toString(key, 'latin1')
      if (this.#writes.has(id)) touched.add(id)
    }
    return touched
  }

  #outcome(write: CasWrite, folded: FoldedKey): CasLoss | 'stands' | 'replaced' {
    const isOurs = ({ said, stamp }: Shown<Said>) =>
      said.writer === this.#writer && compareStamps(stamp, write.stamp) === 0
    const lost = folded.conflicts.find(({ of }) => isOurs(of))
    if (lost !== undefined) return { lost, folded }
    const isThere = folded.shown.some(isOurs) || (folded.winner !== null && isOurs(folded.winner))
    return isThere ? 'stands' : 'replaced'
  }
}

/** What we write ourselves has seen our earlier writes, and beats none of them. */
function isSameOfOthers(one: View, other: View): boolean {
  if (one === other) return true
  const before = new Map(one.parts.map((part) => [part.writer, part]))
  const isSame = (part: Part) => {
    const known = before.get(part.writer)
    return known !== undefined && (part.isOwn || isReadAlike(known, part))
  }
  return one.parts.length === other.parts.length && other.parts.every(isSame)
}

/** Never waits for the network. */
const LOCAL = { wait: false }
