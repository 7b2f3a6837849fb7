/** Knowing which logs say something where. Random histories: test/sim/speakers.test.ts. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogReader, OwnLog, type TreeEntry, type TreeRange } from '../../core/index.ts'
import { iterate, type Cursor } from '../../multiwriter/cursor.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { SpeakerCursor } from '../../multiwriter/speaker-cursor.ts'
import { SpeakerTableBuilder } from '../../multiwriter/speaker-table.ts'
import { KnownSpeakers, type KnownKeys, type SpeakerLimits } from '../../multiwriter/speakers.ts'
import { Union } from '../../multiwriter/union.ts'
import type { View } from '../../multiwriter/view.ts'
import { WriterList } from '../../multiwriter/writers.ts'
import { dbKey, entryOf, forgeLeaf } from '../support/forge.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

let store: LogStore
let count = 0

test.before(async () => {
  store = await openLogStore()
})

test.after(() => store.close())

const NO_GUARD = {
  before() {},
  after: async () => {},
  beforeClear: async () => {},
  explain: async (error: unknown) => error
}

const EAGER: SpeakerLimits = { fewLogs: 1, askedPerKey: 0.01, maxBytes: Infinity }

/** Logs of one key each, `key 0` in the first and so on, and their union. */
async function openScene({ logs = 5, limits = EAGER } = {}) {
  const name = `scene ${count++}`
  const own: OwnLog[] = []
  for (let i = 0; i < logs; i++) {
    const log = new OwnLog(await store.own(`${name} ${i}`), NO_GUARD)
    await log.append([put(`key ${i}`, i)])
    own.push(log)
  }
  const speakers = new KnownSpeakers(limits)
  const union = new Union({
    writers: new WriterList(own.map(({ core }) => core.key)),
    refusals: new Refusals(),
    speakers,
    openLog: async (key, onchange) => new LogReader(await store.remote(key), onchange)
  })
  return { own, speakers, union }
}

const put = (name: string, value: number) => ({
  key: dbKey(name),
  value: entryOf(`${value}`, { ms: 1 + value })
})

async function read(view: View, name: string, times = 1): Promise<unknown> {
  for (let i = 1; i < times; i++) await view.get(dbKey(name))
  return (await view.get(dbKey(name))).value
}

/** Blocks come from the disk, in turns of their own. */
async function learn({ union, speakers }: Awaited<ReturnType<typeof openScene>>): Promise<View> {
  for (let i = 0; speakers.keys === 0; i++) {
    if (i > 1000) throw new Error('nothing was learnt')
    await read(await union.view(), 'nothing')
    await new Promise(setImmediate)
  }
  return union.view()
}

test('nothing is learnt before as many logs were asked in vain as learning costs', async () => {
  const scene = await openScene({ limits: { fewLogs: 4, askedPerKey: 4, maxBytes: Infinity } })
  const { union, speakers } = scene
  const view = await union.view()
  // Sixteen keys are paid for by 64 questions; each read asks five.
  await read(view, 'key 0', 12)
  await new Promise(setImmediate)
  assert.is(speakers.keys, 0)
  await learn(scene)
  assert.is(speakers.keys, 5)
  await union.close()
})

test('who reads a range to its end has learnt it; of keys outside of it nothing is known, and who leaves before has only asked', async () => {
  const limits = { fewLogs: 4, askedPerKey: 1, maxBytes: Infinity }
  const { union, speakers } = await openScene({ limits })
  const view = await union.view()
  const range = { gte: dbKey('key 1'), lt: dbKey('key 4') }
  const left = iterate(view.cursor(range))
  await left.next()
  await left.return?.()
  assert.is(speakers.keys, 0)
  const keys = []
  for await (const { key } of iterate(view.cursor(range))) keys.push(key)
  assert.equal([keys.length, speakers.keys], [3, 3])
  const again = await union.view()
  const among = speakers.among(again.parts)
  assert.is(among.at(dbKey('key 2'))?.length, 1)
  assert.equal([among.at(dbKey('key 0')), among.at(dbKey('key 4'))], [null, null])
  const inside = among.keysIn({ gt: dbKey('key 1'), lt: dbKey('key 4') })
  assert.is((inside?.end ?? 0) - (inside?.start ?? 0), 2)
  for (const wider of [
    { gte: dbKey('key 0'), lt: dbKey('key 4') },
    { gte: dbKey('key 1'), lte: dbKey('key 4') }
  ])
    assert.is(among.keysIn(wider), null)
  for (let i = 0; i < 5; i++) assert.is(await read(again, `key ${i}`), `${i}`)
  await union.close()
})

test('a range that is heard takes no more memory than it may, and the less known never replaces the more', async () => {
  const all = { gte: dbKey(''), lt: dbKey('z') }
  const small = await openScene({ limits: { fewLogs: 1, askedPerKey: 100, maxBytes: 50 } })
  for await (const { exists } of iterate((await small.union.view()).cursor(all))) assert.ok(exists)
  assert.is(small.speakers.keys, 0)
  await small.union.close()
  const { union, speakers } = await openScene({ limits: { ...EAGER, askedPerKey: 100 } })
  const view = await union.view()
  const over = async (range: TreeRange) => {
    const hearing = speakers.among(view.parts).hear(range)
    for await (const { key } of iterate(view.cursor(range)))
      hearing?.hear([{ items: [{ key, value: key, seq: 0 }], sources: [0] }])
    hearing?.hear([])
  }
  await over(all)
  assert.is(speakers.keys, 5)
  await over({ gte: dbKey('key 1'), lt: dbKey('key 2') })
  assert.is(speakers.keys, 5)
  await union.close()
})

test('logs that move before learning has paid are learnt ever more rarely', async () => {
  const scene = await openScene({ limits: { ...EAGER, askedPerKey: 1 } })
  await learn(scene)
  const reads: number[] = []
  for (let round = 0; round < 6; round++) {
    for (const log of scene.own) await log.append([put('key 0', round)])
    const view = await scene.union.view()
    const among = scene.speakers.among(view.parts)
    let count = 0
    for (; !among.isOutdated() && count < 1000; count++) {
      await read(view, 'key 0')
      await new Promise(setImmediate)
    }
    reads.push(count)
  }
  assert.ok((reads.at(-1) ?? 0) > 3 * (reads[0] ?? 0), reads.join(', '))
  await scene.union.close()
})

test('of few logs nothing is learnt, however often they are asked', async () => {
  const { union, speakers } = await openScene({ logs: 3, limits: { ...EAGER, fewLogs: 4 } })
  await read(await union.view(), 'key 0', 1000)
  await new Promise(setImmediate)
  assert.is(speakers.keys, 0)
  await union.close()
})

test('a table that takes more memory than it may is given up, and reads go on', async () => {
  const { union, speakers } = await openScene({ limits: { ...EAGER, maxBytes: 50 } })
  const view = await union.view()
  for (let i = 0; i < 50; i++) {
    await read(view, 'key 0', 20)
    await new Promise(setImmediate)
  }
  assert.is(speakers.keys, 0)
  assert.is(await read(view, 'key 3'), '3')
  await union.close()
})

test('a log that has moved is asked everywhere, until it is learnt again', async () => {
  const scene = await openScene()
  const { own, union, speakers } = scene
  await learn(scene)
  await own[0]?.append([put('key 9', 9), put('key 3', 10)])
  const view = await union.view()
  assert.equal(speakers.among(view.parts).stale.length, 1)
  assert.is(await read(view, 'key 9'), '9')
  assert.is(await read(view, 'key 3'), '10')
  for (let i = 0; speakers.keys < 6; i++) {
    if (i > 1000) throw new Error('what was written was never learnt')
    await read(view, 'nothing')
    await new Promise(setImmediate)
  }
  assert.equal(speakers.among(view.parts).stale, [])
  assert.is(await read(view, 'key 9'), '9')
  await union.close()
})

test('a log whose tree cannot be read to its end is asked everywhere', async () => {
  const scene = await openScene()
  const { own, union, speakers } = scene
  const core = own[0]?.core
  assert.ok(core)
  // Out of order: a lookup finds the last, a cursor refuses the second.
  await core.append(forgeLeaf(core.length, ['forged b', 'forged a', 'forged c']))
  const view = await learn(scene)
  assert.equal(speakers.among(view.parts).stale.length, 1)
  assert.is(await read(view, 'forged c'), 'forged forged c')
  await union.close()
})

test('what is known of a range is exactly what lies in it', async () => {
  const scene = await openScene()
  const view = await learn(scene)
  const among = scene.speakers.among(view.parts)
  const boundsOf = (range: TreeRange) => {
    const keys = among.keysIn(range)
    return keys === null ? null : [keys.start, keys.end]
  }
  const [low, high, end] = [dbKey('key 1'), dbKey('key 3'), b4a.from([0x11])]
  assert.equal(boundsOf({ gte: low, lt: high }), [1, 3])
  assert.equal(boundsOf({ gte: low, lte: high }), [1, 4])
  assert.equal(boundsOf({ gt: low, lt: high }), [2, 3])
  assert.equal(boundsOf({ gt: dbKey('key 10'), lte: dbKey('key 30') }), [2, 4])
  assert.equal(boundsOf({ gte: high, lt: low }), [3, 3])
  assert.equal(boundsOf({ gte: b4a.from([0x10]), lt: end }), [0, 5])
  assert.is(boundsOf({ gte: low }), null, 'it ends in another section')
  assert.is(boundsOf({ gte: low, lte: end }), null)
  assert.is(boundsOf({ lt: high }), null)
  await scene.union.close()
})

/** Three keys, of which part 0 says the first and the last, and part 1 the second. */
function knownKeys(): KnownKeys {
  const builder = new SpeakerTableBuilder()
  for (const [name, speaker] of [
    ['a', 0],
    ['b', 1],
    ['c', 0]
  ] as const)
    // prettier-ignore
    builder.add(dbKey(name), [speaker])
  return { table: builder.table(), start: 0, end: 3, placed: (speakers) => speakers }
}

function cursorOf(names: readonly string[]): Cursor<TreeEntry> & { isClosed: boolean } {
  const entries = names.map((name) => ({ key: dbKey(name), value: entryOf(name), seq: 0 }))
  return {
    isClosed: false,
    nextBatch: (size) => entries.splice(0, size),
    close() {
      this.isClosed = true
    }
  }
}

test('a range is read from each log in its turn, and closes what it opened', async () => {
  const cursors = [cursorOf(['a', 'c']), cursorOf(['b'])]
  const opened: number[] = []
  const cursor = new SpeakerCursor({
    keys: knownKeys(),
    range: {},
    open: (part) => (opened.push(part), cursors[part] ?? cursorOf([])),
    isCurrent: () => true
  })
  assert.is((await cursor.nextBatch(1)).length, 1)
  assert.equal(opened, [0], 'who says nothing in what is read is not opened')
  const keys: string[] = []
  for await (const { key } of iterate(cursor)) keys.push(b4a.toString(key.subarray(2)))
  assert.equal(keys, ['b', 'c'])
  assert.equal([cursors[0]?.isClosed, cursors[1]?.isClosed], [true, true])
})

for (const [what, names, isCurrent] of [
  ['gives another key', ['b', 'c'], true],
  ['ends before its last key', ['a'], true],
  ['is read elsewhere', ['a', 'c'], false]
] as const) {
  test(`a range of which a log ${what} gives nothing of that batch, but fails`, async () => {
    const cursor = new SpeakerCursor({
      keys: knownKeys(),
      range: {},
      open: (part) => cursorOf(part === 0 ? names : ['b']),
      isCurrent: () => isCurrent
    })
    let failure: unknown = null
    await cursor.nextBatch(8).catch((error: unknown) => (failure = error))
    assert.ok(failure instanceof Error)
  })
}

test.run()
