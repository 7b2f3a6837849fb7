/** `repair`: what is missing or damaged here of another device's log comes again from whoever is connected, and only then. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Space } from '../../index.ts'
import type { Hypercore } from '../../core/index.ts'
import { collectKeys } from '../support/collect.ts'
import { openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { overwriteBlock } from '../support/store.ts'

/** B has read what A wrote, and is alone. */
async function synced(run: (two: TwoDevices, copy: Hypercore) => Promise<void>): Promise<void> {
  const two = await openTwoDevices()
  try {
    const cut = two.connect()
    for (let i = 0; i < 40; i++) await two.spaceA.db.put(`k${i}`, i)
    await until(() => copyOf(two.spaceB, two.spaceA)?.contiguousLength === 40)
    const copy = copyOf(two.spaceB, two.spaceA)
    if (copy === null) throw new Error('no such log')
    cut()
    await until(() => two.spaceB.peers().length === 0)
    await run(two, copy)
  } finally {
    await two.close()
  }
}

function copyOf(space: Space, of: Space): Hypercore | null {
  const i = space.writers().findIndex(({ writer }) => writer === of.writer)
  return space.wire.cores()[i] ?? null
}

async function isMended({ spaceB }: TwoDevices): Promise<void> {
  assert.equal(await spaceB.check(), [])
  assert.is((await collectKeys(spaceB.db.createReadStream())).length, 40)
  assert.is((await spaceB.db.get('k39'))?.value, 39)
}

test('missing and damaged blocks of another log are fetched from a connected device', () =>
  synced(async (two, copy) => {
    await copy.clear(7, 9)
    await overwriteBlock(copy, 39)
    assert.is.not((await two.spaceB.check()).length, 0)
    two.connect()
    await until(() => copy.peers.some((peer) => peer.remoteContiguousLength === 40))
    const { done, left } = await two.spaceB.repair()
    assert.match(done.join('\n'), /^Fetched \d of the \d bad or missing blocks of the log/)
    assert.equal(left, [])
    await isMended(two)
  }))

test('alone, nothing that is damaged is dropped, and it is said what to do', () =>
  synced(async (two, copy) => {
    await overwriteBlock(copy, 39)
    const { done, left } = await two.spaceB.repair()
    assert.equal(done, [])
    assert.match(
      left[0]?.next ?? '',
      /No device that holds this log is connected. Run manyhands sync/
    )
    assert.is(await copy.has(39), true)
  }))

test('what the connected devices lack, too, is said', () =>
  synced(async (two, copy) => {
    const own = copyOf(two.spaceA, two.spaceA)
    await own?.clear(20, 21)
    await overwriteBlock(copy, 20)
    two.connect()
    await until(() => copy.peers.some((peer) => peer.remoteSynced))
    const { done, left } = await two.spaceB.repair()
    assert.equal(done, [])
    assert.match(left[0]?.next ?? '', /lack these blocks too/)
    assert.is(await copy.has(20), true)
  }))

test.run()
