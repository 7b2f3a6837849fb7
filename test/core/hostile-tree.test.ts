/** Trees of a writer who means harm, seen through spaces: nothing throws, nothing hangs, nobody else is harmed. */
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Hypercore } from '../../core/index.ts'
import type { Change, Device, Entry, RefusalReason, Space } from '../../multiwriter/index.ts'
import { encodeEntry, type Value } from '../../crdt/index.ts'
import { isManyhandsError } from '../../errors.ts'
import { connect, tempFolder, until, type TempFolder } from '../support/devices.ts'
import { dbKey, entryOf, forgeBlock, forgeLeaf, insert } from '../support/forge.ts'
import { within } from '../support/within.ts'
import { programArguments } from '../support/typescript.ts'

let folder: TempFolder
let honest: Device
let hostile: Device
let disconnect: () => void
/** What would otherwise end the process or stay unseen. */
const failures: unknown[] = []

test.before(async () => {
  process.on('unhandledRejection', (error) => failures.push(error))
  folder = await tempFolder()
  honest = await openDevice({ storage: join(folder.path, 'honest') })
  hostile = await openDevice({ storage: join(folder.path, 'hostile') })
  honest.on('connection-error', (error) => failures.push(error))
  disconnect = connect(honest, hostile)
})

test.after(async () => {
  disconnect()
  await honest.close()
  await hostile.close()
  await folder.remove()
})

/** Keys of the hostile writer's honest past: enough for a root with leaves below it. */
const PAST = Array.from({ length: 600 }, (_, n) => `past/${String(n).padStart(4, '0')}`)

/** The honest batches that the forged blocks come after. */
interface Past {
  readonly core: Hypercore
  /** The length before the first forged block. */
  readonly length: number
  /** The block of the honest root. */
  readonly root: number
}

interface Attack {
  readonly title: string
  /** What it is refused with; null for what harms nobody and need not be. */
  readonly reason: RefusalReason | null
  forge(past: Past): readonly Uint8Array[]
  /** What the forged blocks add to the view, if that is anybody's right. Default nothing. */
  readonly adds?: readonly string[]
  /** Shows only when the range is read: until then a lookup sees a writer who dropped its own past, which is its right. */
  readonly showsInScan?: boolean
}

interface Scene {
  readonly mine: Space
  readonly theirs: Space
  readonly past: Past
  readonly watcher: AsyncIterableIterator<Change<string, Value>>
  close(): Promise<void>
}

/** A space of both; the hostile writer has an honest past, which has arrived. */
async function openScene(): Promise<Scene> {
  const mine = await honest.createSpace({ open: true })
  const theirs = await hostile.openSpace(mine.ticket)
  await mine.db.put('mine/before', 'untouched')
  await putAll(theirs, PAST.slice(0, 300))
  await putAll(theirs, PAST.slice(300))
  await until(async () => (await mine.db.get('past/0599')) !== null)
  const core = ownCore(theirs)
  const watcher = mine.db.watch()
  return {
    mine,
    theirs,
    past: { core, length: core.length, root: core.length - 1 },
    watcher,
    async close() {
      await watcher.return?.()
      await theirs.close()
      await mine.close()
    }
  }
}

async function putAll(space: Space, keys: readonly string[]): Promise<void> {
  const batch = space.db.batch()
  for (const key of keys) batch.put(key, `value of ${key}`)
  await batch.flush()
}

/** The writable session of a space's own log. */
function ownCore(space: Space): Hypercore {
  const own = space.wire.cores().find((core) => isNamed(space.writer, core, space))
  if (own === undefined) throw new Error('A space has a log of its own')
  return own
}

function isNamed(writer: string, core: Hypercore, space: Space): boolean {
  const index = space.writers().findIndex((each) => each.writer === writer)
  return space.wire.cores()[index] === core
}

/** Resolves when every block of the hostile log is on the honest device. */
async function arrived({ mine, past }: Scene): Promise<void> {
  const copy = mine.wire.cores().find((core) => b4a.equals(core.key, past.core.key))
  await until(() => copy?.contiguousLength === past.core.length)
}

async function keysOf(entries: AsyncIterable<Entry<string, Value>>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

const garbage = (size: number) => b4a.alloc(size, 0xa7)

/** A leaf with one sound key of its own, next to which a bad thing stands. */
const evil = (name = 'evil') => ({ key: dbKey(name), value: entryOf(`forged ${name}`) })

const ATTACKS: readonly Attack[] = [
  {
    title: 'a node that is its own child',
    reason: 'forward-pointer',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }], children: [{ seq }, { seq }] }],
        keys: [evil()]
      })
    ]
  },
  {
    title: 'a cycle over two blocks',
    reason: 'forward-pointer',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }], children: [{ seq: seq + 1 }, { seq: seq + 1 }] }],
        keys: [evil()],
        batch: { start: 0, end: 1 }
      }),
      forgeBlock(seq + 1, {
        nodes: [{ keys: [{ seq: seq + 1 }], children: [{ seq }, { seq }] }],
        keys: [evil('evil2')],
        batch: { start: 1, end: 0 }
      })
    ]
  },
  {
    title: 'a child in a block that does not exist yet',
    reason: 'forward-pointer',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }], children: [{ seq: 1e9 }, { seq: 1e9 }] }],
        keys: [evil()]
      })
    ]
  },
  {
    title: 'a child at a place that its block does not have',
    reason: 'malformed-block',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, {
        nodes: [
          {
            keys: [{ seq }],
            children: [
              { seq: root, offset: 999 },
              { seq: root, offset: 998 }
            ]
          }
        ],
        keys: [evil('zzz')]
      })
    ]
  },
  {
    title: 'a key in a block that does not exist yet',
    reason: 'forward-pointer',
    forge: ({ length: seq }) => [
      forgeBlock(seq, { nodes: [{ keys: [{ seq: 1e9 }] }], keys: [evil()] })
    ]
  },
  {
    title: 'a key at a place that its block does not have',
    reason: 'malformed-block',
    forge: ({ length: seq }) => [
      forgeBlock(seq, { nodes: [{ keys: [{ seq, offset: 77 }] }], keys: [evil()] })
    ]
  },
  {
    title: 'a key that is nothing',
    reason: 'malformed-node',
    forge: ({ length: seq }) => [
      forgeBlock(seq, { tree: [{ keys: [insert(0, null)], children: [] }], keys: [evil()] })
    ]
  },
  {
    title: 'a child that is nothing',
    reason: 'malformed-node',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        tree: [{ keys: [insert(0, { seq })], children: [insert(0, null), insert(1, null)] }],
        keys: [evil()]
      })
    ]
  },
  {
    title: 'an empty key',
    reason: 'malformed-block',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: b4a.alloc(0), value: entryOf('x') }]
      })
    ]
  },
  {
    title: 'a pointer into another core of the same store',
    reason: 'foreign-core',
    forge: ({ length: seq, core }) => [
      forgeBlock(seq, {
        nodes: [
          {
            keys: [{ seq }],
            children: [
              { core: 1, seq: 0 },
              { core: 1, seq: 0 }
            ]
          }
        ],
        keys: [evil()],
        cores: [core.key]
      })
    ]
  },
  {
    title: 'a key in another core',
    reason: 'foreign-core',
    forge: ({ length: seq, core }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ core: 1, seq: 1e9 }] }],
        keys: [evil()],
        cores: [core.key]
      })
    ]
  },
  {
    title: 'a value in another core',
    reason: 'foreign-core',
    forge: ({ length: seq, core }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: dbKey('evil'), valuePointer: { core: 2, seq: 0 } }],
        cores: [core.key]
      })
    ]
  },
  {
    title: 'a value in a block that does not exist yet',
    reason: 'forward-pointer',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: dbKey('evil'), valuePointer: { seq: 1e9 } }]
      })
    ]
  },
  {
    title: 'a value at a place that its block does not have',
    reason: 'malformed-block',
    showsInScan: true,
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: dbKey('evil'), valuePointer: { seq: root, offset: 5 } }]
      })
    ]
  },
  {
    title: 'a value split over more blocks than there are',
    reason: 'malformed-block',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: dbKey('evil'), valuePointer: { seq: root, split: 2 ** 27 } }]
      })
    ]
  },
  {
    title: 'a key without any value',
    reason: 'malformed-block',
    showsInScan: true,
    forge: ({ length: seq }) => [
      forgeBlock(seq, { nodes: [{ keys: [{ seq }] }], keys: [{ key: dbKey('evil') }] })
    ]
  },
  {
    title: 'an unsorted leaf',
    reason: 'unsorted',
    showsInScan: true,
    forge: ({ length }) => [forgeLeaf(length, ['evil/b', 'evil/a'])]
  },
  {
    title: 'duplicate keys',
    reason: 'unsorted',
    showsInScan: true,
    forge: ({ length }) => [forgeLeaf(length, ['evil', 'evil'])]
  },
  {
    title: 'a child with keys on the wrong side of its parent',
    reason: 'unsorted',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }], children: [{ seq: root }, { seq: root }] }],
        keys: [evil('a')]
      })
    ]
  },
  {
    title: 'an honest subtree visited twice',
    reason: 'unsorted',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }], children: [{ seq: root }, { seq: root }] }],
        keys: [evil('zzz')]
      })
    ]
  },
  {
    title: 'a tree of depth 100',
    reason: 'too-deep',
    forge: ({ length, root }) =>
      Array.from({ length: 100 }, (_, i) => {
        const seq = length + i
        const key = evil(`zz/${String(i).padStart(3, '0')}`)
        const empty = { seq, offset: 1 }
        const below = i === 0 ? { seq: root } : { seq: seq - 1 }
        return forgeBlock(seq, {
          nodes: [{ keys: [{ seq }], children: [below, empty] }, { keys: [] }],
          keys: [key]
        })
      }),
    adds: Array.from({ length: 15 }, (_, i) => `zz/${String(i).padStart(3, '0')}`)
  },
  {
    title: 'a node with too few children',
    reason: 'malformed-node',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, { nodes: [{ keys: [{ seq }], children: [{ seq: root }] }], keys: [evil()] })
    ]
  },
  {
    title: 'a node with children and no keys',
    reason: 'malformed-node',
    forge: ({ length: seq, root }) => [
      forgeBlock(seq, { nodes: [{ keys: [], children: [{ seq: root }] }], keys: [evil()] })
    ]
  },
  {
    title: 'a giant list of deltas',
    reason: 'malformed-node',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        tree: [{ keys: Array.from({ length: 100_000 }, () => insert(0, { seq })), children: [] }],
        keys: [evil()]
      })
    ]
  },
  {
    title: 'a giant cohort',
    reason: 'malformed-node',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [
          {
            keys: Array.from({ length: 257 }, () => ({ seq }))
              .slice(0, 256)
              .concat({ seq })
          }
        ],
        keys: [evil()]
      })
    ]
  },
  {
    title: 'a block of the old type',
    reason: 'malformed-block',
    forge: ({ length: seq }) => [
      forgeBlock(seq, { type: 0, tree: [], keys: [evil()], cohorts: [] })
    ]
  },
  {
    title: "a block of Hyperbee's first version",
    reason: 'malformed-block',
    forge: () => [b4a.from('0a086879706572626565', 'hex')]
  },
  { title: 'garbage', reason: 'malformed-block', forge: () => [garbage(300)] },
  { title: 'an empty block', reason: 'malformed-block', forge: () => [b4a.alloc(0)] },
  {
    title: 'twenty blocks of garbage, each appended alone',
    reason: 'malformed-block',
    forge: () => Array.from({ length: 20 }, (_, i) => garbage(i + 1))
  },
  {
    title: 'garbage in the middle of a batch',
    reason: 'malformed-block',
    forge: ({ length: seq }) => [
      garbage(50),
      forgeBlock(seq + 1, {
        nodes: [{ keys: [{ seq }] }],
        batch: { start: 1, end: 0 }
      })
    ]
  },
  {
    title: 'garbage in a batch whose tree does without it',
    reason: null,
    forge: ({ length: seq, root }) => {
      const top = {
        keys: [{ seq: seq + 1 }],
        children: [{ seq: root }, { seq: seq + 1, offset: 1 }]
      }
      const batch = { start: 1, end: 0 }
      return [
        garbage(50),
        forgeBlock(seq + 1, { nodes: [top, { keys: [] }], keys: [evil('zz/new')], batch })
      ]
    },
    adds: ['zz/new']
  },
  {
    title: 'a batch that starts before the log does',
    reason: 'malformed-batch',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [evil()],
        batch: { start: seq + 1, end: 1 }
      })
    ]
  },
  {
    title: 'a batch that claims the honest past for itself',
    reason: 'malformed-batch',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [evil()],
        batch: { start: seq, end: 1 }
      })
    ]
  },
  {
    title: 'a batch that never ends',
    reason: null,
    forge: ({ length: seq }) => [
      forgeBlock(seq, { nodes: [{ keys: [{ seq }] }], keys: [evil()], batch: { start: 0, end: 7 } })
    ]
  },
  {
    title: 'a truncated block',
    reason: 'malformed-block',
    forge: ({ length }) => {
      const whole = forgeLeaf(length, ['evil/a', 'evil/b'])
      return [whole.subarray(0, whole.byteLength - 20)]
    }
  },
  {
    title: 'a block of 10 MB',
    reason: 'malformed-block',
    forge: ({ length: seq }) => [
      forgeBlock(seq, {
        nodes: [{ keys: [{ seq }] }],
        keys: [{ key: dbKey('evil'), value: b4a.alloc(10_000_000, 7) }]
      })
    ]
  }
]

for (const attack of ATTACKS) {
  test(`${attack.title}: refused, the honest past stays, nobody else is harmed`, async () => {
    const scene = await openScene()
    for (const block of attack.forge(scene.past)) await scene.past.core.append([block])
    await arrived(scene)
    await within(10_000, checkScene(scene, attack))
    await scene.close()
    assert.equal(failures, [])
  })
}

async function checkScene(
  scene: Scene,
  { reason, adds = [], showsInScan = false }: Attack
): Promise<void> {
  const { mine, theirs } = scene
  const visible = ['mine/before', ...PAST, ...adds]
  const seen = collect(scene.watcher)
  if (showsInScan) assert.equal(await keysOf(mine.db.createReadStream()), visible)
  for (const key of ['past/0000', 'past/0299', 'past/0599']) {
    assert.is((await mine.db.get(key))?.value, `value of ${key}`, key)
  }
  for (const key of ['evil', 'evil/a', 'zzz', 'a', 'absent']) await mine.db.get(key)
  assert.equal(await keysOf(mine.db.createReadStream({ reverse: true })), [...visible].reverse())
  assert.equal(await keysOf(mine.db.createReadStream()), visible)
  assert.equal(await keysOf(mine.db.createReadStream({ gte: 'past/0100', lt: 'past/0103' })), [
    'past/0100',
    'past/0101',
    'past/0102'
  ])
  await mine.db.put('past/0001', 'overwritten')
  await mine.db.put('mine/after', 'written')
  assert.is((await mine.db.get('past/0001'))?.value, 'overwritten')
  await until(() => seen.has('mine/after'))
  checkRefusals(scene, reason)
  const { past } = scene
  if (reason === null) return
  await past.core.append([forgeLeaf(past.core.length, ['evil/late'])])
  await arrived(scene)
  await mine.db.put('mine/last', 'written')
  assert.is(await mine.db.get('evil/late'), null, 'what is appended later stays refused')
  assert.equal(await keysOf(mine.db.createReadStream({ gte: 'mine/', lt: 'mine0' })), [
    'mine/after',
    'mine/before',
    'mine/last'
  ])
  assert.ok(theirs.writer !== mine.writer)
}

function checkRefusals({ mine, theirs }: Scene, reason: RefusalReason | null): void {
  const reasons = mine.refusals().map((refusal) => refusal.reason)
  assert.equal(reasons, reason === null ? [] : [reason])
  for (const { writer } of mine.refusals()) assert.is(writer, theirs.writer)
}

/** The keys that a watcher shows from now on. */
function collect(watcher: AsyncIterable<Change<string, Value>>): Set<string> {
  const keys = new Set<string>()
  void (async () => {
    for await (const { key } of watcher) keys.add(key)
  })()
  return keys
}

interface BadEntry {
  readonly title: string
  readonly reason: RefusalReason
  readonly key?: Uint8Array
  readonly entry: (past: Past) => Uint8Array
}

const coreFilledWith = (byte: number) => b4a.alloc(32, byte)

/** An entry with one byte changed. */
function patched(at: number, byte: number): Uint8Array {
  const bytes = b4a.from(entryOf('evil'))
  bytes[at] = byte
  return bytes
}

const BAD_ENTRIES: readonly BadEntry[] = [
  { title: 'no bytes that make an entry', reason: 'entry-malformed', entry: () => b4a.from([1]) },
  {
    title: 'an entry cut short',
    reason: 'entry-malformed',
    entry: () => entryOf('evil').slice(0, 9)
  },
  { title: 'an entry of version 0', reason: 'entry-malformed', entry: () => patched(0, 0) },
  { title: 'an entry of a newer version', reason: 'entry-unsupported', entry: () => patched(0, 2) },
  {
    title: 'an entry of an unknown type',
    reason: 'entry-unsupported',
    entry: () => patched(1, 99)
  },
  {
    title: 'a position in another core',
    reason: 'position-invalid',
    entry: () => entryOf('evil', { position: { core: coreFilledWith(9), seq: 0 } })
  },
  {
    title: 'a position later than the entry',
    reason: 'position-invalid',
    entry: ({ core, length }) => entryOf('evil', { position: { core: core.key, seq: length + 1 } })
  },
  {
    title: 'a value that is no CBOR',
    reason: 'value-malformed',
    entry: () => rawEntry(b4a.from([0xff]))
  },
  {
    title: 'a value with something behind it',
    reason: 'value-malformed',
    entry: () => rawEntry(b4a.from([0x01, 0x01]))
  },
  {
    title: 'a value nested without end',
    reason: 'value-malformed',
    entry: () => rawEntry(b4a.alloc(100_000, 0x81))
  },
  {
    title: 'an unsorted seen list',
    reason: 'entry-malformed',
    entry: () => entryOf('evil', { seen: [9, 8].map((n) => ({ core: coreFilledWith(n), seq: 1 })) })
  },
  {
    title: 'a seen list that names a core twice',
    reason: 'entry-malformed',
    entry: () => entryOf('evil', { seen: [8, 8].map((n) => ({ core: coreFilledWith(n), seq: 1 })) })
  },
  {
    title: 'a seen list that is too long',
    reason: 'entry-malformed',
    entry: () => entryOf('evil', { seen: Array.from({ length: 257 }, (_, n) => seenNumber(n)) })
  },
  {
    title: 'a key that is not UTF-8',
    reason: 'encoding-mismatch',
    key: dbKey(b4a.from([0xc3, 0x28])),
    entry: () => entryOf('evil')
  }
]

function rawEntry(value: Uint8Array): Uint8Array {
  return encodeEntry({
    position: null,
    stamp: { ms: 1, counter: 0, tag: b4a.alloc(8) },
    seen: [],
    value
  })
}

function seenNumber(n: number) {
  const core = b4a.alloc(32)
  core[0] = n >> 8
  core[1] = n & 255
  return { core, seq: 1 }
}

for (const { title, reason, key = dbKey('evil'), entry } of BAD_ENTRIES) {
  test(`${title}: refused alone, its neighbours are read`, async () => {
    const scene = await openScene()
    const { mine, past } = scene
    const seq = past.length
    const names = [dbKey('a-sound'), key, dbKey(b4a.from([0xef, 0xbf, 0xbd]))].sort(b4a.compare)
    const keys = names.map((each) => ({
      key: each,
      value: b4a.equals(each, key) ? entry(past) : entryOf('sound')
    }))
    await past.core.append([
      forgeBlock(seq, { nodes: [{ keys: keys.map((_, offset) => ({ seq, offset })) }], keys })
    ])
    await arrived(scene)
    const seen = collect(scene.watcher)
    const expected = ['a-sound', 'mine/before', '\ufffd']
    assert.equal(await within(5000, keysOf(mine.db.createReadStream())), expected)
    assert.equal(await keysOf(mine.db.createReadStream({ reverse: true })), [...expected].reverse())
    const got = await mine.db.get('evil').catch((error: unknown) => error)
    if (reason === 'entry-unsupported') assert.ok(isManyhandsError(got, 'ENTRY_UNSUPPORTED'))
    else assert.is(got, null)
    checkRefusals(scene, reason)
    if (reason !== 'entry-unsupported') await mine.db.put('evil', 'mine')
    await mine.db.put('mine/after', 'written')
    await until(() => seen.has('mine/after'))
    await scene.close()
    assert.equal(failures, [])
  })
}

test("hyperbee2's own get spins on a node that is its own child", async () => {
  const child = fileURLToPath(new URL('../support/spin.ts', import.meta.url))
  const { code, output } = await run(child, 2000)
  const [, path = ''] = /reading (.*)/.exec(output) ?? []
  assert.match(path, /manyhands-/)
  await rm(path, { recursive: true, force: true })
  assert.not.match(output, /done|still turns/)
  assert.is(code, null, 'it had to be killed')
})

/** Runs a module; kills it after `ms`. */
function run(module: string, ms: number): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, programArguments(module))
    let output = ''
    let timer: NodeJS.Timeout | undefined
    child.stdout.on('data', (bytes) => {
      output += String(bytes)
      // The time starts when the reading does: a slow machine must not look like a spinning one.
      timer ??= setTimeout(() => child.kill('SIGKILL'), ms)
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output })
    })
  })
}

test.run()
