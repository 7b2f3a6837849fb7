/** Spaces whose blocks are encrypted: nothing of them in the clear, and a key that comes late brings all that waited for it. */
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { TestKeys } from '../support/block-keys.ts'
import { collect } from '../support/collect.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { openKeyedDevice } from '../support/keyed-devices.ts'
import { behindOf, FIRST, logOf, openLate, SECOND } from '../support/late-keys.ts'
import { rejectsWith } from '../support/rejects.ts'
import { filesIn } from '../support/store.ts'
import { RawPeer, helloOf } from '../support/raw-peer.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'

const CANARIES = ['canary-of-a-key', 'canary of a value', 'canary of a document', 'canary-id']

function canariesIn(bytes: Uint8Array): string[] {
  return CANARIES.filter((canary) => b4a.includes(bytes, b4a.from(canary)))
}

async function plant(space: Space): Promise<void> {
  for (let i = 0; i < 40; i++) {
    await space.db.put(`canary-of-a-key ${i}`, { text: `canary of a value ${'x'.repeat(i * 100)}` })
  }
  const doc = await space.documents.open('canary-id')
  type(doc, 'canary of a document')
  await doc.flush()
}

async function canariesBelow(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const [path, bytes] of await filesIn(folder))
    if (!path.includes('/index/')) found.push(...canariesIn(bytes))
  return found
}

test('nothing that is written stands in the clear on the disk of who wrote it or of who holds it, local indexes apart', async () => {
  const folder = await tempFolder()
  const a = await openDevice({ storage: join(folder.path, 'a') })
  const b = await openDevice({ storage: join(folder.path, 'b') })
  const spaceA = await a.createSpace({ open: true })
  const spaceB = await b.openSpace(spaceA.ticket)
  assert.ok(spaceA.isEncrypted && spaceB.isEncrypted)
  connect(spaceA, spaceB)
  await plant(spaceA)
  await until(async () => (await spaceB.db.get('canary-of-a-key 39')) !== null)
  await a.close()
  await b.close()
  assert.equal(await canariesBelow(folder.path), [])
  await folder.remove()
})

test('without encryption all of it does: the search finds what is there', async () => {
  const folder = await tempFolder()
  const a = await openDevice({ storage: join(folder.path, 'a') })
  const b = await openDevice({ storage: join(folder.path, 'b') })
  const spaceA = await a.createSpace({ open: true, encryption: false })
  const spaceB = await b.openSpace(spaceA.ticket)
  assert.not.ok(spaceA.isEncrypted || spaceB.isEncrypted)
  connect(spaceA, spaceB)
  await plant(spaceA)
  await until(async () => (await spaceB.db.get('canary-of-a-key 39')) !== null)
  await a.close()
  await b.close()
  assert.equal([...new Set(await canariesBelow(folder.path))].sort(), [...CANARIES].sort())
  const again = await openDevice({ storage: join(folder.path, 'b') })
  assert.not.ok((await again.openSpace(spaceA.address)).isEncrypted, 'it is remembered')
  await again.close()
  await folder.remove()
})

test('nothing of a log crosses the wire in the clear, under the encryption of the connection', async () => {
  for (const encryption of [true, false]) {
    const folder = await tempFolder()
    const device = await openDevice({ storage: join(folder.path, 'a') })
    const space = await device.createSpace({ open: true, encryption })
    await plant(space)
    const peer = new RawPeer(space)
    const seen: Uint8Array[] = []
    peer.stream.on('data', (data) => {
      if (data instanceof Uint8Array) seen.push(b4a.from(data))
    })
    const { membershipKey } = decodeTicket(space.ticket)
    const other = await openDevice({ storage: join(folder.path, 'b') })
    const copy = await other.openSpace(space.ticket)
    await copy.addWriter(space.writer)
    await peer.greet(membershipKey, () => helloOf(peer.proof(membershipKey)))
    const core = copy.wire.cores().find(({ key }) => z32.encode(key) === space.writer)
    assert.ok(core)
    core.core.replicator.attachTo(peer.mux)
    await until(async () => (await copy.db.get('canary-of-a-key 39')) !== null)
    const found = new Set(canariesIn(b4a.concat(seen)))
    assert.equal([...found].sort(), encryption ? [] : [...CANARIES].sort())
    peer.close()
    await device.close()
    await other.close()
    await folder.remove()
  }
})

for (const mode of ['stream', 'index'] as const) {
  test(`a key that comes late: what is read by ${mode} is of before it, and then all of it`, async () => {
    const write = async ({ db }: Space, epoch: string) => {
      for (let i = 0; i < 30; i++) await db.put(`${epoch} ${i}`, i)
      await db.put('both', epoch)
    }
    const late = await openLate(write, { mode })
    const { reader, keys } = late
    assert.is((await reader.db.get('both'))?.value, 'first')
    assert.is((await collect(reader.db.createReadStream())).length, 31)
    assert.is(await reader.db.get('second 0'), null)
    assert.equal(reader.refusals(), [], 'nobody is to blame')
    keys.learn(SECOND)
    assert.is((await reader.db.get('both'))?.value, 'second')
    assert.is((await collect(reader.db.createReadStream())).length, 61)
    assert.is(behindOf(late), null)
    await late.close()
  })
}

test('a key that comes late: who watches is told of all that it brings', async () => {
  const late = await openLate(async ({ db }, epoch) => {
    await db.batch().put(`${epoch} 1`, 1).put('both', epoch).flush()
  })
  const { reader, keys } = late
  assert.is((await reader.db.get('both'))?.value, 'first')
  const seen = new Map<string, unknown>()
  const changes = reader.db.watch()
  const watching = (async () => {
    for await (const { key, current, previous } of changes) {
      seen.set(key, [previous?.value ?? null, current?.value ?? null])
      if (seen.size === 3) break
    }
  })()
  // A change of our own is told of once the watch stands on what was there before.
  await reader.db.put('own', 1)
  await until(() => seen.has('own'))
  keys.learn(SECOND)
  await watching
  assert.equal(seen.get('both'), ['first', 'second'])
  assert.equal(seen.get('second 1'), [null, 1])
  await late.close()
})

test('a key that comes late: it is said that a log waits, and for what', async () => {
  const late = await openLate(({ db }, epoch) => db.put(epoch, 1).then(() => {}))
  const { reader, writer, keys } = late
  await until(() => behindOf(late) === 'NO_EPOCH_KEY')
  const behindOfMember = () =>
    reader.members
      .list()
      .flatMap(({ devices }) => devices)
      .find(({ writers }) => writers.includes(writer.writer))?.behind
  assert.is(behindOfMember(), 'NO_EPOCH_KEY')
  const found = (await reader.check()).filter((each) => each.writer === writer.writer)
  assert.equal(
    found.map(({ code, severity }) => [code, severity]),
    [['no-epoch-key', 'warning']]
  )
  const version = await writer.version()
  await rejectsWith('NO_EPOCH_KEY', () => reader.checkout(version).db.get('first'))
  keys.learn(SECOND)
  assert.is((await reader.db.get('second'))?.value, 1)
  assert.is(behindOfMember(), null)
  assert.is((await reader.checkout(version).db.get('second'))?.value, 1)
  assert.equal(await reader.check(), [])
  await late.close()
})

test('a key that comes late: a sparse reader finds in a few blocks how far it can read', async () => {
  const folder = await tempFolder()
  const writerKeys = new TestKeys([FIRST])
  const keys = new TestKeys([FIRST])
  const a = await openKeyedDevice(join(folder.path, 'a'), writerKeys)
  const b = await openKeyedDevice(join(folder.path, 'b'), keys)
  const writer = await a.createSpace({ open: true })
  for (let i = 0; i < 200; i++) await writer.db.put(`first ${i}`, i)
  writerKeys.use(SECOND)
  for (let i = 0; i < 500; i++) await writer.db.put(`second ${i}`, i)
  const reader = await b.openSpace(writer.ticket, { sparse: true })
  connect(writer, reader)
  await until(() => logOf(reader, writer)?.known === 700)
  const core = reader.wire.cores().find(({ key }) => z32.encode(key) === writer.writer)
  assert.ok(core)
  let fetched = 0
  core.on('download', () => fetched++)
  assert.is((await reader.db.get('first 7'))?.value, 7)
  assert.is(await reader.db.get('second 7'), null)
  assert.is(logOf(reader, writer)?.behind, 'NO_EPOCH_KEY')
  assert.ok(fetched < 60, `${fetched} blocks`)
  keys.learn(SECOND)
  assert.is((await reader.db.get('second 7'))?.value, 7)
  await a.close()
  await b.close()
  await folder.remove()
})

test('a key that comes late: history has what was written under it', async () => {
  const late = await openLate(async ({ db }, epoch) => {
    for (let i = 0; i < 20; i++) await db.put(`${epoch} ${i}`, i)
  })
  const { reader, keys } = late
  const historyOf = () => collect(reader.db.createHistoryStream())
  assert.is((await historyOf()).length, 20)
  keys.learn(SECOND)
  assert.is((await historyOf()).length, 40)
  await late.close()
})

test('a key that comes late: an open document goes on with what was typed under it', async () => {
  let typed = ''
  let shown = (): string => ''
  const write = async (space: Space, epoch: string) => {
    const doc = await space.documents.open('notes')
    type(doc, `${epoch} `)
    await doc.flush()
    typed = textOf(doc)
    await doc.close()
  }
  const prepare = async (reader: Space) => {
    const doc = await reader.documents.open('notes')
    shown = () => textOf(doc)
    await until(() => shown() === 'first ')
  }
  const late = await openLate(write, { prepare })
  const again = await late.reader.documents.open('notes')
  assert.equal(late.reader.refusals(), [])
  late.keys.learn(SECOND)
  await until(() => shown() === typed && textOf(again) === typed)
  assert.is(typed.length, 'first second '.length)
  await late.close()
})

test('a device that may write with no key says so, writes nothing, and goes on when it may', async () => {
  const folder = await tempFolder()
  const keys = new TestKeys([FIRST])
  const device = await openKeyedDevice(join(folder.path, 'a'), keys)
  const space = await device.createSpace()
  await space.db.put('a', 1)
  keys.stop()
  await rejectsWith('NO_EPOCH_KEY', () => space.db.put('b', 1))
  assert.is(await space.db.get('b'), null)
  keys.use(SECOND)
  await space.db.put('b', 2)
  assert.is((await space.db.get('b'))?.value, 2)
  assert.is((await space.db.get('a'))?.value, 1)
  await device.close()
  await folder.remove()
})

test('encryption: anything but true or false is refused', async () => {
  const two = await openTwoDevices()
  await rejectsWith('INVALID_ARGUMENT', () => two.a.createSpace({ encryption: 'no' as never }))
  await two.close()
})

test.run()
