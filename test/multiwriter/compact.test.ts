/** Compacting: the same database on less disk; with `history: 'drop'` nothing of this device's past is left anywhere. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, type Space } from '../../index.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'
import { rejectsWith } from '../support/rejects.ts'

async function putMany(space: Space, text: string, count = 400): Promise<void> {
  for (let from = 0; from < count; from += 40) {
    const batch = space.db.batch()
    for (let i = from; i < from + 40; i++)
      batch.put(String(i).padStart(4, '0'), `${text} ${i} ${'x'.repeat(100)}`)
    await batch.flush()
  }
}

const own = async (space: Space) => {
  const log = (await space.stats()).logs.find(({ isOwn }) => isOwn)
  if (log === undefined) throw new Error('no own log')
  return log
}

test('compact: keeping history drops no block, and the store does not grow', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  for (const round of ['one', 'two', 'three']) await putMany(spaceA, round)
  const before = await exportSpace(spaceA)
  const stats = await own(spaceA)
  const report = await spaceA.compact()
  assert.is(report.blocks, 0)
  assert.ok(report.after <= report.before, JSON.stringify(report))
  assert.equal(await own(spaceA), stats)
  assert.is(await exportSpace(spaceA), before)
  assert.equal(await spaceA.check(), [])
  await two.close()
})

test('compact: dropping history keeps the database, and wins the disk back', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  two.connect()
  for (let round = 0; round < 8; round++) await putMany(spaceA, `round ${round}`)
  await spaceA.db.sub('s').put('big', 'y'.repeat(20_000))
  await spaceA.db.del('0003')
  const length = spaceA.writers().find(({ isOwn }) => isOwn)?.length ?? 0
  const arrived = (at: () => number) =>
    until(() =>
      spaceB.writers().some(({ writer, length }) => writer === spaceA.writer && length === at())
    )
  await arrived(() => length)
  await spaceB.compact()
  const before = await exportSpace(spaceA, ['s'])
  const past = await own(spaceA)
  assert.ok((past.historyBytes ?? 0) > 5 * 40_000)
  const report = await spaceA.compact({ history: 'drop' })
  assert.is(report.blocks, past.held)
  const now = await own(spaceA)
  assert.is(now.historyBytes, 0)
  assert.ok(
    (now.liveBytes ?? Infinity) <= (past.liveBytes ?? 0),
    `${now.liveBytes} of ${past.liveBytes}`
  )
  assert.ok(report.after < report.before / 2, JSON.stringify(report))
  assert.is(await exportSpace(spaceA, ['s']), before)
  // The other device follows, and is smaller, too.
  await until(async () => {
    const theirs = (await spaceB.stats()).logs.find(({ writer }) => writer === spaceA.writer)
    return theirs?.historyBytes === 0
  })
  assert.is(await exportSpace(spaceB, ['s']), before)
  const theirs = await spaceB.compact()
  assert.ok(theirs.after < theirs.before / 2, JSON.stringify(theirs))
  for (const space of [spaceA, spaceB]) assert.equal(await space.check(), [])
  assert.is((await spaceA.compact({ history: 'drop' })).blocks, 0, 'there is nothing more to drop')
  await spaceA.db.put('0001', 'later')
  await until(async () => (await spaceB.db.get('0001'))?.value === 'later')
  await two.close()
})

test('compact: dropped again and again, with writes and restarts between, by both devices', async () => {
  const folder = await tempFolder()
  let a = await openDevice({ storage: join(folder.path, 'a') })
  const b = await openDevice({ storage: join(folder.path, 'b') })
  let spaceA = await a.createSpace({ open: true })
  const spaceB = await b.openSpace(spaceA.ticket)
  for (let round = 0; round < 4; round++) {
    const cut = connect(spaceA, spaceB)
    await putMany(spaceA, `a ${round}`, 80)
    await putMany(spaceB, `b ${round}`, 80)
    await spaceA.db.put('end', round)
    await until(async () => (await spaceB.db.get('end'))?.value === round)
    cut()
    await until(() => spaceA.peers().length === 0 && spaceB.peers().length === 0)
    await spaceA.db.put('0001', `alone ${round}`)
    const before = await exportSpace(spaceA)
    await spaceA.compact({ history: 'drop' })
    assert.is(await exportSpace(spaceA), before)
    await spaceB.compact({ history: 'drop' })
    const { address } = spaceA
    await a.close()
    a = await openDevice({ storage: join(folder.path, 'a') })
    spaceA = await a.openSpace(address)
    assert.is(a.rolledBack, null)
    assert.is(await exportSpace(spaceA), before)
  }
  const cut = connect(spaceA, spaceB)
  await until(async () => (await exportSpace(spaceA)) === (await exportSpace(spaceB)))
  for (const space of [spaceA, spaceB]) assert.equal(await space.check(), [])
  cut()
  await a.close()
  await b.close()
  await folder.remove()
})

test('compact: puts issued meanwhile are written, none is lost', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await putMany(spaceA, 'one')
  await putMany(spaceA, 'two')
  const work = [
    spaceA.compact({ history: 'drop' }),
    spaceA.db.put('0001', 'meanwhile'),
    spaceA.db.put('new', 1),
    spaceA.db.purge('0002'),
    spaceA.db.put('0002', 'last')
  ]
  await Promise.all(work)
  assert.is((await spaceA.db.get('0001'))?.value, 'meanwhile')
  assert.is((await spaceA.db.get('new'))?.value, 1)
  assert.is((await spaceA.db.get('0002'))?.value, 'last')
  assert.equal(await spaceA.check(), [])
  await two.close()
})

test('compact: bad input is an error at once, and nothing is done', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await spaceA.db.put('k', 1)
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.compact({ history: 'some' } as never))
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.compact({ keep: true } as never))
  assert.is((await own(spaceA)).length, 1)
  await spaceA.close()
  await rejectsWith('SPACE_CLOSED', () => spaceA.compact())
  await two.close()
})

test.run()
