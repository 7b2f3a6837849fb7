/** Versions, checkouts and snapshots: the same for ever, for reading only. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeVersion } from '../../clock/index.ts'
import { openMultiBee, type MultiBee } from '../../multiwriter/index.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { exportDatabase } from '../support/export.ts'
import { Peers } from '../support/peers.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

function inPeers(count: number, title: string, run: (peers: Peers) => Promise<void>): void {
  test(title, () => Peers.with(count, (peers) => within(30_000, run(peers))))
}

inPeers(2, 'version: the same for the same state, another after each write', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const versions = [await one.db.version()]
  for (let i = 0; i < 3; i++) {
    await peers.at(i % 2).db.put('k', i)
    versions.push(await one.db.version())
    assert.is(await other.db.version(), versions.at(-1))
  }
  assert.is(new Set(versions).size, 4)
  assert.is(await one.db.sub('x').version(), versions[3])
})

inPeers(
  3,
  'checkout: shows what its version showed, whatever is written and sealed later',
  async (peers) => {
    const random = seededRandom(7)
    const { db, writers } = peers.at(0)
    const known: [string, string, MultiBee][] = []
    for (let step = 0; step < 60; step++) {
      const peer = peers.at(random.below(3))
      const batch = peer.db.batch()
      for (let i = 0; i <= random.below(8); i++) {
        const key = `${random.below(12)}`
        if (random.below(4) === 0) batch.del(key)
        else batch.put(key, random.below(9))
      }
      await batch.flush()
      if (random.below(3) === 0) {
        const core = peers.at(1 + random.below(2)).core
        writers.seal(
          core.key,
          [0, random.below(core.length + 1), Infinity, Infinity][random.below(4)] ?? 0
        )
      }
      if (step % 6 === 0) known.push([await db.version(), await exportDatabase(db), db.snapshot()])
    }
    for (const [version, shown, snapshot] of known) {
      assert.is(await exportDatabase(snapshot), shown, 'the snapshot')
      assert.is(await snapshot.version(), version)
      const checkout = db.checkout(version)
      assert.is(await exportDatabase(checkout), shown, 'the checkout')
      assert.is(await checkout.version(), version)
    }
  }
)

test('checkout: a version names the same on another device, live or not', async () => {
  const two = await openTwoDevices()
  try {
    const { spaceA, spaceB } = two
    const cut = two.connect()
    await spaceA.db.put('k', 1)
    const version = await spaceA.db.version()
    await spaceA.db.put('k', 2)
    await until(async () => (await spaceB.db.get('k'))?.value === 2)
    cut()
    assert.is((await spaceB.db.checkout(version).get('k'))?.value, 1)
    await spaceA.db.put('k', 3)
    const ahead = await spaceA.db.version()
    await rejectsWith('VERSION_UNAVAILABLE', () => spaceB.db.checkout(ahead).get('k'))
    await rejectsWith('VERSION_UNAVAILABLE', () => spaceB.db.checkout(ahead).ready())
    await rejectsWith('VERSION_UNAVAILABLE', () =>
      collect(spaceB.db.checkout(ahead).createReadStream())
    )
    await rejectsWith('VERSION_UNAVAILABLE', () => collect(spaceB.db.createDiffStream(ahead)))
    two.connect()
    const later = spaceB.db.checkout(ahead)
    await until(async () => (await later.get('k').catch(() => null))?.value === 3)
  } finally {
    await two.close()
  }
})

test('checkout: a version of another space, of no space, and garbage are told apart', async () => {
  const two = await openTwoDevices()
  try {
    const other = await two.a.createSpace({ name: 'other' })
    const foreign = await other.db.version()
    const none = encodeVersion({ space: b4a.alloc(8), acl: [], data: [] })
    for (const version of [foreign, none]) {
      await rejectsWith('VERSION_FOREIGN', () => two.spaceA.db.checkout(version))
      await rejectsWith('VERSION_FOREIGN', () => two.spaceA.db.createDiffStream(version))
      await rejectsWith('VERSION_FOREIGN', () =>
        two.spaceA.db.createHistoryStream({ since: version })
      )
    }
    const cutOff = foreign.slice(0, -2)
    await rejectsWith('VERSION_INVALID', () => other.db.checkout(cutOff))
    await rejectsWith('VERSION_INVALID', () => other.db.checkout(''))
    await rejectsWith('INVALID_ARGUMENT', () => other.db.checkout(3 as never), /version/)
  } finally {
    await two.close()
  }
})

inPeers(
  1,
  'checkout: a length inside a batch, or of an unknown log, is not there',
  async (peers) => {
    const { db, core } = peers.at(0)
    const batch = db.batch()
    for (let i = 0; i < 5; i++) batch.put(`${i}`, 'x'.repeat(9000))
    await batch.flush()
    assert.ok(core.length > 2)
    const space = b4a.alloc(8)
    const inside = encodeVersion({
      space,
      acl: [],
      data: [{ core: core.key, length: core.length - 1 }]
    })
    const stranger = encodeVersion({
      space,
      acl: [],
      data: [{ core: b4a.alloc(32, 5), length: 1 }]
    })
    for (const version of [inside, stranger]) {
      await rejectsWith('VERSION_UNAVAILABLE', () => db.checkout(version).get('1'))
    }
  }
)

inPeers(1, 'checkout: nothing can be written to it or expected of it', async (peers) => {
  const { db, core } = peers.at(0)
  await db.put('k', 1)
  const { length } = core
  for (const fixed of [db.snapshot(), db.checkout(await db.version()), db.snapshot().sub('x')]) {
    assert.is(fixed.writable, false)
    await rejectsWith('READ_ONLY', () => fixed.put('k', 2))
    await rejectsWith('READ_ONLY', () => fixed.del('k'))
    await rejectsWith('READ_ONLY', () => fixed.batch())
    await rejectsWith('READ_ONLY', () => fixed.watch())
    await rejectsWith('READ_ONLY', () => fixed.getAndWatch('k'))
  }
  assert.is(core.length, length)
})

inPeers(
  1,
  'checkout: sub-databases stand still with it, and so do checkouts of them',
  async (peers) => {
    const { db } = peers.at(0)
    await db.sub('x').put('k', 1)
    const version = await db.version()
    const snapshot = db.snapshot()
    await db.sub('x').put('k', 2)
    await db.put('outside', 1)
    const same = [
      snapshot.sub('x'),
      db.checkout(version).sub('x'),
      db.sub('x').checkout(version),
      db.sub('x').snapshot().checkout(version),
      snapshot.sub('x').snapshot().snapshot()
    ]
    for (const each of same) {
      assert.is((await each.get('k'))?.value, 1)
      assert.equal(await collectKeys(each.createReadStream()), ['k'])
      assert.is((await each.peek())?.value, 1)
    }
  }
)

inPeers(1, 'checkout: is closed alone, or with its database', async (peers) => {
  const { db } = peers.at(0)
  await db.put('k', 1)
  const [closed, open] = [db.snapshot(), db.snapshot()]
  await closed.close()
  await closed.close()
  await rejectsWith('BEE_CLOSED', () => closed.get('k'))
  await rejectsWith('BEE_CLOSED', () => closed.version())
  assert.is((await open.get('k'))?.value, 1)
  assert.is((await db.get('k'))?.value, 1)
  await db.close()
  await rejectsWith('BEE_CLOSED', () => open.get('k'))
  await rejectsWith('BEE_CLOSED', () => db.snapshot())
  await rejectsWith('BEE_CLOSED', () => db.checkout('x'))
})

inPeers(2, 'checkout: conflicts are those of then', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  one.hide(other)
  other.hide(one)
  await one.db.put('k', 1)
  await other.db.put('k', 2)
  one.show(other)
  const version = await one.db.version()
  await one.db.put('k', 3)
  const then = one.db.checkout(version)
  assert.equal(
    (await then.get('k'))?.conflicts.map(({ value }) => value),
    [1]
  )
  assert.equal(await collectKeys(then.conflicts()), ['k'])
  assert.equal(await collectKeys(one.db.conflicts()), [])
})

test('checkout: of a database without writes, and of one that only reads', async () => {
  await Peers.with(1, async (peers) => {
    const { core, db } = peers.at(0)
    const empty = await db.version()
    await db.put('k', 1)
    assert.equal(await collect(db.checkout(empty).createReadStream()), [])
    const open = (key: Uint8Array) => peers.store.corestore.get({ key })
    const reader = await openMultiBee({ writers: [core.key], open })
    assert.is(await reader.version(), await db.version())
    assert.is((await reader.snapshot().get('k'))?.value, 1)
    await reader.close()
  })
})

test.run()
