/**
 * Logs of who only reads. What stands in one counts nowhere; but somebody may have built on it before anybody knew, and that is to look
 * alike on all devices: those that hold the log, those that never read it, and those that come later.
 */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, LiveDocument, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { exportSpace } from '../support/export.ts'

const folder = await tempFolder()
let count = 0
const fresh = () => openDevice({ storage: join(folder.path, `device-${count++}`) })

test.after(() => folder.remove())

interface Someone {
  readonly space: Space
  readonly note: LiveDocument
  readonly device: Device
}

/** A founder and a writer that have met, and another device that has the ticket; newcomers come by the founder. */
async function withThree(
  run: (world: {
    readonly founder: Someone
    readonly writer: Someone
    readonly third: Someone
    readonly newcomer: () => Promise<Someone>
  }) => Promise<void>
): Promise<void> {
  const devices: Device[] = []
  const open = async (ticket: string | null): Promise<Someone> => {
    const device = await fresh()
    devices.push(device)
    const space = await (ticket === null ? device.createSpace() : device.openSpace(ticket))
    return { device, space, note: await space.documents.open('note') }
  }
  try {
    const founder = await open(null)
    const { ticket } = founder.space
    const writer = await open(ticket)
    const third = await open(ticket)
    connect(founder.space, writer.space)
    await founder.space.addWriter(writer.space.writer)
    await until(() => writer.space.members.list().length === 2)
    const newcomer = async () => {
      const late = await open(ticket)
      connect(founder.space, late.space)
      await founder.space.addWriter(late.space.writer)
      await until(() => late.space.members.list().length === founder.space.members.list().length)
      return late
    }
    await run({ founder, writer, third, newcomer })
  } finally {
    for (const device of devices) await device.close()
  }
}

async function showAlike(all: readonly Someone[], text: string): Promise<void> {
  // What does not come in time is said by the assertions, which show what is there instead.
  const patiently = (isSo: () => boolean | Promise<boolean>) =>
    until(isSo, { timeout: 5000 }).catch(() => {})
  for (const { note } of all) await patiently(() => textOf(note) === text)
  assert.equal(
    all.map(({ note }) => textOf(note)),
    all.map(() => text)
  )
  const [first] = all
  if (first === undefined) return
  const expected = await exportSpace(first.space)
  for (const { space } of all) {
    await patiently(async () => (await exportSpace(space)) === expected)
    assert.is(await exportSpace(space), expected)
  }
}

test('readers: what a writer built on the words of a reader, before it was one, is there on all devices, and the words are not', () =>
  withThree(async ({ founder, writer, third, newcomer }) => {
    // The writer reads it by itself, before anybody has let it in.
    await third.space.db.put('both', 'by the reader')
    await third.space.db.put('alone', 'by the reader')
    type(third.note, 'out ')
    await third.note.flush()
    await writer.space.addWriter(third.space.writer)
    const cut = connect(writer.space, third.space)
    await until(() => textOf(writer.note) === 'out ')
    await until(async () => (await writer.space.db.get('alone')) !== null)
    type(writer.note, 'in ', 4)
    await writer.note.flush()
    await writer.space.db.put('both', 'by the writer')
    cut()
    connect(founder.space, third.space)
    await until(() => founder.space.members.asking().length === 1)
    await founder.space.members.admit(third.space.writer, 'reader')
    await until(async () => (await writer.space.db.get('alone')) === null)
    const late = await newcomer()
    await showAlike([writer, founder, late], 'in ')
    assert.is((await late.space.db.get('both'))?.value, 'by the writer')
  }))

test('readers: the same where the words were quoted, and their log has none of them', () =>
  withThree(async ({ founder, writer, third, newcomer }) => {
    await writer.space.addWriter(third.space.writer)
    await third.space.addWriter(writer.space.writer)
    const cut = connect(writer.space, third.space)
    type(third.note, 'out ')
    await until(() => textOf(writer.note) === 'out ')
    type(writer.note, 'in ', 4)
    await writer.note.flush()
    cut()
    connect(founder.space, third.space)
    await until(() => founder.space.members.asking().length === 1)
    await founder.space.members.admit(third.space.writer, 'reader')
    const late = await newcomer()
    await showAlike([writer, founder, late], 'in ')
  }))

test('readers: who was a writer, was removed and came again as a reader, leaves behind what counted of it', () =>
  withThree(async ({ founder, writer, third, newcomer }) => {
    await founder.space.addWriter(third.space.writer)
    connect(founder.space, third.space)
    await until(() => founder.space.members.list().length === 3)
    await third.space.db.put('k', 'by the reader')
    type(third.note, 'out ')
    await third.note.flush()
    await until(async () => (await founder.space.db.get('k')) !== null)
    await until(() => textOf(founder.note) === 'out ' && textOf(writer.note) === 'out ')
    await founder.space.members.revoke(third.device.id)
    await until(() => third.space.members.list().some(({ isOwn, role }) => isOwn && role === null))
    await third.space.leave()
    const again = await third.device.openSpace(founder.space.ticket)
    connect(founder.space, again)
    await until(() => founder.space.members.asking().length === 1)
    await founder.space.members.admit(again.writer, 'reader')
    await until(async () => (await again.db.get('k')) !== null)
    const note = await again.documents.open('note')
    type(writer.note, 'in ', 4)
    await writer.note.flush()
    const late = await newcomer()
    await showAlike(
      [writer, founder, late, { device: third.device, space: again, note }],
      'out in '
    )
  }))

test.run()
