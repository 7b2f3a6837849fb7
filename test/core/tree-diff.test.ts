import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TreeContext } from '../../core/tree/context.ts'
import type { TreeEntry, TreeRange } from '../../core/tree/cursor.ts'
import { isInRange } from '../../core/tree/cursor.ts'
import { TreeDiff, type TreeChange } from '../../core/tree/diff.ts'
import { TreeRefusal } from '../../core/tree/refusal.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { dbKey, entryOf, forgeBlock, type Pointer } from '../support/forge.ts'
import { seededRandom } from '../support/random.ts'
import { drain, openLogStore, type LogStore } from '../support/tree.ts'

let store: LogStore
let logs = 0

test.before(async () => {
  store = await openLogStore()
})

test.after(async () => {
  await store.close()
})

async function newLog() {
  const core = await store.own(`log-${logs++}`)
  return { core, writer: new TreeWriter(core) }
}

/** Appends batches of random sizes; gives the lengths behind each. */
async function grow(writer: TreeWriter, seed: number, batches: number): Promise<number[]> {
  const random = seededRandom(seed)
  const lengths = [0]
  for (let i = 0; i < batches; i++) {
    const count = [1, 3, 40, 700][random.below(4)] ?? 1
    const keys = new Set(Array.from({ length: count }, () => random.below(3000)))
    const puts = [...keys].map((key) => ({
      key: b4a.from(`key/${String(key).padStart(4, '0')}`),
      value: b4a.alloc(random.below(40) === 0 ? 1500 : 8, random.below(256))
    }))
    lengths.push(await writer.append(puts))
  }
  return lengths
}

async function changesOf(diff: TreeDiff, size = 64): Promise<TreeChange[]> {
  const changes: TreeChange[] = []
  for (;;) {
    const batch = await diff.nextBatch(size)
    if (batch.length === 0) break
    assert.ok(batch.length <= size)
    changes.push(...batch)
  }
  diff.close()
  return changes
}

/** The slow twin: both trees from end to end. */
async function slowDiff(left: TreeSnapshot, right: TreeSnapshot, range: TreeRange = {}) {
  const before = await entriesOf(left)
  const after = await entriesOf(right)
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort()
  return keys
    .map((key) => ({ key, left: before.get(key) ?? null, right: after.get(key) ?? null }))
    .filter(({ left, right }) => left?.seq !== right?.seq)
    .filter(({ key }) => isInRange(b4a.from(key), range))
    .map(({ key, left, right }) => `${key} ${line(left)} ${line(right)}`)
}

async function entriesOf(tree: TreeSnapshot): Promise<Map<string, TreeEntry>> {
  const entries = await drain(tree.cursor())
  return new Map(entries.map((entry) => [b4a.toString(entry.key), entry]))
}

function line(entry: TreeEntry | null): string {
  return entry === null ? '-' : `${entry.seq}:${b4a.toString(entry.value, 'hex')}`
}

const lines = (changes: readonly TreeChange[]) =>
  changes.map(({ key, left, right }) => `${b4a.toString(key)} ${line(left)} ${line(right)}`)

test('what differs between any two lengths is what two scans show, both ways', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const { core, writer } = await newLog()
    const lengths = await grow(writer, seed, 12)
    const context = new TreeContext(core)
    for (const from of lengths) {
      for (const to of lengths) {
        const [left, right] = [new TreeSnapshot(context, from), new TreeSnapshot(context, to)]
        const changes = await changesOf(new TreeDiff(left, right), 1 + ((from + to) % 100))
        assert.equal(lines(changes), await slowDiff(left, right), `seed ${seed}, ${from} to ${to}`)
      }
    }
  }
})

test("the writer's own tree and a reader's tree of the same log can be compared", async () => {
  const { core, writer } = await newLog()
  const lengths = await grow(writer, 9, 10)
  const left = new TreeSnapshot(new TreeContext(core), lengths[4] ?? 0)
  assert.equal(
    lines(await changesOf(new TreeDiff(left, writer.snapshot()))),
    await slowDiff(left, writer.snapshot())
  )
})

test('a range leaves out the rest', async () => {
  const { core, writer } = await newLog()
  const lengths = await grow(writer, 10, 10)
  const context = new TreeContext(core)
  const left = new TreeSnapshot(context, lengths[5] ?? 0)
  const right = new TreeSnapshot(context, core.length)
  const bound = fc.option(fc.integer({ min: 0, max: 3000 }).map((n) => b4a.from(`key/${n}`)))
  await fc.assert(
    fc.asyncProperty(bound, bound, async (gte, lt) => {
      const range = { ...(gte === null ? {} : { gte }), ...(lt === null ? {} : { lt }) }
      const changes = await changesOf(new TreeDiff(left, right, range))
      assert.equal(lines(changes), await slowDiff(left, right, range))
    }),
    { numRuns: 30 }
  )
})

test('one put into many keys is found without reading the rest', async () => {
  const { core, writer } = await newLog()
  const keys = Array.from({ length: 50_000 }, (_, n) =>
    b4a.from(`key/${String(n).padStart(6, '0')}`)
  )
  await writer.append(keys.map((key) => ({ key, value: b4a.alloc(20) })))
  const before = core.length
  await writer.append([{ key: b4a.from('key/025000'), value: b4a.from('new') }])
  const context = new TreeContext(core)
  const nodes = countNodes(context)
  const left = new TreeSnapshot(context, before)
  const right = new TreeSnapshot(context, core.length)
  const changes = await changesOf(new TreeDiff(left, right))
  assert.equal(
    changes.map(({ key }) => b4a.toString(key)),
    ['key/025000']
  )
  assert.ok(nodes.size > 2 && nodes.size < 12, `${nodes.size} nodes were read`)
})

test('of a tree one put further on, the blocks that the old keys stand in are not read again', async () => {
  const { core, writer } = await newLog()
  const keys = Array.from({ length: 600 }, (_, n) => b4a.from(`key/${(n * 7) % 600}`))
  for (const key of keys) await writer.append([{ key, value: b4a.alloc(20) }])
  const context = new TreeContext(core)
  const known = new TreeSnapshot(context, core.length)
  await changesOf(new TreeDiff(new TreeSnapshot(context, 0), known))
  await writer.append([{ key: b4a.from('key/300'), value: b4a.from('new') }])
  const seqs = new Set<number>()
  const read = context.getBlock.bind(context)
  context.getBlock = (seq, ...rest) => {
    seqs.add(seq)
    return read(seq, ...rest)
  }
  const changes = await changesOf(new TreeDiff(known, new TreeSnapshot(context, core.length)))
  assert.is(changes.length, 1)
  // Its own, and one where keys of the node are gathered.
  assert.ok(seqs.size <= 3, `${seqs.size} blocks were read`)
})

/** How many tree nodes a context hands out from now on. */
function countNodes({ cache }: TreeContext): Set<unknown> {
  const nodes = new Set<unknown>()
  const bump = cache.bump.bind(cache)
  cache.bump = (pointer) => {
    nodes.add(pointer)
    bump(pointer)
  }
  return nodes
}

const evil = (name: string) => ({ key: dbKey(name), value: entryOf('forged') })

interface Forgery {
  readonly title: string
  /** The forged root over the block of an honest one, which holds past/000 to past/599. */
  readonly nodes: (seq: number, root: number) => { keys: Pointer[]; children: Pointer[] }[]
  readonly keys: readonly string[]
  readonly isRefused: boolean
}

const FORGERIES: readonly Forgery[] = [
  {
    title: 'a key below the subtree that it stands behind',
    nodes: (seq, root) => [{ keys: [{ seq }], children: [{ seq: root }, { seq: root }] }],
    keys: ['a'],
    isRefused: true
  },
  {
    title: 'a key inside the subtree that it stands behind',
    nodes: (seq, root) => [
      { keys: [{ seq }], children: [{ seq: root }, { seq, offset: 1 }] },
      { keys: [{ seq, offset: 1 }], children: [] }
    ],
    keys: ['past/300x', 'z'],
    isRefused: true
  },
  {
    title: 'a subtree visited twice',
    nodes: (seq, root) => [{ keys: [{ seq }], children: [{ seq: root }, { seq: root }] }],
    keys: ['z'],
    isRefused: true
  },
  {
    title: 'a subtree behind a greater key',
    nodes: (seq, root) => [
      { keys: [{ seq }], children: [{ seq, offset: 1 }, { seq: root }] },
      { keys: [{ seq, offset: 1 }], children: [] }
    ],
    keys: ['z', 'a'],
    isRefused: true
  },
  {
    title: 'an honest past left out, which is its right',
    nodes: (seq) => [{ keys: [{ seq }], children: [] }],
    keys: ['z'],
    isRefused: false
  },
  {
    title: 'a sound tree of one more level',
    nodes: (seq, root) => [
      { keys: [{ seq }], children: [{ seq: root }, { seq, offset: 1 }] },
      { keys: [{ seq, offset: 1 }], children: [] }
    ],
    keys: ['y', 'z'],
    isRefused: false
  }
]

for (const { title, nodes, keys, isRefused } of FORGERIES) {
  test(`a forged root is judged as by a scan: ${title}`, async () => {
    const { core, writer } = await newLog()
    const past = Array.from({ length: 600 }, (_, n) => dbKey(`past/${String(n).padStart(3, '0')}`))
    await writer.append(past.map((key) => ({ key, value: entryOf('past') })))
    const before = core.length
    const forged = { nodes: nodes(before, before - 1), keys: keys.map(evil) }
    await core.append(forgeBlock(before, forged))
    const context = new TreeContext(core)
    const left = new TreeSnapshot(context, before)
    const right = new TreeSnapshot(context, core.length)
    const scanned = await drain(right.cursor()).catch(refusalOf)
    const compared = await changesOf(new TreeDiff(left, right)).catch(refusalOf)
    const empty = new TreeSnapshot(context, 0)
    const anew = await changesOf(new TreeDiff(empty, right)).catch(refusalOf)
    for (const refused of [scanned, compared, anew]) {
      assert.is(refused instanceof TreeRefusal, isRefused)
      if (refused instanceof TreeRefusal)
        assert.is(refused.seq, before, 'the forged block is at fault')
    }
    if (!isRefused) assert.equal(lines(compared as TreeChange[]), await slowDiff(left, right))
  })
}

function refusalOf(error: unknown): TreeRefusal {
  if (error instanceof TreeRefusal) return error
  throw error
}

test.run()
