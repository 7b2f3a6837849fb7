/** Live changes: each one shown, in its last form, to everybody who asks; the loop ends when it should. */
import { EventEmitter } from 'eventemitter3'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { MemoryNetwork, type Value } from '../../index.ts'
import type { Change, Entry, MultiBee, Space } from '../../multiwriter/index.ts'
import type { Union } from '../../multiwriter/union.ts'
import { Watcher } from '../../multiwriter/watch.ts'
import { collect } from '../support/collect.ts'
import { openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { forgeLeaf } from '../support/forge.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'

type JsonChange = Change<string, Value>

const two = await openTwoDevices()
const { spaceA, spaceB } = two
two.connect()
await until(() => spaceA.writers().length === 2 && spaceB.writers().length === 2)

test.after(() => two.close())

let count = 0
/** One fresh database as both devices see it. */
function fresh(): { readonly a: MultiBee; readonly b: MultiBee } {
  const name = `watch-${count++}`
  return { a: spaceA.db.sub(name), b: spaceB.db.sub(name) }
}

async function next(changes: AsyncIterator<JsonChange>): Promise<JsonChange> {
  const result = await changes.next()
  if (result.done === true) throw new Error('The watch ended')
  return result.value
}

/** Whether a promise is still pending after all that was ready to happen has happened. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  const later = new Promise((resolve) => setImmediate(() => setImmediate(resolve, pending)))
  return (await Promise.race([promise, later])) === pending
}

async function converged(one: Space, other: Space): Promise<void> {
  const lengths = (space: Space) =>
    JSON.stringify(
      space
        .writers()
        .map(({ writer, length }) => `${writer} ${length}`)
        .sort()
    )
  await until(() => one.writers().length === 2 && lengths(one) === lengths(other))
}

test('watch: a put of this device shows key, entry and writer', async () => {
  const { a } = fresh()
  const changes = a.watch()
  await a.put('k', 1)
  const change = await next(changes)
  assert.is(change.key, 'k')
  assert.is(change.previous, null)
  assert.equal(change.current, await a.get('k'))
  assert.is(change.writer, spaceA.writer)
  await changes.return?.()
})

test('watch: a put of the other device shows here, live', async () => {
  const { a, b } = fresh()
  const changes = b.watch()
  const waiting = next(changes)
  await a.put('k', 'from a')
  const change = await waiting
  assert.is(change.current?.value, 'from a')
  assert.is(change.writer, spaceA.writer)
  await changes.return?.()
})

test('watch: an overwrite shows what was there before', async () => {
  const { a } = fresh()
  await a.put('k', 1)
  const before = await a.get('k')
  const changes = a.watch()
  await a.put('k', 2)
  const change = await next(changes)
  assert.equal(change.previous, before)
  assert.is(change.current?.value, 2)
  await changes.return?.()
})

test('watch: a deletion shows no current entry and who deleted', async () => {
  const { a, b } = fresh()
  await a.put('k', 1)
  await converged(spaceA, spaceB)
  const changes = a.watch()
  await b.del('k')
  const change = await next(changes)
  assert.is(change.current, null)
  assert.is(change.previous?.value, 1)
  assert.is(change.writer, spaceB.writer)
  await changes.return?.()
})

test('watch: what happened before the call does not show', async () => {
  const { a } = fresh()
  await a.put('old', 1)
  const changes = a.watch()
  await a.put('new', 2)
  assert.is((await next(changes)).key, 'new')
  await changes.return?.()
})

test('watch: changes that come while nobody asks are shown once, in their last form, in key order', async () => {
  const { a } = fresh()
  await a.put('gone', 1)
  const changes = a.watch()
  for (let i = 0; i < 5; i++) await a.put('b', i)
  await a.put('a', 'x')
  await a.batch().put('brief', 1).del('gone').flush()
  await a.del('brief')
  const shown = [await next(changes), await next(changes), await next(changes)]
  assert.equal(
    shown.map(({ key, current, previous }) => [key, current?.value, previous?.value]),
    [
      ['a', 'x', undefined],
      ['b', 4, undefined],
      ['gone', undefined, 1]
    ]
  )
  const waiting = changes.next()
  assert.ok(await isPending(waiting), 'nothing else is shown')
  await changes.return?.()
  assert.is((await waiting).done, true)
})

test('watch: only keys within the bounds show', async () => {
  const { a } = fresh()
  const changes = a.watch({ gte: 'b', lt: 'd' })
  await Promise.all(['a', 'b', 'c', 'd', 'b\0'].map((key) => a.put(key, key)))
  assert.equal(
    [await next(changes), await next(changes), await next(changes)].map(({ key }) => key),
    ['b', 'b\0', 'c']
  )
  const waiting = changes.next()
  await a.put('e', 1)
  assert.ok(await isPending(waiting))
  await changes.return?.()
})

test('watch: exclusive and inclusive bounds are told apart', async () => {
  const { a } = fresh()
  const changes = a.watch({ gt: 'a', lte: 'c' })
  await Promise.all(['a', 'b', 'c', 'c\0'].map((key) => a.put(key, key)))
  assert.equal([(await next(changes)).key, (await next(changes)).key], ['b', 'c'])
  await changes.return?.()
})

test('watch: databases inside this one, beside it and above it do not show', async () => {
  const { a } = fresh()
  const changes = a.sub('x').watch()
  await a.put('above', 1)
  await a.sub('y').put('beside', 1)
  await a.sub('x').sub('z').put('inside', 1)
  await a.sub('x').put('mine', 1)
  assert.is((await next(changes)).key, 'mine')
  await changes.return?.()
})

test('watch: two watchers both see everything', async () => {
  const { a } = fresh()
  const [one, other] = [a.watch(), a.watch()]
  await a.put('k', 1)
  assert.equal(await next(one), await next(other))
  await one.return?.()
  await a.put('k', 2)
  assert.is((await next(other)).current?.value, 2)
  assert.is((await one.next()).done, true)
  await other.return?.()
})

test('watch: a slow reader misses nothing and sees nothing twice', async () => {
  const { a, b } = fresh()
  const changes = b.watch()
  const seen: string[] = []
  for (let round = 0; round < 5; round++) {
    const keys = Array.from({ length: 40 }, (_, i) => `${round}-${i}`)
    await Promise.all(keys.map((key) => a.put(key, round)))
    // One change of forty is read now, the rest while the next rounds come in.
    seen.push((await next(changes)).key)
  }
  await converged(spaceA, spaceB)
  while (seen.length < 200) seen.push((await next(changes)).key)
  assert.is(new Set(seen).size, 200)
  const waiting = changes.next()
  assert.ok(await isPending(waiting))
  await changes.return?.()
})

test('watch: calls of next without waiting get different changes, in order', async () => {
  const { a } = fresh()
  const changes = a.watch()
  const waiting = [next(changes), next(changes), next(changes)]
  await a.batch().put('a', 1).put('b', 2).put('c', 3).flush()
  assert.equal(
    (await Promise.all(waiting)).map(({ key }) => key),
    ['a', 'b', 'c']
  )
  await changes.return?.()
})

test('watch: return() while one waits ends it at once, and leaves no listener', async () => {
  const { a } = fresh()
  const changes = a.watch()
  const waiting = changes.next()
  assert.ok(await isPending(waiting))
  assert.equal(await changes.return?.(), { done: true, value: undefined })
  assert.equal(await waiting, { done: true, value: undefined })
  await a.put('k', 1)
  assert.equal(await changes.next(), { done: true, value: undefined })
})

test('watch: leaving the loop stops it', async () => {
  const { a } = fresh()
  const changes = a.watch()
  await a.batch().put('a', 1).put('b', 2).flush()
  for await (const { key } of changes) {
    assert.is(key, 'a')
    break
  }
  assert.is((await changes.next()).done, true)
})

test('watch: a new conflict shows, although the winner stayed', () =>
  withTwo(async (apart) => {
    await apart.spaceA.db.put('k', 'first')
    await apart.spaceB.db.put('k', 'second') // the later stamp wins
    const changes = apart.spaceB.db.watch()
    apart.connect()
    const change = await next(changes)
    assert.is(change.current?.value, 'second')
    assert.is(change.previous?.value, 'second')
    assert.is(change.previous?.conflicts.length, 0)
    assert.is(change.current?.conflicts[0]?.value, 'first')
    await changes.return?.()
  }))

test('watch: a loser that comes late does not look like a change of value elsewhere', () =>
  withTwo(async (apart) => {
    await apart.spaceA.db.put('k', 'first')
    await apart.spaceB.db.put('k', 'second')
    const changes = apart.spaceA.db.watch()
    apart.connect()
    const change = await next(changes)
    assert.equal([change.previous?.value, change.current?.value], ['first', 'second'])
    assert.is(change.writer, apart.spaceB.writer)
    await changes.return?.()
  }))

test('watch: closing the space ends the loop, without an error', () =>
  withTwo(async ({ spaceA: space }) => {
    const idle = collect(space.db.watch())
    const behind = space.db.watch()
    await Promise.all(Array.from({ length: 50 }, (_, i) => space.db.put(`k${i}`, i)))
    await next(behind)
    const busy = collect(behind)
    await space.close()
    assert.ok(Array.isArray(await busy))
    assert.ok(Array.isArray(await idle))
  }))

test('watch: closing the device in the middle of a step ends the loop, without an error', async () => {
  for (let turns = 0; turns < 12; turns++) {
    await withTwo(async ({ a, spaceA: space }) => {
      const changes = collect(space.db.watch())
      await space.db.put('k', turns)
      for (let i = 0; i < turns; i++) await Promise.resolve()
      await a.close()
      assert.ok((await changes).length <= 1)
    })
  }
})

test('watch: what fails because the database closes is the end of the loop, not its failure', async () => {
  const events = new EventEmitter<{ change: []; close: [] }>()
  let fail = (_: Error): void => {}
  const view = () => new Promise<never>((_, reject) => (fail = reject))
  const watcher = new Watcher({ events, view } as unknown as Union, {}, () => null)
  const waiting = watcher.next()
  assert.ok(await isPending(waiting), 'it is reading')
  events.emit('close')
  fail(new Error('The log is closed'))
  assert.equal(await waiting, { done: true, value: undefined })
})

test('watch: of a closed database rejects with BEE_CLOSED', () =>
  withTwo(async ({ spaceA: space }) => {
    await space.close()
    await rejectsWith('BEE_CLOSED', () => space.db.watch().next())
  }))

/** Two devices that are not connected yet, and whose clock never stands still: what is put later has the greater stamp. */
async function withTwo(run: (apart: TwoDevices) => Promise<void>): Promise<void> {
  let ms = 1_700_000_000_000
  const apart = await openTwoDevices({ device: { now: () => ms++ } })
  try {
    await run(apart)
  } finally {
    await apart.close()
  }
}

/** A view that is kept by its changes alone. */
class Mirror {
  readonly entries = new Map<string, Entry<string, Value>>()
  readonly #changes: AsyncIterableIterator<JsonChange>
  readonly problems: string[] = []
  #running: Promise<void>

  constructor(db: MultiBee, snapshot: readonly Entry<string, Value>[]) {
    for (const entry of snapshot) this.entries.set(entry.key, entry)
    this.#changes = db.watch()
    this.#running = this.#follow()
  }

  async stop(): Promise<void> {
    await this.#changes.return?.()
    await this.#running
  }

  async #follow(): Promise<void> {
    for await (const { key, previous, current } of this.#changes) {
      const known = this.entries.get(key) ?? null
      if (show(previous) !== show(known)) {
        this.problems.push(`${key}: was ${show(known)}, the change says ${show(previous)}`)
      }
      if (show(previous) === show(current)) this.problems.push(`${key}: shown twice`)
      if (current === null) this.entries.delete(key)
      else this.entries.set(key, current)
    }
  }
}

function show(entry: Entry<string, Value> | null): string {
  if (entry === null) return 'nothing'
  const { value, writer, seq, conflicts } = entry
  const others = conflicts.map((each) => `${each.writer.slice(0, 4)}:${each.seq}`)
  return `${JSON.stringify(value)} ${writer.slice(0, 4)}:${seq} [${others.join()}]`
}

const showAll = (entries: Iterable<Entry<string, Value>>) =>
  [...entries].map((entry) => `${entry.key}=${show(entry)}`).sort()

test('watch: a snapshot with its changes is the view, on two devices that write, part and meet', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = seededRandom(seed)
    const network = new MemoryNetwork()
    const apart = await openTwoDevices({ device: { transport: network.transport } })
    const spaces = [apart.spaceA, apart.spaceB]
    await until(() => spaces.every((space) => space.writers().length === 2))
    // Apart while the mirrors are made: nothing may come between a snapshot and its watch.
    network.cut()
    await until(() => spaces.every((space) => space.peers().length === 0))
    const mirrors: Mirror[] = []
    for (const { db } of spaces) {
      await db.put(`start-${random.below(3)}`, seed)
      mirrors.push(new Mirror(db, await collect(db.createReadStream())))
    }
    let isCut = true
    for (let i = 0; i < 120; i++) {
      const { db } = spaces[random.below(2)] ?? apart.spaceA
      const key = `k${random.below(8)}`
      const dice = random.below(12)
      if (dice < 6) await db.put(key, i)
      else if (dice < 8) await db.del(key)
      else if (dice < 10)
        await db
          .batch()
          .put(key, i)
          .del(`k${random.below(8)}`)
          .flush()
      else if (dice === 10) await new Promise((resolve) => setImmediate(resolve))
      else {
        isCut = !isCut
        if (!isCut) network.heal()
        else {
          network.cut()
          await until(() => spaces.every((space) => space.peers().length === 0))
        }
      }
    }
    if (isCut) network.heal()
    await converged(apart.spaceA, apart.spaceB)
    const read = async ({ db }: Space) => showAll(await collect(db.createReadStream())).join('\n')
    const shown = (mirror: Mirror) => showAll(mirror.entries.values()).join('\n')
    const texts = async () => [...(await Promise.all(spaces.map(read))), ...mirrors.map(shown)]
    // On a failure, the comparison below says where they differ.
    await until(async () => new Set(await texts()).size === 1).catch(() => {})
    const [expected, ...others] = await texts()
    for (const other of others) assert.is(other, expected, `seed ${seed}`)
    for (const mirror of mirrors) {
      await mirror.stop()
      assert.equal(mirror.problems, [], `seed ${seed}`)
    }
    await apart.close()
  }
})

test('watch: a writer that drops its own past, without a word in its blocks, is seen to', async () => {
  const apart = await openTwoDevices()
  const cut = apart.connect()
  try {
    await Promise.all(['a', 'b', 'c'].map((key) => apart.spaceB.db.put(key, key)))
    await until(async () => (await apart.spaceA.db.get('c')) !== null)
    const changes = apart.spaceA.db.watch()
    const first = changes.next()
    const own = apart.spaceB.wire.cores().find(({ key }) => z32.encode(key) === apart.spaceB.writer)
    if (own === undefined) throw new Error('A space has a log of its own')
    await own.append([forgeLeaf(own.length, ['b'])])
    const seen = [await first, await changes.next(), await changes.next()]
    const shown = seen.map(
      ({ value }) => `${value?.key} ${value?.previous?.value} ${value?.current?.value}`
    )
    assert.equal(shown, ['a a undefined', 'b b forged b', 'c c undefined'])
    await changes.return?.()
  } finally {
    cut()
    await apart.close()
  }
})

test.run()
