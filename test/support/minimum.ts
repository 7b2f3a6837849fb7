/**
 * What an ideal reader of some entries fetches, worked out from the blocks themselves, on the writer's side: the nodes on the
 * way with their cohorts, the entries' blocks, and the keys on both sides of each step: without those not even an oracle could
 * show that the way is the right one. (hyperbee2 keeps each key in the block that wrote it, not in its node.)
 */
import b4a from 'b4a'
import { decodeBlock, type Block, type Delta } from 'hyperbee2/lib/encoding.js'
import type { Hypercore } from '../../core/index.ts'

const INSERT = 1
const DELETE = 2
const SET = 0
const COHORT = 3

interface Place {
  readonly seq: number
  readonly offset: number
}

/** For the first `count` entries from `start` on, in the tree at the core's length. All blocks must be here. */
export async function minimumOfBlocks(
  core: Hypercore,
  start: Uint8Array,
  count: number
): Promise<number> {
  const blocks: Block[] = []
  for (let seq = 0; seq < core.length; seq++) {
    blocks.push(decodeBlock((await core.get(seq)) ?? b4a.alloc(0), seq))
  }
  const needed = new Set<number>()
  let left = count
  walk({ seq: core.length - 1, offset: 0 })
  return needed.size

  function walk(at: Place): void {
    needed.add(at.seq)
    const node = blocks[at.seq]?.tree?.[at.offset]
    const keys = listOf(node?.keys ?? [])
    const children = listOf(node?.children ?? [])
    for (let i = 0; i <= keys.length && left > 0; i++) {
      const key = keys[i]
      if (key !== undefined && b4a.compare(bytesOf(key), start) < 0) continue
      const child = children[i]
      if (child !== undefined || left === count) addBoth(keys, i)
      if (child !== undefined) walk(child)
      if (key === undefined || left === 0) continue
      needed.add(key.seq)
      left--
    }
  }

  function addBoth(keys: readonly Place[], i: number): void {
    for (const { seq } of keys.slice(Math.max(0, i - 1), i + 1)) needed.add(seq)
  }

  function listOf(deltas: readonly Delta[]): readonly Place[] {
    const list: Place[] = []
    for (const delta of deltas) {
      if (delta.type !== COHORT || delta.pointer === null) apply(list, delta)
      else {
        needed.add(delta.pointer.seq)
        const cohort = blocks[delta.pointer.seq]?.cohorts?.[delta.pointer.offset] ?? []
        for (const each of cohort) apply(list, each)
      }
    }
    return list
  }

  function bytesOf({ seq, offset }: Place): Uint8Array {
    return blocks[seq]?.keys?.[offset]?.key ?? b4a.alloc(0)
  }
}

function apply(list: Place[], { type, index, pointer }: Delta): void {
  const place = pointer ?? { seq: -1, offset: -1 }
  if (type === INSERT) list.splice(index, 0, place)
  if (type === DELETE) list.splice(index, 1)
  if (type === SET) list[index] = place
}
