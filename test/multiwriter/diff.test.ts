/** What differs between two states of a database. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Value } from '../../index.ts'
import type { Difference, Entry, MultiBee } from '../../multiwriter/index.ts'
import { stampToText } from '../../clock/index.ts'
import { collect } from '../support/collect.ts'
import { until } from '../support/devices.ts'
import { forgeLeaf } from '../support/forge.ts'
import { Peers } from '../support/peers.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

type Shown = Entry<string, Value> | null

function inPeers(count: number, title: string, run: (peers: Peers) => Promise<void>): void {
  test(title, () => Peers.with(count, (peers) => within(30_000, run(peers))))
}

function textOf({ key, left, right }: Difference<string, Value>): string {
  return `${key}: ${entryText(left)} | ${entryText(right)}`
}

function entryText(entry: Shown): string {
  if (entry === null) return '-'
  const { value, writer, seq, stamp, conflicts } = entry
  const others = conflicts.map((each) => `${JSON.stringify(each.value)} ${each.writer} ${each.seq}`)
  return `${JSON.stringify(value)} ${writer} ${seq} ${stampToText(stamp)} ${others.join()}`
}

async function values(stream: AsyncIterable<Difference<string, Value>>): Promise<unknown[]> {
  return (await collect(stream)).map(({ key, left, right }) => [key, left?.value, right?.value])
}

inPeers(1, 'diff: what came, went and was replaced, in key order', async (peers) => {
  const { db } = peers.at(0)
  await db.batch().put('a', 1).put('b', 1).put('c', 1).flush()
  const version = await db.version()
  await db.put('b', 2)
  await db.del('a')
  await db.put('d', 1)
  await db.batch().put('e', 1).flush()
  await db.del('e')
  const all = [
    ['a', 1, undefined],
    ['b', 1, 2],
    ['d', undefined, 1]
  ]
  assert.equal(await values(db.createDiffStream(version)), all)
  assert.equal(await values(db.createDiffStream(version, { reverse: true })), all.toReversed())
  assert.equal(await values(db.createDiffStream(db.checkout(version), { gt: 'a', limit: 1 })), [
    all[1]
  ])
  const back = [...all].map(([key, left, right]) => [key, right, left])
  assert.equal(await values(db.checkout(version).createDiffStream(db)), back)
  assert.equal(await values(db.createDiffStream(db)), [])
})

/** The slow twin: both states from end to end. */
async function diffSlowly(left: MultiBee, right: MultiBee): Promise<string[]> {
  const before = new Map((await collect(left.createReadStream())).map((each) => [each.key, each]))
  const after = new Map((await collect(right.createReadStream())).map((each) => [each.key, each]))
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((key) => {
    const difference = { key, left: before.get(key) ?? null, right: after.get(key) ?? null }
    return entryText(difference.left) === entryText(difference.right) ? [] : [textOf(difference)]
  })
}

inPeers(
  3,
  'diff: equals its slow twin between any two states, seals that move included',
  async (peers) => {
    for (let seed = 1; seed <= 6; seed++) await compareWithTwin(peers, seed)
  }
)

async function compareWithTwin(peers: Peers, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const { db } = peers.at(0)
  const states: MultiBee[] = []
  for (let step = 0; step < 25; step++) {
    await change(peers, random)
    if (step % 5 === 0) states.push(db.snapshot())
  }
  states.push(db)
  for (const left of states) {
    const right = states[random.below(states.length)] ?? db
    const slow = await diffSlowly(left, right)
    const fast = (await collect(right.createDiffStream(left))).map(textOf)
    assert.equal(fast, slow, `seed ${seed}`)
    const [gte, lte, limit] = [`${random.below(30)}`, `${random.below(60)}`, 1 + random.below(5)]
    const options = { gte, lte, limit, reverse: true }
    const part = (await collect(right.createDiffStream(left, options))).map(textOf)
    const slowPart = slow.filter((line) => inRange(line.slice(0, line.indexOf(':')), gte, lte))
    assert.equal(part, slowPart.toReversed().slice(0, limit), `seed ${seed}`)
  }
}

function inRange(key: string, gte: string, lte: string): boolean {
  return key >= gte && key <= lte
}

async function change(peers: Peers, random: SeededRandom): Promise<void> {
  const { db } = peers.at(random.below(3))
  const batch = db.batch()
  for (let i = 0; i <= [0, 3, 200][random.below(3)]!; i++) {
    const key = `${random.below(60)}`
    if (random.below(4) === 0) batch.del(key)
    else batch.put(key, random.below(9))
  }
  await batch.flush()
  const { core } = peers.at(1 + random.below(2))
  const seal = [random.below(core.length + 1), Infinity][random.below(2)] ?? Infinity
  if (random.below(3) === 0) peers.at(0).writers.seal(core.key, seal)
}

inPeers(2, 'diff: a conflict that came shows both times', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  one.hide(other)
  other.hide(one)
  await other.db.put('k', 'other')
  await one.db.put('k', 'one')
  const version = await one.db.version()
  one.show(other)
  const [difference, ...more] = await collect(one.db.createDiffStream(version))
  assert.equal([more.length, difference?.left?.value, difference?.right?.value], [0, 'one', 'one'])
  assert.equal([difference?.left?.conflicts.length, difference?.right?.conflicts.length], [0, 1])
})

inPeers(1, 'diff: of a sub-database, only its own', async (peers) => {
  const { db } = peers.at(0)
  const version = await db.version()
  await db.put('a', 1)
  await db.sub('x').put('b', 1)
  assert.equal(await values(db.sub('x').createDiffStream(version)), [['b', undefined, 1]])
})

inPeers(2, 'diff: a bad tree is refused, and what is left compared', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await other.db.batch().put('a', 1).put('m', 1).flush()
  const version = await one.db.version()
  const before = one.db.checkout(version)
  await other.db.put('z', 1)
  await one.db.put('n', 1)
  await other.core.append(forgeLeaf(other.core.length, ['q', 'p', 'b']))
  await until(async () => (await one.db.version()) !== version)
  const fast = await values(one.db.createDiffStream(version))
  assert.equal(fast, [
    ['n', undefined, 1],
    ['z', undefined, 1]
  ])
  assert.equal((await collect(before.createReadStream())).length, 2)
})

inPeers(1, 'diff: other than with this very database is refused at once', async (peers) => {
  const { db } = peers.at(0)
  await db.put('a', 1)
  await Peers.with(1, async (others) => {
    const wrong = [db.sub('x'), others.at(0).db, null as never, 3 as never]
    for (const other of wrong)
      await rejectsWith('INVALID_ARGUMENT', () => db.createDiffStream(other))
  })
  const unknown = { limt: 1 } as never
  await rejectsWith('INVALID_ARGUMENT', () => db.createDiffStream(db, unknown), /limt/)
})

test.run()
