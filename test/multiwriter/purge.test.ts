/** Purge: what a key was is gone from every log that the purger wrote, on every device, and nothing else changes. */
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, openMultiBee, type Device, type Space, type Value } from '../../index.ts'
import { encodeEntry, encodeValue } from '../../crdt/index.ts'
import { LogReader } from '../../core/index.ts'
import { CLEARED_KEY, clearingHooks } from '../../multiwriter/cleared.ts'
import { iterate, WriterList } from '../../multiwriter/index.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { cpuTime } from '../support/cpu-time.ts'
import { connect, openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { dbKey, forgeBlock, forgeLeaf } from '../support/forge.ts'
import { exportSpace } from '../support/export.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'
import { collect } from '../support/collect.ts'

/** The log of `writer`, as `space` holds it. */
function coreOf(space: Space, writer = space.writer) {
  const core = space.wire.cores().find((_, i) => space.writers()[i]?.writer === writer)
  if (core === undefined) throw new Error('no such log')
  return core
}

/** Whether a text stands in any block of the log that is here. */
async function holds(space: Space, writer: string, text: string): Promise<boolean> {
  const core = coreOf(space, writer)
  for (let seq = 0; seq < core.length; seq++) {
    const block = (await core.has(seq)) ? await core.get(seq, { wait: false }) : null
    if (block !== null && b4a.toString(block, 'latin1').includes(text)) return true
  }
  return false
}

async function withTwo(
  run: (two: TwoDevices) => Promise<void>,
  options: Parameters<typeof openTwoDevices>[0] = {}
): Promise<void> {
  const two = await openTwoDevices(options)
  try {
    await run(two)
  } finally {
    await two.close()
  }
}

const readable = (space: Space, writer: string) =>
  space.writers().find((each) => each.writer === writer)?.length ?? 0

/** Everything that A has written can be read on the other devices. */
const arrived = (a: Space, others: readonly Space[]) =>
  until(() => others.every((space) => readable(space, a.writer) === coreOf(a).length))

async function putMany(space: Space, count: number, text = 'plain'): Promise<void> {
  for (let from = 0; from < count; from += 50) {
    const batch = space.db.batch()
    for (let i = from; i < Math.min(count, from + 50); i++)
      batch.put(String(i).padStart(4, '0'), `${text} ${i}`)
    await batch.flush()
  }
}

const SECRET = 'the-old-secret-value'

test('purge: an old value is gone from our log, everything else and the present value stay', () =>
  withTwo(async ({ spaceA }) => {
    await putMany(spaceA, 200)
    await spaceA.db.put('0100', SECRET)
    await spaceA.db.put('0100', 'now')
    const before = await exportSpace(spaceA)
    assert.ok(await holds(spaceA, spaceA.writer, SECRET))
    const report = await spaceA.db.purge('0100')
    assert.ok(report.blocks >= 2 && report.bytes > 0, JSON.stringify(report))
    assert.is(report.rewritten, true)
    assert.equal([report.peers, report.others], [[], []])
    assert.match(report.caveat, /cannot be recalled/)
    assert.not.ok(await holds(spaceA, spaceA.writer, SECRET))
    assert.not.ok(await holds(spaceA, spaceA.writer, 'plain 100'))
    assert.is(await exportSpace(spaceA), before)
    assert.equal(await spaceA.check(), [])
    const again = await spaceA.db.purge('0100')
    assert.equal([again.blocks, again.rewritten], [0, false])
  }))

test('purge: after a deletion nothing but the deletion is left, far values included', () =>
  withTwo(async ({ spaceA }) => {
    await spaceA.db.put('file', SECRET.repeat(200))
    await spaceA.db.put('other', 1)
    await spaceA.db.del('file')
    await spaceA.db.purge('file')
    assert.not.ok(await holds(spaceA, spaceA.writer, SECRET))
    assert.is(await spaceA.db.get('file'), null)
    assert.is((await spaceA.db.get('other'))?.value, 1)
    assert.equal(await spaceA.check(), [])
  }))

test('purge: connected devices clear their copies and say so; the view changes nowhere', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await putMany(spaceA, 120)
    two.connect()
    await arrived(spaceA, [spaceB])
    await spaceB.db.put('0007', 'theirs')
    await arrived(spaceB, [spaceA])
    await spaceA.db.put('0007', SECRET)
    await spaceA.db.put('0007', 'now')
    await arrived(spaceA, [spaceB])
    const before = await exportSpace(spaceB)
    assert.ok(await holds(spaceB, spaceA.writer, SECRET))
    const report = await spaceA.db.purge('0007', { until: AbortSignal.timeout(5000) })
    assert.equal(report.peers, [{ peer: two.b.id, confirmed: true }])
    assert.equal(report.others, [spaceB.writer])
    assert.not.ok(await holds(spaceB, spaceA.writer, SECRET))
    await arrived(spaceA, [spaceB])
    assert.is(await exportSpace(spaceB), before)
    assert.is(await exportSpace(spaceA), before)
    for (const space of [spaceA, spaceB]) assert.equal(await space.check(), [])
    assert.equal(spaceB.refusals(), [])
    // And it goes on.
    await spaceA.db.put('later', 1)
    await until(async () => (await spaceB.db.get('later'))?.value === 1)
  }))

test('purge: a watcher sees no change, and then the next one', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await putMany(spaceA, 60)
    two.connect()
    await arrived(spaceA, [spaceB])
    const seen: unknown[] = []
    const watching = [spaceA, spaceB].map(async (space) => {
      for await (const { key, current, previous } of space.db.watch()) {
        seen.push([key, current?.value, previous?.value])
        if (key === 'end') return
      }
    })
    await spaceA.db.purge('0001')
    await spaceA.db.put('0001', 'new')
    await until(() => seen.length >= 2)
    await spaceA.db.purge('0001', { until: AbortSignal.timeout(5000) })
    await spaceA.db.put('end', 1)
    await Promise.all(watching)
    const changes = seen.map((each) => JSON.stringify(each)).sort()
    assert.equal(changes, [
      '["0001","new","plain 1"]',
      '["0001","new","plain 1"]',
      '["end",1,null]',
      '["end",1,null]'
    ])
  }))

test('purge: one that slept through it clears when it connects, whatever it had, and converges', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    for (let round = 0; round < 3; round++) {
      await spaceA.db.put('k', `${SECRET} ${round}`)
      await putMany(spaceA, 40, `round ${round}`)
      const cut = two.connect()
      await arrived(spaceA, [spaceB])
      cut()
      await until(() => spaceB.peers().length === 0)
      await putMany(spaceA, 30, `again ${round}`)
      await spaceA.db.put('k', round)
      await spaceA.db.purge('k')
      await spaceA.db.put('after', round)
    }
    two.connect()
    await arrived(spaceA, [spaceB])
    assert.is(await exportSpace(spaceB), await exportSpace(spaceA))
    await until(async () => !(await holds(spaceB, spaceA.writer, SECRET)))
    for (const space of [spaceA, spaceB]) assert.equal(await space.check(), [])
  }))

interface Three {
  readonly spaces: readonly [Space, Space, Space]
  readonly devices: readonly Device[]
  close(): Promise<void>
}

/** Three devices, the last of which may join late. */
async function openThree(): Promise<Three> {
  const folder = await tempFolder()
  const devices = await Promise.all(
    ['a', 'b', 'c'].map((name) => openDevice({ storage: join(folder.path, name) }))
  )
  const [a, b, c] = devices
  if (a === undefined || b === undefined || c === undefined) throw new Error('three')
  const first = await a.createSpace({ open: true })
  const spaces = [first, await b.openSpace(first.ticket), await c.openSpace(first.ticket)] as const
  return {
    spaces: [...spaces],
    devices,
    async close() {
      for (const device of devices) await device.close()
      await folder.remove()
    }
  }
}

test('purge: a newcomer converges from the purger, and another from a third device alone', async () => {
  const three = await openThree()
  const [a, b, c] = three.spaces
  await putMany(a, 300)
  await a.db.put('0000', 'now')
  await a.db.purge('0000')
  await a.db.put('after', 1)
  const cut = connect(a, b)
  await arrived(a, [b])
  assert.is(await exportSpace(b), await exportSpace(a))
  cut()
  await until(() => b.peers().length === 0)
  const expected = await exportSpace(b)
  await three.devices[0]?.close()
  const cutRelay = connect(b, c)
  await until(async () => (await exportSpace(c)) === expected)
  assert.not.ok(await holds(c, a.writer, 'plain 0'))
  assert.equal(await c.check(), [])
  assert.equal(c.refusals(), [])
  cutRelay()
  await three.close()
})

test('purge: it travels through a relay, to a device that never meets the purger', async () => {
  const three = await openThree()
  const [a, b, c] = three.spaces
  const cuts = [connect(a, b), connect(b, c)]
  await putMany(a, 100)
  await a.db.put('0000', SECRET)
  await a.db.put('0000', 'now')
  await arrived(a, [b, c])
  assert.ok(await holds(c, a.writer, SECRET))
  await a.db.purge('0000')
  await until(async () => !(await holds(c, a.writer, SECRET)))
  await a.db.put('after', 1)
  await until(async () => (await c.db.get('after'))?.value === 1)
  assert.is(await exportSpace(c), await exportSpace(a))
  for (const cut of cuts) cut()
  await three.close()
})

test('purge: a sparse reader reads on, and clears what it holds', () =>
  withTwo(
    async (two) => {
      const { spaceA, spaceB } = two
      await putMany(spaceA, 300)
      await spaceA.db.put('0003', SECRET)
      two.connect()
      await until(async () => (await spaceB.db.get('0003'))?.value === SECRET)
      await spaceA.db.put('0003', 'now')
      const report = await spaceA.db.purge('0003', { until: AbortSignal.timeout(5000) })
      assert.equal(
        report.peers.map(({ confirmed }) => confirmed),
        [true]
      )
      assert.not.ok(await holds(spaceB, spaceA.writer, SECRET))
      await until(async () => (await spaceB.db.get('0003'))?.value === 'now')
      assert.is((await within(5000, spaceB.db.get('0299')))?.value, 'plain 299')
    },
    { sparse: true }
  ))

test('purge: a version from before lacks what was cleared, at once and with a code; one from after is whole', () =>
  withTwo(async ({ spaceA }) => {
    await putMany(spaceA, 300)
    await spaceA.db.put('0100', 'now')
    const { key } = coreOf(spaceA)
    const old = coreOf(spaceA).length
    await spaceA.db.purge('0100')
    const after = coreOf(spaceA).length
    await spaceA.db.put('0100', 'later')
    const refusals = new Refusals()
    const union = new Union({
      writers: new WriterList([key]),
      refusals,
      openLog: (_, onchange) =>
        Promise.resolve(
          new LogReader(coreOf(spaceA).session(), onchange, { clearing: clearingHooks(refusals) })
        )
    })
    const before = await union.at([{ core: key, length: old }])
    await rejectsWith('VERSION_UNAVAILABLE', () =>
      within(5000, Promise.resolve(before.get(dbKey('0120'))))
    )
    await rejectsWith('VERSION_UNAVAILABLE', () =>
      within(5000, collect(iterate(before.cursor({}))))
    )
    const whole = await union.at([{ core: key, length: after }])
    assert.is((await whole.get(dbKey('0120'))).value, 'plain 120')
    assert.is((await whole.get(dbKey('0100'))).value, 'now')
    assert.equal(refusals.list(), [], 'the writer is not at fault')
    assert.is((await (await union.view()).get(dbKey('0100'))).value, 'later')
    await union.close()
  }))

test('purge: what was cleared stays cleared after a restart, and the device goes on writing', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  let ms = 2_000_000
  const first = await openDevice({ storage, now: () => ms })
  const space = await first.createSpace()
  await putMany(space, 600) // more than one node: the newest block then holds none but old stamps
  ms = 2_100_000
  await space.db.put('0001', 'now')
  await space.db.purge('0001')
  const before = await exportSpace(space)
  const { address, writer } = space
  await first.close()
  // The clock was set back: what is written now must still be later than what was rewritten.
  const again = await openDevice({ storage, now: () => 1_950_000 })
  assert.is(again.rolledBack, null)
  const reopened = await again.openSpace(address)
  assert.is(await exportSpace(reopened), before)
  assert.not.ok(await holds(reopened, writer, 'plain 1"'))
  const old = await reopened.db.get('0001')
  await reopened.db.put('0001', 'later')
  const entry = await reopened.db.get('0001')
  assert.is(entry?.value, 'later')
  assert.ok((entry?.stamp.ms ?? 0) >= (old?.stamp.ms ?? Infinity))
  assert.equal(await reopened.check(), [])
  await again.close()
  await folder.remove()
})

test('purge: random histories with purges in between are as without them, on every device', async () => {
  for (const seed of [1, 2]) {
    const random = seededRandom(seed)
    const three = await openThree()
    const keys = ['a', 'b', 'c', 'd', 'e']
    let cuts: (() => void)[] = []
    for (let step = 0; step < 60; step++) {
      const space = three.spaces[random.below(3)] ?? three.spaces[0]
      const key = keys[random.below(keys.length)] ?? 'a'
      const what = random.below(12)
      if (what < 7)
        await space.db.put(key, `${step} ${'x'.repeat(random.below(4) === 0 ? 1500 : 3)}`)
      else if (what < 8) await space.db.del(key)
      else if (what < 10) {
        const before = await space.db.get(key)
        await space.db.purge(key)
        // Something may have come from elsewhere meanwhile; then it is another value, never none.
        const after = await space.db.get(key)
        if (cuts.length === 0) assert.equal(after, before, `seed ${seed}, step ${step}`)
      } else if (cuts.length > 0) {
        for (const cut of cuts) cut()
        cuts = []
        await until(() => three.spaces.every((each) => each.peers().length === 0))
      } else {
        const [a, b, c] = three.spaces
        cuts =
          random.below(2) === 0 ? [connect(a, b), connect(b, c)] : [connect(a, c), connect(a, b)]
      }
    }
    if (cuts.length === 0)
      cuts = [connect(three.spaces[0], three.spaces[1]), connect(three.spaces[1], three.spaces[2])]
    for (const space of three.spaces) await space.db.put(`end ${space.writer}`, 1)
    for (const space of three.spaces) await arrived(space, three.spaces)
    const [first, ...rest] = await Promise.all(three.spaces.map((space) => exportSpace(space)))
    for (const other of rest) assert.is(other, first, `seed ${seed}`)
    for (const space of three.spaces) assert.equal(await space.check(), [], `seed ${seed}`)
    for (const cut of cuts) cut()
    await three.close()
  }
})

test('purge: killed before it cleared, it is finished by the next opening', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const first = await openDevice({ storage })
  const space = await first.createSpace()
  await putMany(space, 100)
  await space.db.put('0001', SECRET)
  await space.db.put('0001', 'now')
  coreOf(space).clear = () => Promise.reject(new Error('killed'))
  await rejectsWith('STORE_FAILED', () => space.db.purge('0001'))
  const before = await exportSpace(space)
  const { address, writer } = space
  assert.ok(await holds(space, writer, SECRET))
  await first.close()
  const again = await openDevice({ storage })
  const reopened = await again.openSpace(address)
  await until(async () => !(await holds(reopened, writer, SECRET)))
  assert.is(again.rolledBack, null)
  assert.is(await exportSpace(reopened), before)
  assert.equal([(await reopened.db.purge('0001')).blocks, await reopened.check()], [0, []])
  await again.close()
  await folder.remove()
})

test('purge: a seal below it leaves what is here; taken away again, everything is back', () =>
  withTwo(async ({ spaceA }) => {
    await putMany(spaceA, 300)
    await spaceA.db.put('0100', 'now')
    const sealed = coreOf(spaceA).length
    await spaceA.db.purge('0100')
    await spaceA.db.put('after', 1)
    const { key } = coreOf(spaceA)
    const writers = new WriterList([key])
    const reader = await openMultiBee({ writers, open: () => coreOf(spaceA).session() })
    const count = async () => (await collect(reader.createReadStream())).length
    assert.is(await count(), 301)
    writers.seal(key, sealed)
    // Up to the first block that was cleared: the declaration lies past the seal and does not count.
    assert.is(await count(), 100)
    writers.seal(key, Infinity)
    assert.is(await count(), 301)
    assert.equal((await reader.get('0100'))?.value, 'now')
    await reader.close()
  }))

/** A leaf with a declaration, and a key that stands in block 0. */
function forgeDeclaration(seq: number, value: Uint8Array): Uint8Array {
  return forgeBlock(seq, {
    nodes: [
      {
        keys: [
          { seq, offset: 0 },
          { seq: 0, offset: 0 }
        ]
      }
    ],
    keys: [{ key: CLEARED_KEY, value }]
  })
}

const stamp = { ms: 1, counter: 0, tag: b4a.alloc(8) }
const declares = (bounds: readonly Value[]) =>
  encodeEntry({ position: null, stamp, seen: [], value: encodeValue([...bounds]) })

test('purge: a log that declares what it stands on is not cleared, and loses nobody anything', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('mine', 1)
    const core = coreOf(spaceB)
    await core.append(forgeLeaf(0, ['theirs']))
    two.connect()
    await until(async () => (await spaceA.db.get('theirs')) !== null)
    const lies = [
      declares([0, 1]),
      declares([1, 2]),
      declares([0, 9]),
      declares([0]),
      declares(['x', 1]),
      b4a.from([1]),
      declares([0, 2, 0, 2])
    ]
    for (const lie of lies) {
      const { length } = core
      await core.append(forgeDeclaration(length, lie))
      await until(() => readable(spaceA, spaceB.writer) === length + 1)
      spaceA.wire.oncleared([{ core: core.key, since: length + 1, here: 0 }])
      await until(() =>
        spaceA
          .refusals()
          .some(({ reason, count }) => reason === 'cleared-untrue' && count >= length)
      )
    }
    assert.ok(await coreOf(spaceA, spaceB.writer).has(0))
    assert.is((await spaceA.db.get('theirs'))?.value, 'forged theirs')
    assert.is((await spaceA.db.get('mine'))?.value, 1)
  }))

test('purge: where a log has really cleared what it stands on, only that log is cut, and nothing hangs', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('mine', 1)
    const core = coreOf(spaceB)
    await core.append(forgeLeaf(0, ['theirs']))
    await core.append(forgeDeclaration(1, declares([0, 1])))
    await core.clear(0, 1)
    two.connect()
    await until(() => spaceA.refusals().length > 0)
    const entries = await within(5000, collect(spaceA.db.createReadStream()))
    assert.equal(
      entries.map(({ key }) => key),
      ['mine']
    )
    await spaceA.db.put('mine', 2)
    assert.is(await within(5000, spaceA.db.get('theirs')), null)
    assert.is((await spaceA.db.get('mine'))?.value, 2)
  }))

test('purge: who announces that others have cleared their logs changes nothing, however often', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await putMany(spaceA, 50)
    await spaceB.db.put('theirs', 1)
    two.connect()
    await until(async () => (await spaceA.db.get('theirs')) !== null)
    const liar = b4a.alloc(32, 9)
    const started = cpuTime()
    for (let round = 1; round <= 2000; round++) {
      const since = round % 2 === 0 ? Number.MAX_SAFE_INTEGER : round
      const logs = [coreOf(spaceA).key, coreOf(spaceA, spaceB.writer).key, liar]
      spaceA.wire.oncleared(logs.map((core) => ({ core, since, here: 0 })))
    }
    await spaceB.db.put('theirs', 2)
    await until(async () => (await spaceA.db.get('theirs'))?.value === 2)
    assert.ok(cpuTime() - started < 10_000, 'they cost little')
    await spaceB.db.put('theirs', 1)
    await until(async () => (await spaceA.db.get('theirs'))?.value === 1)
    assert.equal(spaceA.refusals(), [])
    assert.equal(await spaceA.check(), [])
    for (const space of [spaceA, spaceB]) {
      for (const { writer } of spaceA.writers()) {
        const core = coreOf(space, writer)
        assert.ok(await core.has(0, core.length))
      }
    }
    assert.is(await exportSpace(spaceA), await exportSpace(spaceB))
    assert.is((await collect(spaceA.db.createReadStream())).length, 51)
    // What is true is believed after all.
    await spaceB.db.put('theirs', SECRET)
    await spaceB.db.put('theirs', 3)
    await until(async () => (await spaceA.db.get('theirs'))?.value === 3)
    const report = await spaceB.db.purge('theirs', { until: AbortSignal.timeout(5000) })
    assert.ok(report.peers.every(({ confirmed }) => confirmed))
    assert.not.ok(await holds(spaceA, spaceB.writer, SECRET))
  }))

test('purge: bad input is an error at once, and nothing is written', () =>
  withTwo(async ({ spaceA }) => {
    await spaceA.db.put('k', 1)
    await spaceA.db.put('k', 2)
    const { length } = coreOf(spaceA)
    await rejectsWith('KEY_INVALID', () => spaceA.db.purge(''))
    await rejectsWith('INVALID_ARGUMENT', () => spaceA.db.purge('k', { sign: 1 } as never))
    await rejectsWith('INVALID_ARGUMENT', () => spaceA.db.purge('k', { until: 5 } as never))
    assert.equal((await spaceA.db.purge('never written')).blocks, 0)
    assert.is(coreOf(spaceA).length, length)
    await spaceA.close()
    await rejectsWith('BEE_CLOSED', () => spaceA.db.purge('k'))
  }))

test('purge: what is cleared does not count as still to come', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    const haveAll = () =>
      [spaceA, spaceB].every((space) =>
        space.syncState().logs.every(({ here, known }) => here === known)
      )
    const areInStep = () =>
      [spaceA, spaceB].every((space) => {
        const { peers } = space.syncState()
        return peers.length === 1 && peers.every(({ inStep }) => inStep)
      })
    await putMany(spaceA, 60)
    await spaceA.db.put('0001', 'new')
    const cut = two.connect()
    await until(areInStep)
    const { blocks } = await spaceA.db.purge('0001', { until: AbortSignal.timeout(5000) })
    assert.ok(blocks > 0)
    await until(haveAll)
    await until(areInStep)
    await spaceA.db.put('0002', 'newer')
    await until(areInStep)
    cut()
    await spaceA.db.put('0003', 'newer still')
    two.connect()
    await until(() => spaceB.syncState().peers.length === 1)
    await until(areInStep)
    assert.is((await spaceB.db.get('0003'))?.value, 'newer still')
  }))

test.run()
