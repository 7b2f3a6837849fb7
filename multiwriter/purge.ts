/**
 * Forgetting what a key was. Every earlier value that this device has written there is cleared from its log, block by block,
 * with whatever else stood in these blocks; the key keeps the value that it has now (delete it first, to leave nothing but the
 * deletion). The log says so itself (cleared.ts), and every device of the space that holds it, connected now or later, clears
 * its copies. What cannot be promised is part of the report.
 */
import type { HybridLogicalClock } from '../clock/index.ts'
import { unpackEntry } from '../crdt/index.ts'
import {
  countBlocks,
  isIn,
  joinRanges,
  type LogReader,
  type OwnLog,
  type TreeEntry,
  type Work
} from '../core/index.ts'
import { clearOwnBlocks, settleClearing } from './rewrite.ts'
import type { Union } from './union.ts'
import type { WriteQueue } from './write-queue.ts'

export interface PurgeReport {
  /** Blocks of this device's log that were cleared now. */
  readonly blocks: number
  /** Bytes in them. */
  readonly bytes: number
  /** Whether the live entries had to be written anew, because some stood in those blocks. */
  readonly rewritten: boolean
  /** Devices that are connected, and whether each has said that it cleared its copies. */
  readonly peers: readonly PurgePeer[]
  /** Other writers' logs that hold values of this key, now or in their history: only their writers can clear them. */
  readonly others: readonly string[]
  /** What cannot be promised, for people. */
  readonly caveat: string
}

export interface PurgePeer {
  readonly peer: string
  readonly confirmed: boolean
}

const CAVEAT =
  'What others have read or copied cannot be recalled, and a device that is offline keeps its copies until it connects.'

/** Stopped by `signal`, either nothing is done, or what was declared is cleared now or at the next opening. */
export interface PurgeOptions extends Work {
  /**
   * Waits until every device that is connected has cleared its copies, or until this aborts, which is no error:
   * `AbortSignal.timeout(5000)`. Without, returns when this device is done.
   */
  readonly until?: AbortSignal | undefined
}

export interface PurgeParts {
  readonly union: Union
  readonly own: OwnLog
  readonly clock: HybridLogicalClock
  readonly queue: WriteQueue
  /** Connected devices, and whether each has cleared our log up to its newest declaration. */
  peers(since: number): readonly PurgePeer[]
  /** Calls back whenever a device connects, leaves, or has cleared something; returns how to stop. */
  onpeers(listener: () => void): () => void
}

/** Clears what was at a key of the bee. */
export async function purgeKey(
  parts: PurgeParts,
  key: Uint8Array,
  { until, ...work }: PurgeOptions = {}
): Promise<PurgeReport> {
  const { union, own, queue } = parts
  await union.ready()
  const log = union.log(own.core.key)
  if (log === null) throw new TypeError('The own log is not among the writers')
  const done = await queue.alone(() => clearKey(parts, log, key, work))
  const since = log.clearing?.cleared?.since ?? 0
  if (until !== undefined && since > 0) {
    await allConfirmed(parts, since, anySignal(until, work.signal))
    work.signal?.throwIfAborted()
  }
  return {
    ...done,
    peers: parts.peers(since),
    others: await holders(union, log, key, work),
    caveat: CAVEAT
  }
}

function anySignal(a: AbortSignal, b: AbortSignal | undefined): AbortSignal {
  return b === undefined ? a : AbortSignal.any([a, b])
}

async function clearKey({ own, clock }: PurgeParts, log: LogReader, key: Uint8Array, work: Work) {
  const now = await own.tree.snapshot().get(key, { wait: false })
  const written = await log.blocksOf(key, work)
  const old = written.filter(({ seq }) => seq < bornAt(own, now)).flatMap(({ blocks }) => blocks)
  const declared = log.clearing?.cleared?.ranges ?? []
  const ranges = joinRanges(
    old.filter((seq) => !isIn(declared, seq)).map((seq) => ({ start: seq, end: seq + 1 }))
  )
  if (ranges.length === 0) {
    // What an earlier call declared and could not finish.
    await settleClearing(log, own)
    return { blocks: 0, bytes: 0, rewritten: false }
  }
  const sizes = await log.blockSizes(work)
  const bytes = sizes.reduce<number>(
    (sum, size, seq) => sum + (isIn(ranges, seq) ? (size ?? 0) : 0),
    0
  )
  const rewritten = await clearOwnBlocks(log, own, clock, ranges, { ...work, except: key })
  return { blocks: countBlocks(ranges), bytes, rewritten }
}

/** The block in which what stands there now was first written: what comes later is the same, carried on. */
function bornAt({ core }: OwnLog, now: TreeEntry | null): number {
  if (now === null) return Infinity
  const unpacked = unpackEntry(now.value, core.key, now.seq)
  return unpacked.ok ? unpacked.entry.head.position.seq : now.seq
}

/** Other logs with any block, here, that wrote the key. */
async function holders(
  union: Union,
  own: LogReader,
  key: Uint8Array,
  work: Work
): Promise<readonly string[]> {
  const found: string[] = []
  for (const log of union.logs()) {
    if (log !== own && (await log.blocksOf(key, work)).length > 0) found.push(log.id)
  }
  return found
}

function allConfirmed(parts: PurgeParts, since: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      stop()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const look = () => {
      if (parts.peers(since).every(({ confirmed }) => confirmed)) end()
    }
    const stop = parts.onpeers(look)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    else look()
  })
}
