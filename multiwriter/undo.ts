/**
 * Undoing: old values written again, as new entries of this device. Nothing is taken out of history, so an undo can be undone.
 *
 * `restore` gives a range the values it had at a version. Each key goes back at one moment: what was written to it before that
 * moment goes, what is written after it stays.
 *
 * `revert` undoes one writer's later work, and nobody else's. A key is written only where something that shows is that
 * later work's; it gets what shows without it: the fold of the same entries, with that one log at its older length. So of an object
 * only the fields change that this writer wrote. Where somebody else has written over it since, or wins over it, the key is left
 * alone. Of sets and flags also what that writer took away comes back, which nothing that shows tells of. Of a counter everything
 * that the writer ever added is taken out, and what counted of it then is added here: to add what makes up for the later increments
 * would do so again the next time. So reverting twice is reverting once, and two devices that revert at once write the same; but to
 * a counter, both add what is taken out and belongs there. The test's slow twin folds everything from scratch (test/oracle/revert.ts).
 *
 * Both first read all they need, so that what is missing is told before anything is written; then they write in batches that
 * are each whole, and look again at each key just before. What only a newer version can read is left alone, and counted.
 */
import b4a from 'b4a'
import { checkOptions, invalid } from '../errors.ts'
import type { CoreLength } from '../clock/index.ts'
import { encodeValue, type WriteOperation } from '../crdt/index.ts'
import type { ReadOptions, TreeRange, Work } from '../core/index.ts'
import { changedKeys } from './changed.ts'
import { lengthsOf, viewAt } from './checkout.ts'
import { iterate } from './cursor.ts'
import { keyEncodingOf } from './encodings.ts'
import { closedError, type Engine } from './engine.ts'
import { isSameShown, isUnreadable } from './entry.ts'
import type { NextWrite, Operation } from './group.ts'
import { Keyspace, pathOf, splitKey, type Range, type SubPath } from './keyspace.ts'
import { placeToText } from './link.ts'
import { checkRead, checkWork, WORK_OPTIONS } from './options.ts'
import { isReachable, isSameState, stepsTo } from './steps-to.ts'
import { versionIn, withBlocks } from './versions.ts'
import type { FoldedKey, View } from './view.ts'
import type { WriteQueue } from './write-queue.ts'

/**
 * What to undo: with bounds, these keys of one database; without, the whole database with all that are nested in it.
 * `wait` and `timeout` as for reads. Stopped by `signal`, the batches that are written stay; calling again does the rest.
 */
export interface UndoOptions extends Range<string | Uint8Array>, ReadOptions, Work {
  /** The sub-database: its name, or the names on the way. Default: the database of the space. */
  readonly sub?: SubPath
}

export interface RevertOptions extends UndoOptions {
  /** Whose work, as entries name it. */
  readonly writer: string
  /** The version up to which that work stays. */
  readonly after: string
}

/** How many keys. */
export interface RestoreReport {
  /** Got their old value. */
  readonly written: number
  /** Were not there then, and are deleted. */
  readonly deleted: number
  /** Were left alone: only a newer version can read what is there, or was. */
  readonly skipped: number
}

export interface RevertReport extends RestoreReport {
  /**
   * Keys that were left alone, as what shows there is somebody else's, or a counter that has become something
   * else, or was: in the form of links' paths, `db:sub/key`.
   */
  readonly kept: readonly string[]
}

type Verdict =
  | { readonly kind: 'write'; readonly operation: Operation; readonly isDeletion: boolean }
  /** The value is the same already. */
  | { readonly kind: 'same' }
  /** What shows is somebody else's. */
  | { readonly kind: 'kept' }
  /** Only a newer version can read it, or a merge type of a user made it. */
  | { readonly kind: 'unreadable' }

type Write = Extract<Verdict, { readonly kind: 'write' }>

/** What to do about a key as things are now. */
type Judge = (key: Uint8Array) => Promise<Verdict>

const UNDO_OPTIONS = ['gt', 'gte', 'lt', 'lte', 'wait', 'timeout', 'sub', ...WORK_OPTIONS]

/** So many keys between two words of progress. */
const KEYS_PER_REPORT = 256

/** A batch ends here: as large as a group of the write queue takes well, and soon done. */
const MAX_BATCH_KEYS = 1000
const MAX_BATCH_BYTES = 1024 * 1024

/** A writer that goes on writing to a key may be ahead of us each time. */
const MAX_TRIES = 8

/** @throws VERSION_ codes, BLOCK_UNAVAILABLE: then nothing was written */
export async function restore(
  engine: Engine,
  text: unknown,
  given: UndoOptions
): Promise<RestoreReport> {
  checkOptions('restore', given, UNDO_OPTIONS)
  const { range, read, work } = rangeOf(given)
  const then = await viewAt(engine, versionIn(engine, text), read)
  const judgeNow = async (): Promise<Judge> => {
    const now = await engine.view(read)
    return (key) => judgeRestore(key, then, now, read)
  }
  const changed = changedKeys(then, await engine.view(read), range, read)
  const { written, deleted, skipped } = await new Undo(engine, judgeNow, work).run(iterate(changed))
  return { written, deleted, skipped }
}

/** @throws INVALID_ARGUMENT for a writer that is not of this space; VERSION_ codes, BLOCK_UNAVAILABLE: then nothing was written */
export async function revert(engine: Engine, given: RevertOptions): Promise<RevertReport> {
  checkOptions('revert', given, [...UNDO_OPTIONS, 'writer', 'after'])
  const { writer, after } = given
  const { range, read, work } = rangeOf(given)
  const { data } = versionIn(engine, after)
  await engine.union.ready()
  const log = engine.union.logs().find(({ id }) => id === writer)
  if (log === undefined) return invalid('writer', 'a writer of this space', writer)
  const length = data.find(({ core }) => b4a.equals(core, log.key))?.length ?? 0
  const older: CoreLength = { core: log.key, length }
  const views = async () => {
    const now = await engine.view(read)
    const others = lengthsOf(now).filter(({ core }) => !b4a.equals(core, log.key))
    return { now, without: await engine.union.at(withBlocks([...others, older]), read) }
  }
  const judgeNow = async (): Promise<Judge> => {
    const { now, without } = await views()
    return (key) => judgeRevert(key, older, now, without, read)
  }
  const { now, without } = await views()
  const undo = new Undo(engine, judgeNow, work)
  // A seal may count less of the log than the version does: then none of its later work shows.
  if (now.admitted(log.key) <= length) return undo.report
  return undo.run(iterate(changedKeys(without, now, range, read)))
}

async function judgeRestore(
  key: Uint8Array,
  then: View,
  now: View,
  read: ReadOptions
): Promise<Verdict> {
  const current = await foldWritable(now, key, read)
  const old = await then.get(key, read)
  if (current === null || isUnreadable(old)) return UNREADABLE
  if (isSameState(old, current)) return SAME
  return isReachable(old) ? writeBack(key, old) : UNREADABLE
}

/** @param work what is in this log from this block on */
async function judgeRevert(
  key: Uint8Array,
  work: CoreLength,
  now: View,
  without: View,
  read: ReadOptions
): Promise<Verdict> {
  const current = await foldWritable(now, key, read)
  const rest = await without.get(key, read)
  if (current === null || isUnreadable(rest)) return UNREADABLE
  const isShown = isWorkOf(current, work)
  const isSame = isSameState(rest, current)
  if (!isShown && (isSame || !isOfDots(current, rest))) return KEPT
  if (isSame) return SAME
  if (!isReachable(rest)) return UNREADABLE
  // What somebody writes there meanwhile is not that writer's work.
  const cas = (previous: FoldedKey) => isSameShown(previous, current)
  if (current.type !== 'counter' && rest.type !== 'counter') return writeBack(key, rest, cas)
  if (current.type !== 'counter' || (rest.exists && rest.type !== 'counter')) return KEPT
  const first = await firstStep(key, work.core, now, without, read)
  return writeBack(key, rest, cas, stepsAfter(first, rest))
}

/** Whether both are the same set or flag: there is no more to it than elements that come and go. */
function isOfDots({ type }: FoldedKey, rest: FoldedKey): boolean {
  return (type === 'set' || type === 'flag') && (rest.type === type || rest.type === null)
}

/** What takes a log's later work out of a counter: what it has added; or everything, where it has deleted what others had added. */
async function firstStep(
  key: Uint8Array,
  core: Uint8Array,
  now: View,
  older: View,
  read: ReadOptions
): Promise<WriteOperation> {
  const [later, before] = await Promise.all(
    [now, older].map(async (view) => {
      const { entries } = await view.said(key, read)
      const entry = entries.find((said) => b4a.equals(said.core, core))?.entry
      return entry?.type === 'counter' ? entry.baselines : []
    })
  )
  const isSame = later?.every(({ position }, i) => {
    const other = before?.[i]?.position
    return other?.seq === position.seq && b4a.equals(other.core, position.core)
  })
  return isSame === true ? { do: 'forget', core } : { do: 'del' }
}

function stepsAfter(first: WriteOperation, goal: FoldedKey): NextWrite {
  const next = stepsTo(goal)
  return (now, step) => (step === 0 ? first : next(now, step))
}

/** Whether anything that shows at a key, its deletion included, is what this writer wrote from a block on. */
function isWorkOf({ shown, winner }: FoldedKey, { core, length }: CoreLength): boolean {
  const writes = shown.length > 0 || winner === null ? shown : [winner]
  return writes.some(({ said, position }) => b4a.equals(said.core, core) && position.seq >= length)
}

function writeBack(
  key: Uint8Array,
  goal: FoldedKey,
  cas?: Operation['cas'],
  write = stepsTo(goal)
): Verdict {
  const size = goal.exists ? encodeValue(goal.value).byteLength : 0
  const operation = { key, write, size, ...(cas === undefined ? {} : { cas }) }
  return { kind: 'write', operation, isDeletion: !goal.exists }
}

const SAME = { kind: 'same' } as const
const KEPT = { kind: 'kept' } as const
const UNREADABLE = { kind: 'unreadable' } as const

/** What shows at a key; null where only a newer version can read it, or our own entry there, which a write would replace. */
async function foldWritable(
  view: View,
  key: Uint8Array,
  read: ReadOptions
): Promise<FoldedKey | null> {
  const folded = await view.get(key, read)
  const { entries, isOwnUnsupported } = await view.said(key, read)
  const isOwnUnknown = entries.some(({ isOwn, entry }) => isOwn && entry.type === 'unknown')
  return isOwnUnsupported || isOwnUnknown || isUnreadable(folded) ? null : folded
}

/** One run over keys: judges them all, then writes batch by batch, judging again. */
class Undo {
  readonly #engine: Engine
  readonly #judgeNow: () => Promise<Judge>
  readonly #work: Work
  #written = 0
  #deleted = 0
  #skipped = 0
  readonly #kept: string[] = []

  constructor(engine: Engine, judgeNow: () => Promise<Judge>, work: Work) {
    this.#engine = engine
    this.#judgeNow = judgeNow
    this.#work = work
  }

  get report(): RevertReport {
    const [written, deleted, skipped] = [this.#written, this.#deleted, this.#skipped]
    return { written, deleted, skipped, kept: this.#kept }
  }

  async run(keys: AsyncIterable<Uint8Array>): Promise<RevertReport> {
    const toWrite = await this.#judgeAll(keys)
    const total = toWrite.length
    for (let done = 0; done < total;) {
      this.#work.signal?.throwIfAborted()
      done += await this.#writeBatch(toWrite, done)
      this.#work.onprogress?.({ task: 'writing old values', done, total, unit: 'keys' })
    }
    return this.report
  }

  /** The keys to write; of the others it is noted why not. */
  async #judgeAll(keys: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
    const judge = await this.#judgeNow()
    const toWrite: Uint8Array[] = []
    let done = 0
    for await (const key of keys) {
      this.#work.signal?.throwIfAborted()
      if (++done % KEYS_PER_REPORT === 0) {
        this.#work.onprogress?.({ task: 'comparing', done, unit: 'keys' })
      }
      const verdict = await judge(key)
      if (verdict.kind === 'write') toWrite.push(key)
      else this.#note(key, verdict)
    }
    return toWrite
  }

  /** @returns how many keys were dealt with */
  async #writeBatch(keys: readonly Uint8Array[], from: number): Promise<number> {
    const judge = await this.#judgeNow()
    const writes: Write[] = []
    let bytes = 0
    let at = from
    for (; at < keys.length && at - from < MAX_BATCH_KEYS && bytes < MAX_BATCH_BYTES; at++) {
      const key = keys[at] ?? NO_KEY
      const verdict = await judge(key)
      if (verdict.kind !== 'write') {
        this.#note(key, verdict)
        continue
      }
      writes.push(verdict)
      bytes += key.byteLength + verdict.operation.size
    }
    if (!(await this.#write(writes))) {
      for (const { operation } of writes) await this.#writeAlone(operation.key)
    }
    return at - from
  }

  /** Somebody wrote to a key of the batch meanwhile: that concerns that key only. */
  async #writeAlone(key: Uint8Array): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const judge = await this.#judgeNow()
      const verdict = await judge(key)
      if (verdict.kind !== 'write') return this.#note(key, verdict)
      if (await this.#write([verdict])) return
    }
    this.#note(key, KEPT)
  }

  async #write(writes: readonly Write[]): Promise<boolean> {
    if (writes.length === 0) return true
    if (this.#engine.isClosed()) throw closedError()
    const operations = writes.map(({ operation }) => operation)
    if ((await queueOf(this.#engine).write(operations)) === null) return false
    const deleted = writes.filter(({ isDeletion }) => isDeletion).length
    this.#deleted += deleted
    this.#written += writes.length - deleted
    return true
  }

  #note(key: Uint8Array, { kind }: Verdict): void {
    if (kind === 'unreadable') this.#skipped++
    if (kind === 'kept') this.#kept.push(placeToText(splitKey(key)))
  }
}

const NO_KEY = new Uint8Array(0)

function queueOf({ queue }: Engine): WriteQueue {
  return queue ?? invalid('space', 'a space that can be written to', null)
}

function rangeOf(given: UndoOptions): {
  readonly range: TreeRange
  readonly read: ReadOptions
  readonly work: Work
} {
  const { sub = [], wait = true, timeout = 0, gt, gte, lt, lte, signal, onprogress } = given
  checkRead({ wait, timeout })
  checkWork(given)
  const space = new Keyspace(pathOf(sub))
  const isBounded = [gt, gte, lt, lte].some((bound) => bound !== undefined)
  return {
    range: isBounded ? space.range(given, encodeBound) : space.whole,
    read: { wait, timeout },
    work: { signal, onprogress }
  }
}

/** Bytes as they are: for keys of any encoding. */
function encodeBound(key: string | Uint8Array): Uint8Array {
  return key instanceof Uint8Array ? key : keyEncodingOf<string>('utf-8').encode(key)
}
