/** Mirrors keep and serve everything, and can read nothing of it: neither on their disk nor in their memory stands a word of what was written. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice } from '../../index.ts'
import type { Hypercore } from '../../core/index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import {
  Canaries,
  canariesBelow,
  canariesInMemory,
  canReadMemory,
  type MemorySearch
} from '../support/canaries.ts'
import { collect } from '../support/collect.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { connectTo, MirrorProcess } from '../support/mirror.ts'
import { rejectsWith } from '../support/rejects.ts'
import { filesIn, overwriteBlock } from '../support/store.ts'

const PLANTED = 1000

/** Of each writer. */
const TOPICS = 40

/** Not sent to who reads, or not kept in its memory: what two tell each other, what each calls itself, what was deleted. */
const NOT_KEPT = ['channel', 'name of the space', 'name of a device', 'deleted', 'sub-database']

interface Writer {
  readonly device: Device
  readonly space: Space
}

async function openWriters(
  folder: string,
  canaries: Canaries
): Promise<{ readonly ann: Writer; readonly bob: Writer }> {
  const named = () => canaries.next('name of a device')
  const [one, two] = [
    await openDevice({ storage: join(folder, 'ann'), name: named() }),
    await openDevice({ storage: join(folder, 'bob'), name: named() })
  ]
  const space = await one.createSpace({ name: canaries.next('name of the space') })
  const ann = { device: one, space }
  const bob = { device: two, space: await two.openSpace(space.ticket) }
  await space.addWriter(bob.space.writer)
  connect(ann.space, bob.space)
  await until(() => bob.space.members.list().length === 2 && bob.space.writers().length === 2)
  return { ann, bob }
}

/** Everything that is stored, but for what is typed live. */
async function plant({ space }: Writer, canaries: Canaries): Promise<void> {
  const next = (kind: string) => canaries.next(kind)
  for (let i = 0; i < 75; i++) await space.db.put(next('key'), next('value'))
  for (let i = 0; i < 20; i++) {
    await space.db.put(`object ${space.writer} ${i}`, {
      [next('name of a field')]: { in: [next('value')] }
    })
  }
  const people = space.db.sub('people')
  await people.put(space.writer, { name: next('name of a person') })
  const sub = space.db.sub(next('sub-database'))
  await sub.put(next('key'), next('value'))
  const gone = next('deleted')
  await space.db.put(gone, next('deleted'))
  await space.db.del(gone)
  await space.db.counter(next('key')).add(1)
  await space.db.set(next('key')).add(next('value'))
  for (let i = 0; i < 30; i++) {
    const id = next('name of a document')
    await space.documents.metadata.put(id, { title: next('title') })
    const { doc, flush, close } = await opened(space, id)
    for (let j = 0; j < 3; j++) doc.getText('t').insert(0, `${next('text')} `)
    await flush()
    await close()
  }
}

async function opened({ documents }: Space, id: string) {
  const document = await documents.open(id)
  return { doc: document.doc, flush: () => document.flush(), close: () => document.close() }
}

/** Letter by letter, while the other looks on. */
async function typeLive(from: Writer, to: Writer, canaries: Canaries, words: number) {
  const [here, there] = [await opened(from.space, 'live'), await opened(to.space, 'live')]
  for (let i = 0; i < words; i++) {
    const word = canaries.next('text typed live')
    const text = here.doc.getText('t')
    for (const letter of `${word} `) {
      text.insert(text.length, letter)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => there.doc.getText('t').toJSON().includes(word))
  }
  await here.flush()
  for (const each of [here, there]) await each.close()
}

function say({ space }: Writer, canaries: Canaries, topics: number): void {
  for (let i = 0; i < topics; i++) {
    const topic = space.presence.topic(canaries.next('topic of presence'))
    topic.set({ name: canaries.next('name in presence'), cursor: canaries.next('cursor') })
  }
}

async function talk(ann: Writer, bob: Writer, canaries: Canaries): Promise<void> {
  const name = canaries.next('channel')
  const [one, other] = [ann.space.channel(name), bob.space.channel(name)]
  await until(() => one.peers().length > 0 && other.peers().length > 0)
  assert.equal(one.peers(), [bob.device.id], 'and not the mirror')
  const message = canaries.next('channel')
  const heard = new Promise<Uint8Array>((resolve) => other.once('message', resolve))
  await one.send(bob.device.id, Buffer.from(message))
  assert.is(Buffer.from(await heard).toString(), message)
}

async function searched(canaries: Canaries, { pid }: MirrorProcess): Promise<MemorySearch> {
  const search = await canariesInMemory(canaries.prefix, pid)
  assert.ok(search.bytes > 30_000_000, `only ${search.bytes} bytes of memory were read`)
  return search
}

/** Skipped where the memory of other processes cannot be read; the last line of all tests counts it. */
function whereMemoryIsRead(title: string, run: () => Promise<void>): void {
  if (canReadMemory) test(title, run)
  else test.skip(title)
}

whereMemoryIsRead(
  'a mirror: of 1,000 canaries none is on its disk or in its memory, and all reach who reads from it alone',
  async () => {
    const folder = await tempFolder()
    const canaries = new Canaries()
    const { prefix } = canaries
    const { ann, bob } = await openWriters(folder.path, canaries)
    const ticket = ann.space.mirrorTicket
    const mirror = new MirrorProcess({ folder: join(folder.path, 'mirror'), ticket, prefix })
    const port = await mirror.port()
    let cuts = [connectTo(ann.device, port)]
    const { writer } = await mirror.state()
    await until(() => ann.space.members.asking().some((each) => each.writer === writer))
    await ann.space.members.admit(writer, 'mirror')
    await until(() => bob.space.members.list().length === 3)
    cuts.push(connectTo(bob.device, port))

    say(ann, canaries, TOPICS)
    for (const each of [ann, bob]) await plant(each, canaries)
    await typeLive(ann, bob, canaries, 20)
    await typeLive(bob, ann, canaries, 20)
    await talk(ann, bob, canaries)
    say(bob, canaries, TOPICS)
    while (canaries.planted < PLANTED) await ann.space.db.put(canaries.next('key'), 1)
    assert.is(canaries.planted, PLANTED)

    const lengths = () => new Map(ann.space.writers().map((log) => [log.writer, log.length]))
    const isWhole = ({ logs }: { readonly logs: Readonly<Record<string, number>> }) =>
      [...lengths()].every(([log, length]) => (logs[log] ?? 0) >= length)
    const held = await mirror.state((state) => isWhole(state) && state.sealed === 2 * TOPICS)
    assert.equal([held.read, held.refused], [0, []])
    assert.equal(new Set(held.behind), new Set(['NO_EPOCH_KEY']))

    for (const cut of cuts) cut()
    await until(() => ann.space.peers().length === 1 && bob.space.peers().length === 1)
    const reader = new MirrorProcess({
      folder: join(folder.path, 'reader'),
      ticket: ann.space.ticket,
      prefix,
      connectTo: port,
      subs: ['people']
    })
    const alone = await reader.state((state) => isWhole(state) && state.read > 0)
    assert.is(alone.peers, 1)

    cuts = [ann, bob].map(({ device }) => connectTo(device, port))
    await until(() => ann.space.peers().length === 2 && bob.space.peers().length === 2)
    await reader.state(({ devices }) => devices === 2)
    await mirror.state(({ sealed }) => sealed === 2 * TOPICS)
    const [blind, seeing] = [await searched(canaries, mirror), await searched(canaries, reader)]
    assert.equal(canaries.kindsOf(blind.found), {}, 'in the memory of the mirror')
    const stored = await canariesBelow(prefix, join(folder.path, 'mirror'))
    assert.equal(canaries.kindsOf(stored), {}, 'on the disk of the mirror')
    const kept = canaries.kindsOf(canaries.all((kind) => !NOT_KEPT.includes(kind)))
    const found = canaries.all((kind, each) => !NOT_KEPT.includes(kind) && seeing.found.has(each))
    assert.equal(
      canaries.kindsOf(found),
      kept,
      'the search finds what is in the memory of who reads'
    )
    assert.ok(found.size > 0.95 * PLANTED)

    for (const cut of cuts) cut()
    for (const each of [mirror, reader]) await each.kill()
    for (const { device } of [ann, bob]) await device.close()
    await folder.remove()
  }
)

interface Mirror extends Writer {
  readonly folder: string
  /** From the founder. */
  cut(): Promise<void>
  meet(): void
}

/** A founder and its mirror, connected, in one process. */
async function withMirror(run: (own: Writer, mirror: Mirror) => Promise<void>): Promise<void> {
  const folder = await tempFolder()
  const one = await openDevice({ storage: join(folder.path, 'own') })
  const other = await openDevice({ storage: join(folder.path, 'mirror') })
  try {
    const space = await one.createSpace()
    const copy = await other.openSpace(space.mirrorTicket)
    let cut = connect(space, copy)
    const mirror: Mirror = {
      folder: folder.path,
      device: other,
      space: copy,
      meet: () => void (cut = connect(space, copy)),
      async cut() {
        cut()
        await until(() => copy.peers().length === 0)
      }
    }
    await until(() => space.members.asking().length === 1)
    await space.members.admit(mirror.space.writer, 'mirror')
    await until(() => copy.members.list().length === 2)
    await until(() => copy.writers().some(({ writer }) => writer === space.writer))
    await run({ device: one, space }, mirror)
  } finally {
    for (const device of [one, other]) await device.close()
    await folder.remove()
  }
}

function copyIn({ space: mirror }: Writer, { space }: Writer): Hypercore {
  const copy = mirror.wire.cores().find(({ key }) => z32.encode(key) === space.writer)
  if (copy === undefined) throw new Error('The log is not there')
  return copy
}

test('a mirror: what it is asked for it says it lacks the key of, or shows nothing; it invents and breaks nothing', () =>
  withMirror(async (own, mirror) => {
    for (let i = 0; i < 10; i++) await own.space.db.put(`k${i}`, 'x'.repeat(1000))
    await own.space.documents.metadata.put('d', { title: 'secret' })
    await until(() => copyIn(mirror, own).contiguousLength === 11)
    const { db, documents, members } = mirror.space
    assert.is(await db.get('k1'), null)
    assert.equal(await collect(db.createReadStream()), [])
    assert.equal(await collect(db.createHistoryStream()), [])
    assert.equal(await collect(documents.list()), [])
    const document = await documents.open('d')
    assert.is(document.doc.getText('t').toJSON(), '')
    await document.close()
    await rejectsWith('NOT_ALLOWED', () => db.put('k', 1), /it is a mirror/)
    const version = await own.space.version()
    await rejectsWith('NO_EPOCH_KEY', () => mirror.space.checkout(version).db.get('k1'))
    await rejectsWith('NO_EPOCH_KEY', () => collect(mirror.space.diff(version, version)))
    const [finding, ...others] = await mirror.space.check()
    assert.equal([finding?.code, finding?.severity, others], ['no-epoch-key', 'warning', []])
    assert.equal(mirror.space.refusals(), [])
    for (const each of [own.space.members, members]) {
      const [, row] = each.list()
      assert.equal([row?.role, row?.devices[0]?.hasKey], ['mirror', false])
    }
    assert.is(mirror.space.mirrorTicket, mirror.space.ticket, 'it has no key to pass on')
    await mirror.device.close()
    const rows = [...(await filesIn(join(mirror.folder, 'mirror', 'index')))]
      .filter(([path]) => /\.(log|ldb)$/.test(path))
      .map(([, { byteLength }]) => byteLength)
    assert.ok(rows.length > 0 && rows.every((bytes) => bytes < 100), rows.join())
  }))

test('a mirror: a block that was changed is not taken, and comes from whoever has it as it was', () =>
  withMirror(async (own, mirror) => {
    await own.space.db.put('first', 1)
    await until(() => copyIn(mirror, own).contiguousLength === 1)
    const reader = await openDevice({ storage: join(mirror.folder, 'reader') })
    const honest = await reader.openSpace(own.space.ticket)
    const cut = connect(own.space, honest)
    await until(() => own.space.members.asking().length === 1)
    await own.space.members.admit(honest.writer, 'reader')
    await mirror.cut()
    await own.space.db.put('second', 2)
    await until(async () => (await honest.db.get('second')) !== null)
    cut()
    await overwriteBlock(copyIn(own, own), 1)
    mirror.meet()
    await until(() => copyIn(mirror, own).core.replicator.stats.invalidData > 0)
    assert.is(copyIn(mirror, own).contiguousLength, 1)
    await mirror.cut()
    connect(mirror.space, honest)
    await until(() => copyIn(mirror, own).contiguousLength === 2)
    await reader.close()
  }))

test.run()
