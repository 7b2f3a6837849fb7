/** The kill -9 loop: a writer in a process of its own, killed at a random moment, again and again. */
import * as assert from 'uvu/assert'
import type { Durability } from '../../core/store.ts'
import { Child } from './child.ts'
import { until } from './devices.ts'
import { withStore } from './folder.ts'
import { MemoryPipe } from './memory-pipe.ts'
import { keysOf, nameOf, SALT } from './store.ts'

export interface KillPlan {
  readonly rounds: number
  readonly durability: Durability
  /** Puts per append, at most. */
  readonly batch: number
  /** The writer is killed after at most this many appends, and those under way. */
  readonly maxAppends: number
  readonly seed: number
}

/** One store, killed so many times: what was ever acknowledged is there, and nobody who followed the log sees a fork. */
export async function killLoop(path: string, plan: KillPlan): Promise<void> {
  const random = randomFrom(plan.seed)
  const follower = await MemoryPipe.open()
  const acknowledged = new Set<string>()
  let next = 0
  try {
    for (let round = 0; round < plan.rounds; round++) {
      const appends = 1 + Math.floor(random() * plan.maxAppends)
      const { durability, batch } = plan
      const child = new Child('store-process.ts', { folder: path, durability, batch, from: next })
      await until(() => child.acks >= appends || child.isOver, { timeout: 30_000 })
      assert.not.ok(child.isOver, child.errors || child.lines.at(-1))
      await child.kill()
      next = Math.max(next, remember(child, acknowledged)) + batch
      assert.is(child.lines[0], 'open', `seed ${plan.seed}, round ${round}`)
      await check(path, acknowledged, follower, `seed ${plan.seed}, round ${round}`)
    }
  } finally {
    await follower.close()
  }
  assert.ok(acknowledged.size > 0)
}

/** @returns the number after the last put that was acknowledged */
function remember({ lines }: Child, acknowledged: Set<string>): number {
  let next = 0
  for (const line of lines) {
    const [what, first = '', count = ''] = line.split(' ')
    if (what !== 'ack') continue
    next = Number(first) + Number(count)
    for (let i = Number(first); i < next; i++) acknowledged.add(nameOf(i))
  }
  return next
}

async function check(
  path: string,
  acknowledged: ReadonlySet<string>,
  follower: MemoryPipe,
  when: string
): Promise<void> {
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    assert.is(store.rolledBack, null, when)
    const there = new Set(await keysOf(log))
    const lost = [...acknowledged].filter((key) => !there.has(key))
    assert.equal(lost, [], when)
    // The follower refuses forks: it gets to the end only if every run continued the same log.
    const copy = await follower.receive(log.core)
    assert.equal([copy.length, copy.fork], [log.core.length, 0], when)
    assert.equal(await copy.treeHash(), await log.core.treeHash(), when)
    follower.cut()
    await copy.close()
  })
}

/** A small generator with a seed (mulberry32), so that a failure can be tried again. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
