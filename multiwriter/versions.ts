/**
 * Points in the history of a space: now, by their text, by the clock. Each is how far every log had come, at batch ends, so what
 * is read there is the same on every device that holds the logs so far, whatever is written, sealed or found out later.
 *
 * A time is only as good as the clocks were: `versionAt` gives, per log, all batches before the first one stamped later. So it
 * never shows anything stamped later; and a device whose clock once ran ahead is, from there on, missing from the versions of
 * the time until then, rather than shown with a hole. Costs one read through every log; in bulk, as it has no index to ask.
 */
import { MAX_MS, type CoreLength, type Version } from '../clock/index.ts'
import { unpackEntry } from '../crdt/index.ts'
import { TreeRefusal, type LogReader, type ReadOptions, type Work } from '../core/index.ts'
import { invalid } from '../errors.ts'
import { checkoutOf, momentNow, readVersion, versionOf } from './checkout.ts'
import type { Engine } from './engine.ts'
import { jsonDatabase, type MultiBee } from './multibee.ts'

/** A space as it was: reads, never writes. */
export interface Checkout {
  /** The text that names it. */
  readonly version: string
  /** The database then. Closing it closes nothing else; it closes with the space. */
  readonly db: MultiBee
}

/** Blocks read together: one storage read, or one round trip. */
const BLOCKS_AT_ONCE = 128

/** The version that a text names in this space. @throws VERSION_INVALID, VERSION_FOREIGN, VERSION_UNAVAILABLE */
export function versionIn({ tag }: Engine, text: unknown): Version {
  return readVersion(text, tag)
}

/** @throws VERSION_INVALID, VERSION_FOREIGN; what is not here, the first read tells */
export function checkoutSpace(engine: Engine, text: unknown): Checkout {
  const version = versionIn(engine, text)
  return { version: String(text), db: jsonDatabase(checkoutOf(engine, version)) }
}

/** How `space.at` reads, and how it says how far it is. */
export interface AtOptions extends ReadOptions, Work {}

/** @param time a Date, or milliseconds since 1970 */
export async function versionAt(
  engine: Engine,
  time: unknown,
  { signal, onprogress, ...options }: AtOptions = {}
): Promise<string> {
  const ms = msOf(time)
  const { view, acl } = await momentNow(engine, () => engine.view(options))
  const total = view.parts.reduce((sum, { tree }) => sum + tree.length, 0)
  let done = 0
  const onblocks = (count: number) => {
    signal?.throwIfAborted()
    done += count
    onprogress?.({ task: 'reading logs', done, total, unit: 'blocks' })
  }
  const lengths = view.parts.map(async ({ core, tree }) => {
    const log = engine.union.log(core)
    if (log === null) return { core, length: 0 }
    return { core, length: await lengthAt(log, tree.length, ms, options, onblocks) }
  })
  const then = await engine.union.at(withBlocks(await Promise.all(lengths)), options)
  return versionOf({ view: then, acl }, engine.tag)
}

/** A log that has nothing then is not part of the version. */
export function withBlocks<T extends CoreLength>(lengths: readonly T[]): readonly T[] {
  return lengths.filter(({ length }) => length > 0)
}

/**
 * How long the log was before the first batch that was stamped after `ms`.
 * @param onblocks told how many more were read; what it throws ends the search
 */
async function lengthAt(
  log: LogReader,
  end: number,
  ms: number,
  options: ReadOptions,
  onblocks: (count: number) => void
): Promise<number> {
  for (let from = 0; from < end; from += BLOCKS_AT_ONCE) {
    const to = Math.min(from + BLOCKS_AT_ONCE, end)
    const blocks = await log.written(from, to, options)
    onblocks(to - from)
    const later = blocks.find(({ entries }) =>
      entries.some(({ value, seq }) => isLater(value, log.key, seq, ms))
    )
    if (later === undefined) continue
    onblocks(end - to) // need not be read
    return wholeLength(log, later.batch, options)
  }
  return end
}

function isLater(value: Uint8Array, core: Uint8Array, seq: number, ms: number): boolean {
  const unpacked = unpackEntry(value, core, seq)
  return unpacked.ok && unpacked.entry.head.stamp.ms > ms
}

/** Where a batch begins is its writer's word: a length that ends no batch could not be checked out. */
async function wholeLength(log: LogReader, limit: number, options: ReadOptions): Promise<number> {
  try {
    return (await log.snapshot(Math.max(0, limit), options)).length
  } catch (error) {
    if (error instanceof TreeRefusal) return 0
    throw error
  }
}

/** @param time a Date, or milliseconds since 1970 @throws INVALID_ARGUMENT */
export function msOf(time: unknown): number {
  const ms = time instanceof Date ? time.getTime() : time
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_MS) return ms
  return invalid('time', 'a Date, or milliseconds since 1970', time)
}
