/** Pruning, whole: two devices that overwrite each other keep one entry per key, and nobody sees anything of it. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space } from '../../index.ts'
import { ACKNOWLEDGED_KEY, PRUNED_KEY } from '../../multiwriter/log-section.ts'
import { Pruning, PRUNE_AFTER_MS } from '../../multiwriter/pruning.ts'
import { collect } from '../support/collect.ts'
import { openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { exportDatabase, exportSpace } from '../support/export.ts'
import { PruningWorld, type PruningPeer } from '../support/pruning-world.ts'

const KEYS = 40
const nameOf = (i: number) => String(i).padStart(3, '0')

async function putAll(space: Space, value: string): Promise<void> {
  const batch = space.db.batch()
  for (let i = 0; i < KEYS; i++) batch.put(nameOf(i), `${value} ${i}`)
  await batch.flush()
}

const lengthOf = (space: Space, writer: string) =>
  space.writers().find((each) => each.writer === writer)?.length ?? 0

const inStep = ({ spaceA, spaceB }: TwoDevices) =>
  until(() =>
    [spaceA, spaceB].every(({ writer }) => {
      const length = lengthOf(spaceA, writer)
      return length > 0 && length === lengthOf(spaceB, writer)
    })
  )

/** A has written every key, and B over it; both have said that they know. */
async function overwritten(two: TwoDevices): Promise<void> {
  two.connect()
  await putAll(two.spaceA, 'first')
  await until(() => lengthOf(two.spaceB, two.spaceA.writer) > 0)
  // What a sparse space has not read it does not write over.
  await exportSpace(two.spaceB)
  await putAll(two.spaceB, 'second')
  await inStep(two)
  assert.is((await two.spaceB.compact()).pruned, 0)
  await inStep(two)
}

/** At how many keys its own log says something. */
async function ownKeys(space: Space): Promise<number> {
  const explained = await Promise.all(
    Array.from({ length: KEYS }, (_, i) => space.db.why(nameOf(i)))
  )
  return explained.filter(({ entries }) => entries.some(({ isOwn }) => isOwn)).length
}

test('pruning: what others wrote over goes, and no reader sees anything of it', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await overwritten(two)
  const changes: unknown[] = []
  const watch = async (space: Space) => {
    for await (const change of space.db.watch()) changes.push(change)
  }
  const watching = [watch(spaceA), watch(spaceB)]
  for (const space of [spaceA, spaceB])
    space.db.events.on('conflict', (conflict) => changes.push(conflict))
  const version = await spaceA.version()
  const history = await collect(spaceA.db.createHistoryStream())
  const before = await exportSpace(spaceA)
  assert.is(await ownKeys(spaceA), KEYS)
  assert.is((await spaceA.compact()).pruned, KEYS)
  assert.is(await ownKeys(spaceA), 0)
  await inStep(two)
  for (const space of [spaceA, spaceB]) {
    assert.is(await exportSpace(space), before)
    assert.equal(await collect(space.db.createHistoryStream()), history)
    assert.equal(
      await collect(space.checkout(await space.version()).db.createDiffStream(version)),
      []
    )
    assert.is(await exportDatabase(space.checkout(version).db), before)
    assert.equal(await space.check(), [])
  }
  assert.is((await spaceA.compact()).pruned, 0, 'once is enough')
  await spaceB.db.put('last', 1)
  await until(() => changes.length >= 2)
  assert.is(changes.length, 2, 'the last put, seen twice')
  await two.close()
  await Promise.all(watching)
})

test('pruning: a deletion goes when all know that nothing is left to delete', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await overwritten(two)
  await spaceB.db.del(nameOf(0))
  await inStep(two)
  await spaceA.compact()
  await inStep(two)
  await spaceB.compact()
  await inStep(two)
  // B said that it knows, A left out what B deletes, B must hear of that, and A that B did.
  for (let round = 0; round < 4; round++) {
    for (const space of [spaceA, spaceB]) {
      await space.compact()
      await inStep(two)
    }
  }
  for (const space of [spaceA, spaceB]) {
    assert.equal((await space.db.why(nameOf(0))).entries, [])
    assert.is(await space.db.get(nameOf(0)), null)
    assert.is((await space.db.get(nameOf(1)))?.value, 'second 1')
  }
  const { length } = await collect(spaceA.db.createHistoryStream())
  assert.is(length, 2 * KEYS + 1, 'history shows the deletion that somebody made, and no other')
  await two.close()
})

test('pruning: counters, sets and conflicts stay as they are', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await spaceA.db.put('both', 'A')
  await spaceB.db.put('both', 'B')
  for (const { db } of [spaceA, spaceB]) {
    await db.counter('n').add(2)
    await db.set<string>('s').add(db === spaceA.db ? 'a' : 'b')
  }
  two.connect()
  await inStep(two)
  for (const space of [spaceA, spaceB, spaceA, spaceB]) {
    assert.is((await space.compact()).pruned, 0)
    await inStep(two)
  }
  assert.is((await spaceA.db.get('n'))?.value, 4)
  assert.equal((await spaceA.db.get('s'))?.value, ['a', 'b'])
  assert.is((await spaceA.db.get('both'))?.conflicts.length, 1)
  await two.close()
})

test('pruning: a sparse space acknowledges, and reads a log that pruned', async () => {
  const two = await openTwoDevices({ sparse: true })
  await overwritten(two)
  const { spaceA, spaceB } = two
  const before = await exportSpace(spaceA)
  assert.is((await spaceA.compact()).pruned, KEYS)
  await until(async () => (await spaceB.db.why(nameOf(0))).entries.length === 1)
  assert.is(await exportSpace(spaceB), before)
  await two.close()
})

test('pruning: what a writer is reverted to is what stood there before it was written over', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  two.connect()
  await putAll(spaceA, 'first')
  await until(() => lengthOf(spaceB, spaceA.writer) > 0)
  const after = await spaceB.version()
  const time = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 5))
  await putAll(spaceB, 'second')
  await inStep(two)
  await spaceB.compact()
  await inStep(two)
  assert.is((await spaceA.compact()).pruned, KEYS)
  const then = spaceA.checkout(await spaceA.at(time)).db
  assert.is((await then.get(nameOf(3)))?.value, 'first 3')
  const { written } = await spaceA.revert({ writer: spaceB.writer, after })
  assert.is(written, KEYS)
  assert.is((await spaceA.db.get(nameOf(3)))?.value, 'first 3')
  await two.close()
})

test('pruning: dropping history puts back what was left out, and does not drop it', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await overwritten(two)
  for (let i = 0; i < 5; i++) await spaceA.db.put('own', `${i} `.repeat(5000))
  await inStep(two)
  await spaceB.compact()
  await inStep(two)
  const before = await exportSpace(spaceA)
  assert.is((await spaceA.compact()).pruned, KEYS)
  const report = await spaceA.compact({ history: 'drop' })
  assert.ok(report.blocks > 0)
  assert.is(report.pruned, 0, 'what was put back was final at the last pass')
  assert.is(await ownKeys(spaceA), KEYS)
  assert.is(await exportSpace(spaceA), before)
  assert.is((await spaceA.compact({ history: 'drop' })).blocks, 0, 'all that is left is needed')
  await two.close()
})

test('pruning: a purge forgets what was left out at its key, and puts back the rest', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await overwritten(two)
  assert.is((await spaceA.compact()).pruned, KEYS)
  await inStep(two)
  const before = await exportSpace(spaceA)
  assert.is((await spaceA.db.purge(nameOf(7))).rewritten, true)
  assert.is(await ownKeys(spaceA), KEYS - 1)
  assert.is(await exportSpace(spaceA), before)
  assert.equal(await spaceA.check(), [])
  await two.close()
})

/** All hold everything of each other. */
function meet({ peers }: PruningWorld): void {
  for (const peer of peers)
    for (const { core } of peers) if (core !== peer.core) peer.writers.seal(core.key, core.length)
}

async function settled(world: PruningWorld): Promise<void> {
  for (let round = 0; round < 4; round++) {
    for (const peer of world.peers) {
      meet(world)
      await peer.prune()
    }
  }
  meet(world)
}

async function withWorld(
  run: (a: PruningPeer, b: PruningPeer, world: PruningWorld) => Promise<void>
) {
  const world = await PruningWorld.open(['index', 'stream'])
  const [a, b] = world.peers
  assert.ok(a && b)
  try {
    await run(a, b, world)
  } finally {
    await world.close()
  }
}

/** 'k', as a key of the bee. */
const KEY_K = b4a.from([0x10, 0, 0x6b])

const valueOf = async ({ db }: PruningPeer, key: string) => (await db.get(key))?.value

test('pruning: whoever reads less than was relied on reads the log without it', () =>
  withWorld(async (a, b, world) => {
    await a.db.put('k', 'a')
    meet(world)
    await b.db.put('k', 'b')
    await settled(world)
    await a.db.put('later', 1)
    meet(world)
    assert.equal([await valueOf(b, 'k'), await valueOf(b, 'later')], ['b', 1])
    // B's reader of A, with nothing of B.
    const [held] = (await a.union.view()).parts.filter(({ isOwn }) => isOwn)
    const alone = await a.union.at([{ core: a.core.key, length: held?.tree.length ?? 0 }])
    const seen = await alone.get(KEY_K)
    assert.is(seen.value, 'a')
    assert.ok(alone.admitted(a.core.key) < a.core.length)
  }))

test('pruning: a deletion stays while somebody may still read what it deletes', async () => {
  const world = await PruningWorld.open(['index', 'stream', 'stream'])
  const [a, b, c] = world.peers
  assert.ok(a && b && c)
  await b.db.put('k', 'b')
  meet(world)
  await a.db.del('k')
  meet(world)
  assert.is(await c.prune(), 0)
  meet(world)
  assert.is(await a.prune(), 0)
  meet(world)
  const first = b.core.length
  assert.is(await b.prune(), 1, 'what was deleted goes first')
  // The third has not heard of that.
  a.writers.seal(b.core.key, b.core.length)
  assert.is(await a.prune(), 0)
  const lengths = [
    { core: a.core.key, length: a.core.length },
    { core: b.core.key, length: first }
  ]
  const older = await a.union.at(lengths)
  assert.is((await older.get(KEY_K)).exists, false)
  for (const peer of [c, a]) {
    meet(world)
    assert.is(await peer.prune(), peer === a ? 1 : 0)
  }
  assert.is((await (await a.union.at(lengths)).get(KEY_K)).exists, false)
  await world.close()
})

test('pruning: what was relied on in vain is put back, before anything else is written', () =>
  withWorld(async (a, b, world) => {
    await a.db.put('k', 'a')
    meet(world)
    await b.db.put('k', 'b')
    await settled(world)
    await a.db.put('mine', 1)
    a.writers.seal(b.core.key, 0)
    assert.is(await valueOf(a, 'mine'), undefined, 'read at the batch before the pruning')
    assert.is(await valueOf(a, 'k'), 'a')
    await a.db.put('next', 2)
    assert.equal(
      [await valueOf(a, 'k'), await valueOf(a, 'mine'), await valueOf(a, 'next')],
      ['a', 1, 2]
    )
    const entry = await a.db.get('k')
    assert.is(entry?.seq, 0, 'where it was first written')
    meet(world)
    assert.is(await valueOf(a, 'k'), 'b')
    assert.equal((await a.db.get('k'))?.conflicts, [])
    for (const peer of [a, b]) await peer.check()
  }))

test('pruning: a clock that is set back goes on behind the stamps of a log that pruned last', () =>
  withWorld(async (a, b, world) => {
    world.now = 5000
    await a.db.put('k', 'a')
    meet(world)
    await b.db.put('k', 'b')
    world.now = 9000
    await settled(world)
    await a.reopen()
    world.now = 10
    await a.reopen()
    await a.db.put('new', 1)
    assert.ok(((await a.db.get('new'))?.stamp.ms ?? 0) >= 9000)
  }))

/** Timers that a test turns by hand. */
class HandTimers {
  readonly tasks: { readonly ms: number; readonly task: () => void }[] = []

  after(ms: number, task: () => void): () => void {
    const each = { ms, task }
    this.tasks.push(each)
    return () => this.tasks.splice(this.tasks.indexOf(each), 1)
  }

  /** Everything that was due. */
  turn(): number {
    const due = this.tasks.splice(0)
    for (const { ms, task } of due) {
      assert.is(ms, PRUNE_AFTER_MS)
      task()
    }
    return due.length
  }
}

test('pruning: by itself, one batch a while, and two idle devices fall silent', () =>
  withWorld(async (a, b, world) => {
    const each = world.peers.map((peer) => {
      const timers = new HandTimers()
      const pruning = new Pruning({ ...peer.parts, timers })
      pruning.start()
      return { timers, pruning }
    })
    const turn = async () => {
      const before = world.peers.map(({ core }) => core.length)
      for (const { timers } of each) timers.turn()
      await new Promise((resolve) => setTimeout(resolve, 30))
      for (const peer of world.peers) await peer.settle()
      const isQuiet = world.peers.every(({ core }, i) => core.length === before[i])
      meet(world)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return isQuiet
    }
    await a.db.put('k', 'a')
    meet(world)
    await b.db.put('k', 'b')
    meet(world)
    assert.ok(
      each.every(({ timers }) => timers.tasks.length === 1),
      'one timer, however much changes'
    )
    for (let i = 0; i < 8; i++) await turn()
    assert.ok(await turn(), 'nothing more is written')
    assert.is(
      await a.own.tree.snapshot().get(b4a.concat([b4a.from([0x10, 0]), b4a.from('k')])),
      null
    )
    assert.ok(await a.own.tree.snapshot().get(PRUNED_KEY))
    assert.ok(await b.own.tree.snapshot().get(ACKNOWLEDGED_KEY))
    // A seal that falls is answered at once.
    a.writers.seal(b.core.key, 0)
    await until(
      async () =>
        (await valueOf(a, 'k')) === 'a' &&
        (await a.union.view()).parts.every(({ held }) => held === undefined)
    )
    for (const { pruning } of each) await pruning.close()
    for (const { timers } of each) assert.equal(timers.tasks, [])
  }))

test.run()
