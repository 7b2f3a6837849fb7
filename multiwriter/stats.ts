/**
 * Where the bytes are: per log what the newest tree still reads (live) and what only earlier versions read (history), the local
 * index, and the whole folder. Every block that is here is read once, and every node of the live trees.
 */
import { isManyhandsError } from '../errors.ts'
import {
  TreeRefusal,
  type DeviceStore,
  type LogReader,
  type ReadOptions,
  type Work
} from '../core/index.ts'
import type { Union } from './union.ts'
import type { Part } from './part.ts'

export interface LogStats {
  /** The log, in text form. */
  readonly writer: string
  readonly isOwn: boolean
  /** Blocks that its writer has signed. */
  readonly length: number
  /** Blocks of them that are on this device. */
  readonly held: number
  /** Bytes of the blocks that are on this device. */
  readonly bytes: number
  /** Of these, what reading the newest state needs. Null where the tree is not here as a whole, as in a sparse space. */
  readonly liveBytes: number | null
  /** The rest: earlier values, and tree nodes of earlier versions. */
  readonly historyBytes: number | null
}

export interface SpaceStats {
  readonly logs: readonly LogStats[]
  /** Bytes of the local index; null where there is none. */
  readonly indexBytes: number | null
  /** Bytes of all files of the device's store: all its spaces, what the database keeps beside the blocks, and what it has not compacted yet. */
  readonly storeBytes: number
}

export interface StatsParts {
  readonly store: DeviceStore
  readonly union: Union
  readonly indexBytes: () => Promise<number | null>
}

export async function statsOf(
  { store, union, indexBytes }: StatsParts,
  { signal, onprogress }: Work
): Promise<SpaceStats> {
  const view = await union.view(HERE)
  const logs: LogStats[] = []
  // Each log is read twice: its blocks, and the tree in them.
  const total = 2 * sum(view.parts.map(({ core }) => union.log(core)?.signedLength ?? 0))
  let before = 0
  for (const part of view.parts) {
    const log = union.log(part.core)
    if (log === null) continue
    const onblocks = (done: number) =>
      onprogress?.({ task: 'counting', done: before + done, total, unit: 'blocks' })
    logs.push(await logStats(log, part, onblocks, signal))
    before += 2 * log.signedLength
  }
  return {
    logs,
    indexBytes: await indexBytes(),
    storeBytes: await store.bytes()
  }
}

const HERE: ReadOptions = { wait: false }

async function logStats(
  log: LogReader,
  { writer, isOwn, tree }: Part,
  onblocks: (done: number) => void,
  signal: AbortSignal | undefined
): Promise<LogStats> {
  const sizes = await log.blockSizes({ signal, onprogress: ({ done }) => onblocks(done) })
  const needed = await neededBlocks(log, tree.length, {
    signal,
    onprogress: ({ done }) => onblocks(sizes.length + done)
  })
  const bytes = sum(sizes)
  const liveBytes = needed === null ? null : sum(sizes.filter((_, seq) => needed.has(seq)))
  return {
    writer,
    isOwn,
    length: log.signedLength,
    held: sizes.filter((size) => size !== null).length,
    bytes,
    liveBytes,
    historyBytes: liveBytes === null ? null : bytes - liveBytes
  }
}

/** Null when the tree is not here as a whole, or not sound. */
async function neededBlocks(
  log: LogReader,
  length: number,
  work: Work
): Promise<ReadonlySet<number> | null> {
  try {
    return await log.reachableBlocks(length, work)
  } catch (error) {
    if (error instanceof TreeRefusal || isManyhandsError(error, 'BLOCK_UNAVAILABLE')) return null
    throw error
  }
}

function sum(sizes: readonly (number | null)[]): number {
  return sizes.reduce<number>((total, size) => total + (size ?? 0), 0)
}
