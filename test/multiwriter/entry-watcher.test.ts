/** One key, kept up to date. */
import { EventEmitter } from 'eventemitter3'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { MultiBee } from '../../multiwriter/index.ts'
import { EntryWatcher } from '../../multiwriter/entry-watcher.ts'
import { nothingAt, type FoldedKey } from '../../multiwriter/view.ts'
import type { Union } from '../../multiwriter/union.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { Peers } from '../support/peers.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

function inPeers(count: number, title: string, run: (peers: Peers) => Promise<void>): void {
  test(title, () => Peers.with(count, (peers) => within(20_000, run(peers))))
}

async function watch(db: MultiBee, key = 'k') {
  const watcher = await db.getAndWatch(key)
  const updates: unknown[] = []
  watcher.on('update', () => updates.push(watcher.node?.value ?? null))
  return { watcher, updates }
}

inPeers(1, 'getAndWatch: begins with the entry and follows it', async (peers) => {
  const { db } = peers.at(0)
  await db.put('k', 1)
  const { watcher, updates } = await watch(db)
  assert.equal(watcher.node, await db.get('k'))
  await db.put('k', 2)
  await until(() => updates.length === 1)
  assert.equal(watcher.node, await db.get('k'))
  await db.del('k')
  await until(() => updates.length === 2)
  assert.equal(updates, [2, null])
  await watcher.close()
})

inPeers(1, 'getAndWatch: other keys do not concern it', async (peers) => {
  const { db } = peers.at(0)
  const { watcher, updates } = await watch(db)
  assert.is(watcher.node, null)
  await db.put('k2', 1)
  await db.sub('x').put('k', 1)
  await db.put('k', 1)
  await until(() => updates.length > 0)
  assert.equal(updates, [1])
  await watcher.close()
})

inPeers(2, 'getAndWatch: another device and a conflict show, too', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  one.hide(other)
  other.hide(one)
  await other.db.put('k', 'other')
  await one.db.put('k', 'one')
  const { watcher, updates } = await watch(one.db)
  one.show(other)
  await until(() => updates.length === 1)
  assert.equal([watcher.node?.value, watcher.node?.conflicts.length], ['one', 1])
  one.hide(other)
  await until(() => updates.length === 2)
  assert.is(watcher.node?.conflicts.length, 0)
  await watcher.close()
})

inPeers(1, 'getAndWatch: what changes while it opens is not missed', async (peers) => {
  const { db } = peers.at(0)
  for (let turns = 0; turns < 12; turns++) {
    const opening = db.getAndWatch('k')
    for (let i = 0; i < turns; i++) await Promise.resolve()
    await db.put('k', turns)
    const watcher = await opening
    await until(() => watcher.node?.value === turns)
    await watcher.close()
  }
})

inPeers(1, 'getAndWatch: closed, it tells nothing more, and keeps what it has', async (peers) => {
  const { db } = peers.at(0)
  const { watcher, updates } = await watch(db)
  await watcher.close()
  await watcher.close()
  assert.is(watcher.closed, true)
  const witness = await watch(db)
  await db.put('k', 1)
  await until(() => witness.updates.length === 1)
  assert.equal([updates, watcher.node], [[], null])
  await witness.watcher.close()
})

inPeers(1, 'getAndWatch: ends with its database, also while it opens', async (peers) => {
  const { db } = peers.at(0)
  const { watcher } = await watch(db)
  const opening = db.getAndWatch('k')
  const failed = rejectsWith('BEE_CLOSED', () => opening)
  await db.close()
  await failed
  assert.is(watcher.closed, true)
  await rejectsWith('BEE_CLOSED', () => db.getAndWatch('k'))
})

test('getAndWatch: what cannot be read now is read with a later change', async () => {
  const two = await openTwoDevices({ sparse: true })
  try {
    const { spaceA, spaceB } = two
    const cut = two.connect()
    await spaceA.db.put('k', 1)
    await until(async () => (await spaceB.db.get('k'))?.value === 1)
    const watcher = await spaceB.db.getAndWatch('k', { wait: false })
    assert.is(watcher.node?.value, 1)
    cut()
    await spaceA.db.put('k', 2)
    two.connect()
    await until(async () => (await spaceB.db.get('k'))?.value === 2)
    await spaceB.db.put('other', 1)
    await until(() => watcher.node?.value === 2)
    await watcher.close()
  } finally {
    await two.close()
  }
})

/** A watcher whose reads the test answers. */
function byHand() {
  const events = new EventEmitter<{ change: []; close: [] }>()
  const reads: { readonly resolve: (seq: number | null) => void; readonly reject: () => void }[] =
    []
  const read = () =>
    new Promise<{ entry: Place | null; folded: FoldedKey }>((resolve, reject) => {
      const entryOf = (seq: number | null) => ({
        entry: seq === null ? null : { seq },
        // Of the fold, only whether it is the same is asked.
        folded: { ...nothingAt(new Uint8Array(1)), type: 'counter', exists: true, value: seq }
      })
      const fail = () => reject(new Error('not now'))
      reads.push({ resolve: (seq) => resolve(entryOf(seq)), reject: fail })
    })
  const watcher = new EntryWatcher<Place>({ events } as unknown as Union, read)
  const updates: unknown[] = []
  watcher.on('update', () => updates.push(watcher.node?.seq ?? null))
  const change = () => events.emit('change')
  /** Answers the read that is waiting, and lets everything that follows from it happen. */
  const answer = async (outcome: number | null | 'failure') => {
    const next = reads.shift()
    if (next === undefined) throw new Error('nothing is being read')
    if (outcome === 'failure') next.reject()
    else next.resolve(outcome)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { watcher, updates, change, answer, reads }
}

interface Place {
  readonly seq: number
}

test('watcher: a change during the first reading is looked at after it', async () => {
  const { watcher, updates, change, answer, reads } = byHand()
  const opening = watcher.open()
  change()
  assert.is(reads.length, 1, 'what is older cannot overtake')
  await answer(1)
  await opening
  await answer(2)
  assert.equal([updates, watcher.node?.seq], [[2], 2])
})

test('watcher: the same entry read again is no update, a failed reading neither', async () => {
  const { watcher, updates, change, answer } = byHand()
  const opening = watcher.open()
  await answer(1)
  await opening
  change()
  await answer(1)
  change()
  await answer('failure')
  assert.equal([updates, watcher.node?.seq], [[], 1])
  change()
  change()
  await answer(2)
  await answer(null)
  assert.equal(updates, [2, null])
})

test('getAndWatch: what is asked wrongly is refused, and leaves nothing behind', async () => {
  await Peers.with(1, async (peers) => {
    const { db } = peers.at(0)
    await rejectsWith('KEY_INVALID', () => db.getAndWatch(''))
    await rejectsWith('INVALID_ARGUMENT', () => db.getAndWatch('k', { wiat: 1 } as never), /wiat/)
  })
})

test.run()
