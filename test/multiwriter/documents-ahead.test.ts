/** Keystrokes that go ahead of the log: shown at once, and nothing hangs on what no log holds. */
import { readFileSync } from 'node:fs'
import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { yjs } from '../../crdt/document/yjs.ts'
import { encodeUpdate } from '../../crdt/index.ts'
import { AheadCodec, MAX_AHEAD_BYTES } from '../../multiwriter/documents/ahead.ts'
import type { LiveDocument, Space } from '../../multiwriter/index.ts'
import { parseFrame, Sealer } from '../../multiwriter/presence/message.ts'
import { signerOfSpace, Words } from '../support/ahead.ts'
import { openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { Forger } from '../support/document-forger.ts'
import { textOf, type } from '../support/documents.ts'
import { signerOf, SimKeys } from '../support/presence.ts'

interface Vector {
  readonly epochKey: string
  readonly address: string
  readonly core: string
  readonly update: {
    readonly id: string
    readonly number: number
    readonly engine: number
    readonly bytes: string
  }
  readonly signed: string
  readonly frame: string
}

const vector: Vector = JSON.parse(
  readFileSync(new URL('../vectors/ahead.json', import.meta.url), 'utf8')
)

/** What is unconfirmed waits some seconds. */
const PATIENCE = { timeout: 30_000 }

/** A connection that is heard of by name only. */
const PATH = {}

interface Both extends TwoDevices {
  readonly connect: () => () => void
  readonly close: () => Promise<void>
  readonly docA: LiveDocument
  readonly docB: LiveDocument
  /** Somebody both know of, whose log nobody has. */
  readonly ghost: Words
}

async function openBoth(): Promise<Both> {
  const two = await openTwoDevices()
  const signer = signerOf('ghost')
  for (const space of [two.spaceA, two.spaceB]) await space.addWriter(signer.core)
  const docA = await two.spaceA.documents.open('d')
  const docB = await two.spaceB.documents.open('d')
  return { ...two, docA, docB, ghost: new Words(two.spaceA, signer) }
}

/** Both are connected, and what A has typed, an `a`, was heard by B and is on the log. */
async function openHeard(): Promise<Both> {
  const both = await openBoth()
  both.connect()
  await until(() => both.spaceA.peers().length === 1)
  type(both.docA, 'a')
  await both.docA.flush()
  await until(() => textOf(both.docB) === 'a')
  return both
}

/** Without timers. */
async function soon(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition() && performance.now() < deadline) await setImmediate()
}

/** As the logs alone say: nothing of what is open. */
async function inLogs(space: Space): Promise<string> {
  const doc = await space.documents.checkout('d', await space.version())
  return doc.getText('t').toJSON()
}

test('format 1, an update ahead of its log: its bytes, and the message that brings it', () => {
  const hex = (text: string) => b4a.from(text, 'hex')
  const keys = new SimKeys(hex(vector.epochKey))
  const sealer = new Sealer(b4a.alloc(32), hex(vector.address), keys)
  const frame = parseFrame(hex(vector.frame))
  assert.ok(typeof frame === 'object' && frame.type === 'ahead')
  const signed = sealer.openAhead(frame.box)
  if (signed === null || signed === 'malformed') return assert.unreachable()
  assert.is(b4a.toString(signed, 'hex'), vector.signed)
  const ahead = new AheadCodec(hex(vector.address)).read(signed)
  assert.ok(typeof ahead === 'object' && ahead.isTrue())
  const { id, number, engine, bytes } = ahead
  assert.equal({ id, number, engine, bytes: b4a.toString(bytes, 'hex') }, vector.update)
  assert.is(b4a.toString(ahead.core, 'hex'), vector.core)
  const again = { publicKey: signed.subarray(1, 33), sign: () => signed.subarray(-64) }
  assert.equal(new AheadCodec(hex(vector.address)).sign(ahead, again), signed)
})

test('ahead: what is typed is shown on the other device before it is on any log, and saved soon', async () => {
  const { docA, docB, spaceA, close } = await openHeard()
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    type(docA, 'b')
    await docA.flush() // its rest stands still now
    mock.timers.tick(5) // and what is typed next goes ahead at once
    type(docA, 'c')
    await soon(() => textOf(docB) === 'cba')
    assert.is(textOf(docB), 'cba')
    assert.is(docA.status.unsaved, 1)
    assert.is(await inLogs(spaceA), 'ba')
    mock.timers.tick(145)
    mock.timers.tick(50)
    await soon(() => docA.status.unsaved === 0)
    assert.is(await inLogs(spaceA), 'cba')
  } finally {
    mock.timers.reset()
  }
  await until(() => docA.status.unsynced === 0)
  await close()
})

test('ahead: what others have heard is written right after a keystroke, not while that is on its way', async () => {
  const { docA, docB, spaceA, close } = await openHeard()
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    type(docA, 'b')
    await docA.flush()
    mock.timers.tick(150) // its rest is over, and nobody types
    type(docA, 'c')
    await soon(() => textOf(docB) === 'cba')
    mock.timers.tick(1)
    for (let i = 0; i < 100; i++) await setImmediate()
    assert.is(docA.status.unsaved, 1)
    mock.timers.tick(1)
    await soon(() => docA.status.unsaved === 0)
    assert.is(await inLogs(spaceA), 'cba')
  } finally {
    mock.timers.reset()
  }
  await close()
})

test('ahead: what is typed after a long rest is written once others have had the time to show it', async () => {
  const { docA, docB, spaceA, close } = await openHeard()
  await new Promise((resolve) => setTimeout(resolve, 400)) // no rest is left
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    type(docA, 'b')
    await soon(() => textOf(docB) === 'ba')
    for (let i = 0; i < 100; i++) await setImmediate()
    assert.is(docA.status.unsaved, 1)
    mock.timers.tick(2)
    await soon(() => docA.status.unsaved === 0)
    assert.is(await inLogs(spaceA), 'ba')
  } finally {
    mock.timers.reset()
  }
  await close()
})

test('ahead: what was shown of a device that is gone for ever is quoted, so that all devices show it', async () => {
  const { docA, docB, spaceA, spaceB, ghost, connect, close } = await openBoth()
  connect()
  assert.is(spaceB.documents.hear(ghost.type('seen'), PATH), null)
  assert.is(textOf(docB), 'seen')
  assert.is(textOf(docA), '')
  spaceB.documents.lose(PATH)
  await until(() => textOf(docA) === 'seen', PATIENCE)
  assert.is(await inLogs(spaceA), 'seen')
  assert.equal([...spaceA.refusals(), ...spaceB.refusals()], [])
  await close()
})

test('ahead: an edit goes into the log with what it stands on, and without what it does not stand on', async () => {
  const { docA, docB, spaceB, ghost, connect, close } = await openBoth()
  connect()
  spaceB.documents.hear(ghost.type('ghost'), PATH)
  docB.doc.getMap('m').set('k', 'alone')
  await docB.flush()
  await until(() => docA.doc.getMap('m').get('k') === 'alone')
  assert.is(textOf(docA), '')
  type(docB, 's', 5)
  await docB.flush()
  await until(() => textOf(docA) === 'ghosts')
  docB.doc.getText('t').delete(0, 1)
  await docB.flush()
  await until(() => textOf(docA) === 'hosts')
  await close()
})

test('ahead: a deletion of what no log holds goes into the log with it', async () => {
  const { docA, docB, spaceA, spaceB, ghost, connect, close } = await openBoth()
  connect()
  spaceB.documents.hear(ghost.type('ghost'), PATH)
  docB.doc.getText('t').delete(0, 1)
  await docB.flush()
  await until(() => textOf(docA) === 'host')
  assert.is(await inLogs(spaceA), 'host')
  await close()
})

test('ahead: a document that closes leaves nothing to what no log holds, and its cache neither', async () => {
  const { docA, docB, spaceB, ghost, connect, close } = await openBoth()
  spaceB.documents.hear(ghost.type('seen'), PATH)
  await docB.close()
  assert.is(await inLogs(spaceB), 'seen')
  assert.is(textOf(await spaceB.documents.open('d')), 'seen')
  connect()
  await until(() => textOf(docA) === 'seen')
  await close()
})

test('ahead: what stands on what is not here is shown when that comes, by whichever way', async () => {
  const { docB, spaceA, spaceB, ghost, connect, close } = await openBoth()
  const [one, two, three] = [ghost.type('1'), ghost.type('2'), ghost.type('3')]
  spaceB.documents.hear(three, PATH)
  spaceB.documents.hear(two, PATH)
  assert.is(textOf(docB), '')
  assert.is(docB.doc.store.pendingStructs, null)
  spaceA.documents.hear(one, PATH)
  await spaceA.documents.close() // which quotes it
  connect()
  await until(() => textOf(docB) === '321', PATIENCE)
  await close()
})

test('ahead: heard twice, or after the log, it is shown once and quoted by nobody', async () => {
  const { docA, docB, spaceA, spaceB, connect, close } = await openBoth()
  connect()
  await until(() => spaceB.writers().length === 3)
  const words = new Words(spaceA, signerOfSpace(spaceA))
  const bytes = words.update('once')
  const signed = words.sign({ number: 0, bytes })
  for (let i = 0; i < 2; i++) assert.is(spaceB.documents.hear(signed, PATH), null)
  assert.is(textOf(docB), 'once')
  await new Forger(spaceA).write('d', encodeUpdate(yjs.code, 'update', bytes))
  await until(async () => (await inLogs(spaceB)) === 'once')
  await until(() => textOf(docA) === 'once')
  spaceB.documents.hear(signed, PATH)
  assert.is(textOf(docB), 'once')
  await docB.close()
  assert.is(spaceB.writers().find(({ isOwn }) => isOwn)?.length, 0)
  await close()
})

test('ahead: a device whose log says something else than it said is shown with both, the same on all devices', async () => {
  const { docA, docB, spaceA, spaceB, connect, close } = await openBoth()
  connect()
  await until(() => spaceB.writers().length === 3)
  const liar = new Words(spaceA, signerOfSpace(spaceA))
  const logged = new Words(spaceA, signerOfSpace(spaceA))
  const said = [liar.type('said'), liar.sign({ number: 0, bytes: logged.update('or that') })]
  for (const signed of said) assert.is(spaceB.documents.hear(signed, PATH), null)
  await new Forger(spaceA).write(
    'd',
    encodeUpdate(yjs.code, 'update', new Words(spaceA, signerOfSpace(spaceA)).update('wrote'))
  )
  await until(() => textOf(docA).length === 16 && textOf(docA) === textOf(docB), PATIENCE)
  assert.is(await inLogs(spaceA), textOf(docA))
  assert.is(await inLogs(spaceB), textOf(docA))
  await close()
})

test('ahead: what is nobody’s, of nobody here, of another space, too large or no update is refused; the document stays open', async () => {
  const { docB, spaceB, ghost, b, close } = await openBoth()
  const { documents } = spaceB
  const forged = b4a.from(ghost.type('x'))
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1
  assert.is(documents.hear(forged, PATH), 'forged')
  const other = await b.createSpace()
  assert.is(documents.hear(new Words(other, signerOf('ghost')).type('x'), PATH), 'forged')
  assert.is(documents.hear(new Words(spaceB, signerOf('who')).type('x'), PATH), 'unknown-writer')
  const large = ghost.sign({ bytes: b4a.alloc(MAX_AHEAD_BYTES + 1) })
  assert.is(documents.hear(large, PATH), 'oversized')
  assert.is(documents.hear(ghost.sign({ bytes: b4a.from([1, 9, 9]) }), PATH), 'malformed')
  for (const bytes of [b4a.alloc(0), b4a.alloc(63), forged.subarray(0, 100)])
    assert.is(documents.hear(bytes, PATH), 'malformed')
  assert.is(documents.hear(b4a.concat([b4a.from([2]), forged]), PATH), 'unsupported')
  assert.is(documents.hear(ghost.sign({ id: 'closed' }), PATH), null)
  assert.is(documents.hear(ghost.sign({ engine: 77 }), PATH), null)
  assert.is(textOf(docB), '')
  type(docB, 'on')
  await docB.flush()
  assert.is(await inLogs(spaceB), 'on')
  await close()
})

test('ahead: a quote that its author did not sign for this document is refused, and counted', async () => {
  const { docA, docB, spaceA, spaceB, ghost, connect, close } = await openBoth()
  const update = ghost.update('true')
  const good = ghost.sign({ bytes: update })
  const forged = b4a.from(good)
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1
  const quotes = [forged, ghost.sign({ id: 'e', bytes: update }), b4a.alloc(10), good]
  await new Forger(spaceB).write(
    'd',
    quotes.flatMap((quote) => encodeUpdate(yjs.code, 'quote', quote))
  )
  connect()
  await until(() => textOf(docA) === 'true' && textOf(docB) === 'true')
  const counts = spaceA.refusals().map(({ reason, count }) => [reason, count])
  assert.equal(counts, [['document-malformed', 3]])
  await close()
})

test.run()
