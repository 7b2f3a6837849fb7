/**
 * Fetching again what is missing or damaged here of somebody's log, from whoever is connected. A block is damaged when it does
 * not hash to what its writer signed: nothing else looks at blocks again that were once checked and stored. It is dropped only
 * when a connected device says that it has it.
 */
import type Hypercore from 'hypercore'
import hypercoreCrypto from 'hypercore-crypto'
import type { Work } from '../progress.ts'
import { clearBlocks } from './clear-blocks.ts'

/** One storage read for so many blocks. */
const BLOCKS_AT_ONCE = 128

/** Blocks asked for together. */
const FETCHES_AT_ONCE = 64

export interface Refetched {
  /** Blocks that were missing or damaged. */
  readonly wanted: number
  /** Of them, those that came. */
  readonly fetched: number
  /** Devices that were connected for this log. */
  readonly peers: number
}

export interface RefetchOptions extends Work {
  /** Blocks that nobody is asked for: they were cleared. */
  readonly isCleared: (seq: number) => boolean
  /** Whether blocks that are not here are wanted. */
  readonly isFull: boolean
  /** Ends waiting for a block that does not come. */
  readonly timeout: number
}

/** Fetches again. A sparse reader asks only for what is damaged. */
export async function refetch(core: Hypercore, options: RefetchOptions): Promise<Refetched> {
  const wanted = await brokenBlocks(core, options)
  const peers = core.peers.length
  if (wanted.length === 0 || peers === 0) return { wanted: wanted.length, fetched: 0, peers }
  const total = wanted.length
  let fetched = 0
  for (let from = 0; from < total; from += FETCHES_AT_ONCE) {
    options.signal?.throwIfAborted()
    const some = wanted.slice(from, from + FETCHES_AT_ONCE)
    const came = await Promise.all(some.map((each) => fetchBlock(core, each, options.timeout)))
    const count = came.filter(Boolean).length
    fetched += count
    const done = Math.min(from + FETCHES_AT_ONCE, total)
    options.onprogress?.({ task: 'fetching blocks', done, total, unit: 'blocks' })
    // Whoever sent none of these sends no others.
    if (count === 0) break
  }
  return { wanted: total, fetched, peers }
}

interface BrokenBlock {
  readonly seq: number
  readonly isDamaged: boolean
}

async function brokenBlocks(core: Hypercore, options: RefetchOptions): Promise<BrokenBlock[]> {
  const { isCleared, isFull, signal, onprogress } = options
  const { length: total } = core
  const broken: BrokenBlock[] = []
  for (let from = 0; from < total; from += BLOCKS_AT_ONCE) {
    signal?.throwIfAborted()
    const count = Math.min(BLOCKS_AT_ONCE, total - from)
    const states = await blockStates(core, from, count)
    states.forEach((state, i) => {
      const seq = from + i
      if (state === 'sound' || isCleared(seq)) return
      if (state === 'damaged' || isFull) broken.push({ seq, isDamaged: state === 'damaged' })
    })
    onprogress?.({ task: 'verifying blocks', done: from + count, total, unit: 'blocks' })
  }
  return broken
}

async function blockStates(core: Hypercore, from: number, count: number) {
  const rx = core.core.state.storage.read()
  const reads = Array.from({ length: count }, async (_, i) => {
    const seq = from + i
    const [block, node] = await Promise.all([rx.getBlock(seq), rx.getTreeNode(2 * seq)])
    if (block === null) return (await core.has(seq)) ? 'damaged' : 'missing'
    const isSound = node !== null && equals(hypercoreCrypto.data(block), node.hash)
    return isSound ? 'sound' : 'damaged'
  })
  rx.tryFlush()
  return Promise.all(reads)
}

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

/** @returns whether it came */
async function fetchBlock(
  core: Hypercore,
  { seq, isDamaged }: BrokenBlock,
  timeout: number
): Promise<boolean> {
  const isHeld = core.peers.some(
    (peer) => seq < peer.remoteContiguousLength || peer.remoteBitfield.get(seq)
  )
  if (!isHeld) return false
  if (isDamaged) await clearBlocks(core, seq, seq + 1)
  try {
    return (await core.get(seq, { timeout })) !== null
  } catch {
    return false // nobody sent it in time: it is missing from now on, and said so
  }
}
