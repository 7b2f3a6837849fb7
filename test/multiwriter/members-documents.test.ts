/** What becomes of a device whose rights end while it works: it is told so, nothing hangs, and all others agree. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { isManyhandsError } from '../../errors.ts'
import type { Device, LiveDocument, Sealed, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { exportSpace } from '../support/export.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

const CLOSING_MS = 5000

interface Someone {
  readonly device: Device
  readonly space: Space
  readonly note: LiveDocument
}

interface Meeting {
  readonly founder: Someone
  readonly writer: Someone
  readonly third: Someone
  /** The founder goes away. */
  readonly cut: () => void
  readonly open: (name: string) => Promise<Device>
}

/** A founder, a writer, and another, connected in a chain; each has the document open, and all show the same. */
async function withNote(run: (meeting: Meeting) => Promise<void>): Promise<void> {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const devices = await Promise.all(['a', 'b', 'c'].map(open))
  const [first, ...others] = devices as [Device, ...Device[]]
  const space = await first.createSpace()
  const joined = await Promise.all(
    others.map((device) => device.openSpace(space.ticket, { mode: 'index' }))
  )
  const spaces = [space, ...joined]
  try {
    for (const { writer } of joined) await space.addWriter(writer)
    const cuts = joined.map((each, i) => connect(spaces[i] ?? space, each))
    for (const each of spaces) await until(() => each.members.list().length === 3)
    const notes = await Promise.all(spaces.map((each) => each.documents.open('note')))
    const all = spaces.map((each, i) => ({ device: devices[i], space: each, note: notes[i] }))
    const [founder, writer, third] = all as [Someone, Someone, Someone]
    type(founder.note, 'Dear all. ')
    for (const { note } of [founder, writer, third])
      await until(() => textOf(note) === 'Dear all. ')
    await run({ founder, writer, third, open, cut: () => cuts[0]?.() })
  } finally {
    for (const device of devices) await within(CLOSING_MS, device.close())
    await folder.remove()
  }
}

const isExcluded = ({ space }: Someone) =>
  space.members.list().find(({ isOwn }) => isOwn)?.role === null

const sealedIn = ({ space }: Someone) =>
  new Promise<Sealed>((resolve) => space.once('sealed', resolve))

const indexIsTrue = async ({ space }: Someone) => {
  const found = await space.check()
  assert.equal(
    found.filter(({ severity }) => severity !== 'note'),
    [],
    JSON.stringify(found)
  )
}

test('removed: while it types, all who are connected agree at once, and who comes later', () =>
  withNote(async ({ founder, writer, third, open }) => {
    const all = [founder, writer, third]
    let isTyping = true
    const errors: unknown[] = []
    writer.note.on('error', (error) => errors.push(error))
    const typing = (async () => {
      for (let i = 0; isTyping; i++) {
        type(writer.note, `${i} `)
        await writer.space.db.put('count', i).catch((error: unknown) => errors.push(error))
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    await until(() => /7 /.test(textOf(third.note)))
    await founder.space.members.revoke(writer.device.id)
    await until(() => isExcluded(writer))
    isTyping = false
    await typing
    type(writer.note, 'never ')
    await until(() => errors.length > 0)
    for (const error of errors) assert.ok(isManyhandsError(error, 'NOT_ALLOWED'), String(error))
    assert.ok(writer.note.status.unsaved > 0)
    assert.match(textOf(writer.note), /^never /)
    await within(CLOSING_MS, writer.note.close())
    const again = { ...writer, note: await writer.space.documents.open('note') }
    await until(() => textOf(founder.note) === textOf(third.note))
    await until(() => textOf(again.note) === textOf(founder.note))
    const view = await exportSpace(founder.space)
    for (const { space } of all) await until(async () => (await exportSpace(space)) === view)
    for (const each of all) await indexIsTrue(each)
    const device = await open('late')
    const space = await device.openSpace(founder.space.ticket)
    await founder.space.addWriter(space.writer)
    connect(founder.space, space)
    await until(async () => (await exportSpace(space)) === view)
    const note = await space.documents.open('note')
    await until(() => textOf(note) === textOf(founder.note))
    await within(CLOSING_MS, device.close())
  }))

test('removed: what it typed unheard leaves the documents of all, is told, and comes back when it is restored', () =>
  withNote(async ({ founder, writer, third, cut }) => {
    cut()
    await until(() => founder.space.peers().length === 0)
    await founder.space.members.revoke(writer.device.id)
    type(writer.note, 'gone. ')
    await writer.note.flush()
    await writer.space.db.put('gone', 1)
    await until(() => textOf(third.note) === 'gone. Dear all. ')
    await until(async () => (await third.space.db.get('gone')) !== null)
    const left = sealedIn(third)
    connect(founder.space, third.space)
    assert.equal(await left, {
      writers: [writer.space.writer],
      left: [{ key: 'db/gone', value: 1 }],
      documents: ['note']
    })
    const all = [founder, writer, third]
    for (const { note } of all) await until(() => textOf(note) === 'Dear all. ')
    for (const { space } of all) assert.is(await space.db.get('gone'), null)
    const [work] = await third.space.members.excluded()
    assert.equal(work?.documents, ['note'])
    type(third.note, 'me too ', 10)
    await until(() => textOf(founder.note) === 'Dear all. me too ')
    await until(async () => (await founder.space.members.excluded()).length === 1)
    await founder.space.members.restore(writer.device.id)
    for (const { note } of [founder, third])
      await until(() => textOf(note) === 'gone. Dear all. me too ')
    await until(() => textOf(writer.note) === 'gone. Dear all. ') // it is told nothing new
    for (const each of [founder, third]) await indexIsTrue(each)
  }))

test('removed: nothing is written any more, and nothing stands in the way of closing', () =>
  withNote(async ({ founder, writer }) => {
    await founder.space.db.put('news', 1)
    await until(async () => (await writer.space.db.get('news')) !== null)
    await founder.space.members.revoke(writer.device.id)
    await until(() => isExcluded(writer))
    const { space, note } = writer
    const length = () => space.writers().find(({ isOwn }) => isOwn)?.length
    const before = length()
    const told: unknown[] = []
    note.on('error', (error) => told.push(error))
    type(note, 'never ')
    await rejectsWith('NOT_ALLOWED', () => space.db.put('k', 1))
    await rejectsWith('NOT_ALLOWED', () => space.db.batch().put('k', 1).flush())
    await rejectsWith('NOT_ALLOWED', () => note.flush())
    await rejectsWith('NOT_ALLOWED', () => space.documents.delete('note'))
    await rejectsWith('NOT_ALLOWED', () => space.compact({ history: 'drop' }))
    assert.is((await space.compact()).pruned, 0)
    assert.not(await space.members.acknowledge())
    assert.is(length(), before)
    const { doc } = note
    await within(CLOSING_MS, space.close())
    assert.ok(told.every((error) => isManyhandsError(error, 'NOT_ALLOWED')) && told.length > 0)
    assert.is(doc.getText('t').toJSON(), 'never Dear all. ', 'who holds it reads it')
    const again = await writer.device.openSpace(space.address)
    const shown = await again.documents.open('note')
    assert.is(textOf(shown), 'Dear all. ')
  }))

test.run()
