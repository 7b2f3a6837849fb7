/** A key that comes late, to a device that has looked after its logs meanwhile: it finds all that it would have found without waiting. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { restoreBackup } from '../../core/native/index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { TestKeys } from '../support/block-keys.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { exportSpace } from '../support/export.ts'
import { openKeyedDevice } from '../support/keyed-devices.ts'
import { seededRandom } from '../support/random.ts'
import { behindOf, FIRST, logOf, openLate, SECOND, type Late } from '../support/late-keys.ts'

const KEYS = 40

const random = seededRandom(1)

/** What nobody can make small goes by the log alone, and not ahead of it. */
const LARGE = Array.from({ length: 40_000 }, () => random.below(36).toString(36)).join('')

async function putAll({ db }: Space, value: string): Promise<void> {
  for (let i = 0; i < KEYS; i++) await db.put(`${i}`, `${value} ${i}`)
}

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

/** All of both logs is on both devices. */
const inStep = ({ writer, reader }: Late) =>
  until(() =>
    [writer, reader].every((one) =>
      [writer, reader].every((other) => {
        const [here, there] = [logOf(one, other), logOf(other, other)]
        return here?.here === there?.here
      })
    )
  )

/** With the key the reader has what the writer has. */
async function findsAll(late: Late): Promise<void> {
  await until(() => behindOf(late) === 'NO_EPOCH_KEY')
  late.keys.learn(SECOND)
  await inStep(late)
  assert.is(behindOf(late), null)
  assert.equal(await exportSpace(late.reader), await exportSpace(late.writer))
  assert.equal(await late.reader.check(), [])
  assert.equal(late.reader.refusals(), [])
}

test('a key that comes late: the writer has dropped its history meanwhile', async () => {
  const late = await openLate(putAll)
  assert.is(await valueIn(late.reader, '7'), 'first 7')
  await late.writer.compact({ history: 'drop' })
  await late.writer.db.put('more', 1)
  await inStep(late)
  await late.reader.db.get('7')
  await findsAll(late)
  assert.is(await valueIn(late.reader, '7'), 'second 7')
  await late.close()
})

test('a key that comes late: the reader has compacted meanwhile, and written over what it could read', async () => {
  const late = await openLate(putAll)
  const { reader } = late
  for (let i = 0; i < 5; i++) await reader.db.put(`${i}`, 'own')
  await reader.compact({ history: 'drop' })
  await reader.compact()
  assert.is(await valueIn(reader, '7'), 'first 7')
  await findsAll(late)
  assert.is(await valueIn(reader, '0'), 'own')
  await late.close()
})

test('a key that comes late: a key was purged meanwhile', async () => {
  const late = await openLate(putAll)
  await valueIn(late.reader, '7')
  await late.writer.db.del('7')
  await late.writer.db.purge('7')
  await inStep(late)
  await valueIn(late.reader, '8')
  await findsAll(late)
  assert.is(await valueIn(late.reader, '7'), undefined)
  assert.is(await valueIn(late.reader, '8'), 'second 8')
  await late.close()
})

test('a key that comes late: to who has never had any, of a log that has dropped its history', async () => {
  const folder = await tempFolder()
  const keys = new TestKeys([])
  const a = await openKeyedDevice(join(folder.path, 'a'), new TestKeys([FIRST]))
  const b = await openKeyedDevice(join(folder.path, 'b'), keys)
  const writer = await a.createSpace({ open: true })
  await putAll(writer, 'first')
  await putAll(writer, 'second')
  await writer.compact({ history: 'drop' })
  const reader = await b.openSpace(writer.ticket)
  connect(writer, reader)
  await until(async () => (await blocksIn(reader, writer)) === (await blocksIn(writer, writer)))
  assert.is(await valueIn(reader, '7'), undefined)
  keys.learn(FIRST)
  await until(async () => (await valueIn(reader, '7')) === 'second 7')
  assert.equal(await exportSpace(reader), await exportSpace(writer))
  await a.close()
  await b.close()
  await folder.remove()
})

test('a key that comes late: what was typed into words behind a seal is shown when their key has come', async () => {
  const folder = await tempFolder()
  const keysOf = { late: new TestKeys([FIRST]), removed: new TestKeys([FIRST, SECOND]) }
  const open = (name: string, keys = new TestKeys([SECOND, FIRST])) =>
    openKeyedDevice(join(folder.path, name), keys)
  const founder = await open('founder')
  const removed = await open('removed', keysOf.removed)
  const typist = await open('typist')
  const late = await open('late', keysOf.late)
  const space = await founder.createSpace()
  const enter = async (device: Device) => {
    const entered = await device.openSpace(space.ticket)
    await space.addWriter(entered.writer)
    const cut = connect(space, entered)
    await until(() => entered.members.list().some(({ isOwn, role }) => isOwn && role !== null))
    return { entered, cut }
  }
  const { entered: ofRemoved, cut: cutRemoved } = await enter(removed)
  const { entered: ofTypist, cut: cutTypist } = await enter(typist)
  await until(() => ofRemoved.members.list().length === 3)
  cutRemoved()
  cutTypist()

  // The founder knows of none of this when it removes the device.
  const cut = connect(ofRemoved, ofTypist)
  const note = await ofTypist.documents.open('d')
  const words = await ofRemoved.documents.open('d')
  type(words, 'removed ')
  await words.flush()
  keysOf.removed.use(FIRST)
  await ofRemoved.db.put('newest', 'under the first')
  await until(
    async () => textOf(note) === 'removed ' && (await valueIn(ofTypist, 'newest')) !== undefined
  )
  type(note, 'kept ', 3)
  await note.flush()
  cut()
  await space.members.revoke(removed.id)

  connect(space, ofTypist)
  const { entered } = await enter(late)
  await until(
    async () => (await blocksIn(entered, ofRemoved)) === (await blocksIn(ofTypist, ofRemoved))
  )
  await until(
    async () => (await blocksIn(entered, ofTypist)) === (await blocksIn(ofTypist, ofTypist))
  )
  await late.close()
  const again = await open('late', keysOf.late)
  const shown = await (await again.openSpace(space.address)).documents.open('d')
  assert.is(textOf(shown), '')
  keysOf.late.learn(SECOND)
  await until(() => textOf(shown) === 'kept ')
  for (const device of [founder, removed, typist, again]) await device.close()
  await folder.remove()
})

/** Which blocks of a writer's log are here: those that it has cleared are nowhere. */
async function blocksIn({ wire }: Space, { writer }: Space): Promise<string> {
  const core = wire.cores().find(({ key }) => z32.encode(key) === writer)
  if (core === undefined) return 'none'
  return (await Promise.all(Array.from({ length: core.length }, (_, seq) => core.has(seq)))).join()
}

test('a key that comes late: what was written over is pruned on both sides, and stays as it is', async () => {
  const late = await openLate(putAll, { prepare: (reader) => putAll(reader, 'reader') })
  const { writer, reader } = late
  await valueIn(reader, '7')
  for (let round = 0; round < 3; round++) {
    await writer.compact()
    await reader.compact()
    await inStep(late)
  }
  await findsAll(late)
  for (let round = 0; round < 3; round++) {
    await writer.compact()
    await reader.compact()
    await inStep(late)
  }
  assert.equal(await exportSpace(reader), await exportSpace(writer))
  assert.is(await valueIn(reader, '7'), 'second 7')
  await late.close()
})

test('a key that comes late: a backup made before it is restored, and it comes there', async () => {
  const late = await openLate(putAll)
  const folder = await tempFolder()
  const path = join(folder.path, 'restored')
  await restoreBackup(path, late.device.backup(null))
  const keys = new TestKeys([FIRST])
  const device = await openKeyedDevice(path, keys)
  const space = await device.openSpace(late.writer.address)
  assert.is(await valueIn(space, '7'), 'first 7')
  keys.learn(SECOND)
  assert.is(await valueIn(space, '7'), 'second 7')
  assert.equal(await exportSpace(space), await exportSpace(late.writer))
  await device.close()
  await late.close()
  await folder.remove()
})

test('a key that comes late: an open Automerge document goes on with what was changed under it', async () => {
  const openIn = (space: Space) =>
    space.documents.open<{ items?: string[] }>('list', { engine: 'automerge' })
  const write = async (space: Space, epoch: string) => {
    const live = await openIn(space)
    live.doc.change((draft) => {
      draft.items ??= []
      draft.items.push(epoch, LARGE)
    })
    await live.flush()
    await live.close()
  }
  let shown = (): readonly string[] => []
  const prepare = async (reader: Space) => {
    const live = await openIn(reader)
    shown = () => (live.doc.value.items ?? []).map((item) => (item === LARGE ? 'large' : item))
    await until(() => shown().length === 2)
  }
  const late = await openLate(write, { prepare })
  assert.equal(shown(), ['first', 'large'])
  late.keys.learn(SECOND)
  await until(() => shown().length === 4)
  assert.equal(shown(), ['first', 'large', 'second', 'large'])
  assert.equal(late.reader.refusals(), [])
  await late.close()
})

test.run()
