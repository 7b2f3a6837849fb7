/** Logs whose blocks are encrypted: what stops a reader, how far, and how it goes on. */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fillArchive, openArchiveCore } from '../../core/archive.ts'
import { BlockCipher } from '../../core/block-cipher.ts'
import { BlockLog } from '../../core/block-log.ts'
import { constantKeys, LogReader, OwnLog, treeHashOf, TreeRefusal } from '../../core/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { firstWaiting } from '../../core/tree/waiting.ts'
import { TestKeys } from '../support/block-keys.ts'

import { failure, numbered } from '../support/store.ts'
import { drain, openLogStore, type LogStore } from '../support/tree.ts'
import { seededRandom } from '../support/random.ts'

const SPACE = b4a.alloc(32, 1)
const FIRST = b4a.alloc(32, 11)
const SECOND = b4a.alloc(32, 12)
const THIRD = b4a.alloc(32, 13)

const NO_GUARD = {
  before() {},
  after: () => Promise.resolve(),
  beforeClear: () => Promise.resolve(),
  explain: (error: unknown) => Promise.resolve(error)
}

let store: LogStore
let count = 0

test.before(async () => {
  store = await openLogStore()
})

test.after(async () => {
  await store.close()
})

const encryption = (keys: TestKeys) => ({ space: SPACE, keys })

function newLog(keys: TestKeys): Promise<Hypercore> {
  return store.own(`log ${count++}`, encryption(keys))
}

/** The same log, as somebody else who has these keys reads it. */
async function readerOf(core: Hypercore, keys: TestKeys, onchange = () => {}): Promise<LogReader> {
  const reader = new LogReader(await store.remote(core.key, encryption(keys)), onchange)
  await reader.ready()
  return reader
}

/** As a union reads: what is refused is left out, and the rest read. */
async function read(log: LogReader, reasons: string[] = []) {
  for (;;) {
    try {
      const tree = await log.snapshot(Infinity)
      return { length: tree.length, entries: (await drain(tree.cursor())).length }
    } catch (error) {
      if (!(error instanceof TreeRefusal)) throw error
      reasons.push(error.reason)
      await log.refuse(error)
    }
  }
}

async function append(core: Hypercore, from: number, count: number): Promise<number> {
  return new TreeWriter(core).append(numbered(from, count))
}

test('two epochs in one log are read as one tree by who has both keys', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  await append(core, 0, 300)
  keys.use(SECOND)
  await append(core, 300, 300)
  keys.use(FIRST)
  const length = await append(core, 600, 300)
  const log = await readerOf(core, new TestKeys([FIRST, SECOND]))
  assert.equal(await read(log), { length, entries: 900 })
  assert.is(log.behind, null)
  await log.close()
})

test('without a key a log is read up to the last whole batch before it, and on by itself when the key has come', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  const first = await append(core, 0, 300)
  keys.use(SECOND)
  const second = await append(core, 300, 2000)
  await append(core, 2300, 10)
  keys.use(THIRD)
  const third = await append(core, 2310, 10)
  let changes = 0
  const late = new TestKeys([FIRST])
  const log = await readerOf(core, late, () => changes++)
  const reasons: string[] = []
  assert.equal(await read(log, reasons), { length: first, entries: 300 })
  assert.ok(second > first + 1, 'the second epoch has batches of several blocks')
  assert.is(log.behind, first)
  assert.is(log.length, first)
  assert.equal(reasons, ['no-epoch-key'], 'the first block that waits was found at once')
  changes = 0
  late.learn(b4a.alloc(32, 99))
  assert.is((await read(log)).entries, 300, 'another key is of no use')
  late.learn(SECOND)
  assert.ok(changes > 0)
  assert.is((await read(log)).entries, 2310)
  late.learn(THIRD)
  assert.equal(await read(log), { length: third, entries: 2320 })
  assert.is(log.behind, null)
  await log.close()
  assert.is(late.listeners, 0, 'a closed log listens no more')
})

for (const when of ['after it was missed', 'while it is looked for where the log waits'] as const) {
  test(`a key that comes ${when} is read by at once, and who follows the log is told`, async () => {
    const keys = new TestKeys([FIRST])
    const core = await newLog(keys)
    await append(core, 0, 50)
    keys.use(SECOND)
    const length = await append(core, 50, 50)
    const late = new TestKeys([FIRST])
    let changes = 0
    const log = await readerOf(core, late, () => changes++)
    const missed = await log.snapshot(Infinity).catch((error: unknown) => error)
    if (!(missed instanceof TreeRefusal)) return assert.unreachable('The key is there')
    if (when === 'after it was missed') late.learn(SECOND)
    changes = 0
    const refusing = log.refuse(missed)
    if (when !== 'after it was missed') late.learn(SECOND)
    await refusing
    assert.ok(changes > 0, 'nobody is told to read on')
    assert.is(log.behind, null)
    assert.equal(await read(log), { length, entries: 100 })
    await log.close()
  })
}

test('a sparse log without a key is read as far, and goes on', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  const first = await append(core, 0, 50)
  keys.use(SECOND)
  const second = await append(core, 50, 50)
  const late = new TestKeys([FIRST])
  const session = await store.remote(core.key, encryption(late))
  const log = new LogReader(session, () => {}, { sparse: true })
  await log.ready()
  assert.equal(await read(log), { length: first, entries: 50 })
  late.learn(SECOND)
  assert.equal(await read(log), { length: second, entries: 100 })
  await log.close()
})

test('an older tree than the key that is missing can be read, and a newer one not', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  const first = await append(core, 0, 20)
  const second = await append(core, 20, 20)
  keys.use(SECOND)
  const third = await append(core, 40, 20)
  const log = await readerOf(core, new TestKeys([FIRST]))
  assert.is((await read(log)).length, second)
  assert.is((await log.snapshotAt(first)).length, first)
  assert.is((await log.snapshotAt(third)).length, second)
  await log.close()
})

test('where a log begins to wait is some block that waits, behind one that does not', async () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = seededRandom(seed)
    const keys = new TestKeys([FIRST])
    const core = await newLog(keys)
    const waits = Array.from({ length: 1 + random.below(60) }, () => random.below(4) === 0)
    if (seed % 2 === 0) waits.sort((a, b) => Number(a) - Number(b))
    for (const each of waits) {
      keys.use(each ? SECOND : FIRST)
      await core.append(b4a.from('block'))
    }
    const met = waits.lastIndexOf(true)
    if (met < 0) continue
    const cipher = new BlockCipher(encryption(new TestKeys([FIRST])), core.key)
    const found = await firstWaiting({ core, cipher, isSparse: false }, met)
    if (found === null) return assert.unreachable(`seed ${seed}`)
    assert.ok(waits[found], `seed ${seed}`)
    assert.not.ok(waits[found - 1], `seed ${seed}`)
    if (seed % 2 === 0) assert.is(found, waits.indexOf(true), `seed ${seed}: all behind it wait`)
  }
})

/** What a writer who means harm appends behind an honest batch: bytes that are not encrypted for their place. */
const HOSTILE: readonly {
  readonly title: string
  readonly reason: string
  readonly forge: (parts: {
    readonly honest: Uint8Array
    readonly seal: (seq: number, log?: Uint8Array, space?: Uint8Array) => Uint8Array
    readonly seq: number
  }) => Uint8Array
}[] = [
  { title: 'nothing', reason: 'encryption-malformed', forge: () => b4a.alloc(0) },
  { title: '48 bytes', reason: 'encryption-malformed', forge: () => b4a.alloc(48, 1) },
  { title: 'zeros', reason: 'encryption-unsupported', forge: () => b4a.alloc(200) },
  {
    title: 'a block of a newer version',
    reason: 'encryption-unsupported',
    forge: ({ seal, seq }) => b4a.concat([b4a.from([2]), seal(seq).subarray(1)])
  },
  {
    title: 'a block of another place of the log',
    reason: 'encryption-forged',
    forge: ({ honest }) => honest
  },
  {
    title: 'a block of another log',
    reason: 'encryption-forged',
    forge: ({ seal, seq }) => seal(seq, b4a.alloc(32, 5))
  },
  {
    title: 'a block of another space',
    reason: 'encryption-forged',
    forge: ({ seal, seq }) => seal(seq, undefined, b4a.alloc(32, 5))
  },
  {
    title: 'a block that was cut short',
    reason: 'encryption-forged',
    forge: ({ seal, seq }) => seal(seq).subarray(0, -1)
  },
  {
    title: 'garbage, well encrypted',
    reason: 'malformed-block',
    forge: ({ seal, seq }) => seal(seq)
  },
  {
    title: 'a key that nobody has',
    reason: 'no-epoch-key',
    forge: ({ seal, seq }) => b4a.concat([b4a.from([1]), b4a.alloc(8, 77), seal(seq).subarray(9)])
  }
]

for (const { title, reason, forge } of HOSTILE) {
  test(`a log that ends in ${title} is read below it, and says why`, async () => {
    const keys = new TestKeys([FIRST])
    const core = await newLog(keys)
    const length = await append(core, 0, 20)
    const plain = await store.remote(core.key)
    const honest = await plain.get(length - 1)
    assert.ok(honest)
    const seal = (seq: number, log = core.key, space = SPACE) => {
      const block = b4a.alloc(120, 250)
      new BlockCipher({ space, keys: constantKeys(FIRST) }, log).encrypt(seq, block)
      return block
    }
    // As nobody's provider encrypts it.
    const { keyPair } = core
    assert.ok(keyPair)
    plain.setKeyPair(keyPair)
    await plain.append(forge({ honest, seal, seq: length }))
    const log = await readerOf(core, new TestKeys([FIRST]))
    const reasons: string[] = []
    assert.equal(await read(log, reasons), { length, entries: 20 })
    assert.equal(reasons, [reason])
    await log.close()
    await plain.close()
  })
}

test('an archive is opened with the key of the log that it is an archive of', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  const length = await append(core, 0, 300)
  const pin = { length, treeHash: await treeHashOf(core) }
  const archive = await openArchiveCore(store.corestore, pin, core.key, encryption(keys))
  assert.ok(await fillArchive(archive, core, pin))
  const branch = { from: length }
  const log = new LogReader(archive, () => {}, { archiveOf: { log: core.key, branch } })
  assert.equal(await read(log), { length, entries: 300 })
  await log.close()
  const wrong = await openArchiveCore(store.corestore, pin, archive.key, encryption(keys))
  const other = new LogReader(wrong, () => {}, { archiveOf: { log: core.key, branch } })
  const reasons: string[] = []
  assert.is((await read(other, reasons)).length, 0)
  assert.is(reasons[0], 'encryption-forged')
  await other.close()
})

test('without a key to write with nothing is written, and then it is', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  const own = new OwnLog(core, NO_GUARD)
  await own.append(numbered(0, 3))
  const { length } = core
  keys.stop()
  assert.throws(() => own.check(), /no key to write with/)
  await failure('NO_EPOCH_KEY', () => own.append(numbered(3, 3)))
  await failure('NO_EPOCH_KEY', () => own.appendBlock(b4a.from('record')))
  assert.is(core.length, length)
  keys.use(SECOND)
  await own.append(numbered(3, 3))
  assert.is((await drain(own.tree.snapshot().cursor())).length, 6)
  await own.close()
})

test('an own log whose last blocks wait for a key is not written on', async () => {
  const keys = new TestKeys([FIRST, SECOND])
  const core = await newLog(keys)
  await append(core, 0, 300)
  const late = new TestKeys([FIRST])
  const session = await store.own(`log ${count - 1}`, encryption(late))
  const own = new OwnLog(session, NO_GUARD)
  const { length } = session
  await failure('NO_EPOCH_KEY', () => own.append(numbered(300, 1)))
  assert.is(session.length, length)
  late.learn(SECOND)
  await own.append(numbered(300, 1))
  assert.is((await drain(own.tree.snapshot().cursor())).length, 301)
  await own.close()
})

test('in a log of records one that does not open takes its place, and those behind it are read', async () => {
  const keys = new TestKeys([FIRST])
  const core = await newLog(keys)
  await core.append(b4a.from('one'))
  const plain = await store.remote(core.key)
  const { keyPair } = core
  assert.ok(keyPair)
  plain.setKeyPair(keyPair)
  await plain.append(b4a.from('not encrypted'))
  await core.append(b4a.from('three'))
  const log = new BlockLog(core.session(), true, () => {})
  await log.read()
  const texts = log.blocks.map(({ block }) => b4a.toString(block))
  assert.equal(texts, ['one', '', 'three'])
  await log.close()
  await plain.close()
})

test.run()
