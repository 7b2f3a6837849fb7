/** `check`: a sound space gives nothing, and each kind of damage, really done, gives its finding. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, type Finding, type Space } from '../../index.ts'
import { OwnLog } from '../../core/index.ts'
import { checkSpace } from '../../multiwriter/check.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { WriterList } from '../../multiwriter/writers.ts'
import { openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { dbKey, entryOf, forgeBlock, forgeLeaf } from '../support/forge.ts'
import { rejectsWith } from '../support/rejects.ts'
import { openStore } from '../../core/native/index.ts'

/** The log of `writer`, as `space` holds it. */
function coreOf(space: Space, writer = space.writer) {
  const i = space.writers().findIndex((each) => each.writer === writer)
  const core = space.wire.cores()[i]
  if (core === undefined) throw new Error('no such log')
  return core
}

const codes = (findings: readonly Finding[]) => findings.map(({ code }) => code)

async function putMany(space: Space, count: number, from = 0): Promise<void> {
  const batch = space.db.batch()
  for (let i = from; i < from + count; i++) {
    batch.put(String(i).padStart(6, '0'), i % 100 === 0 ? 'x'.repeat(3000) : i)
  }
  await batch.flush()
}

async function withTwo(
  run: (two: TwoDevices) => Promise<void>,
  options: Parameters<typeof openTwoDevices>[0] = {}
): Promise<void> {
  const two = await openTwoDevices(options)
  try {
    await run(two)
  } finally {
    await two.close()
  }
}

/** B holds what A has written. */
const arrived = ({ spaceA, spaceB }: TwoDevices) =>
  until(() => {
    const theirs = spaceB.writers().find(({ writer }) => writer === spaceA.writer)
    return theirs?.length === coreOf(spaceA).length
  })

test('check: a sound space gives no finding, on both devices, empty, synced and reopened', () =>
  withTwo(async (two) => {
    assert.equal(await two.spaceA.check(), [])
    await putMany(two.spaceA, 1500)
    await putMany(two.spaceA, 300, 700)
    await two.spaceA.db.sub('s').put('k', { a: [1, null] })
    await two.spaceA.db.del('000001')
    two.connect()
    await arrived(two)
    await two.spaceB.db.put('000002', 'theirs')
    // What is signed and on its way is told of, and is no damage.
    await until(async () => (await two.spaceA.db.get('000002'))?.value === 'theirs')
    for (const space of [two.spaceA, two.spaceB]) assert.equal(await space.check(), [])
  }))

test('check: a sparse space that holds little is sound', () =>
  withTwo(
    async (two) => {
      await putMany(two.spaceA, 1000)
      two.connect()
      await until(async () => (await two.spaceB.db.get('000500')) !== null)
      assert.equal(await two.spaceB.check(), [])
    },
    { sparse: true }
  ))

test('check: a lost block of our own log is found', () =>
  withTwo(async ({ spaceA }) => {
    await putMany(spaceA, 1000)
    await coreOf(spaceA).clear(0, 1)
    const findings = await spaceA.check()
    assert.equal(codes(findings).sort(), ['high-water', 'own-tree-damaged'])
    const damage = findings.find(({ code }) => code === 'own-tree-damaged')
    assert.is(damage?.writer, spaceA.writer)
    assert.is(damage?.severity, 'error')
    assert.match(damage?.message ?? '', /Block 0/)
    assert.match(damage?.next ?? '', /another device/)
  }))

test('check: that a log was shorter than it had been, so that there is a new one, is told', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const first = await openDevice({ storage })
  const space = await first.createSpace()
  await space.db.put('k', 1)
  const { address } = space
  await first.close()
  const path = join(storage, 'high-water.json')
  const marks = await readFile(path, 'utf8')
  await writeFile(path, marks.replaceAll('"length": 1', '"length": 3'))
  const again = await openDevice({ storage })
  const findings = await (await again.openSpace(address)).check()
  assert.equal(codes(findings), ['store-rolled-back'])
  assert.match(findings[0]?.message ?? '', /has 1 blocks, but had 3/)
  assert.is(findings[0]?.severity, 'note')
  await again.close()
  await folder.remove()
})

test('check: a tree that no honest writer makes is found before anybody reads it', () =>
  withTwo(async (two) => {
    const core = coreOf(two.spaceB)
    await core.append(forgeLeaf(core.length, ['z', 'a']))
    two.connect()
    await until(() =>
      two.spaceA
        .writers()
        .some(({ writer, length }) => writer === two.spaceB.writer && length === 1)
    )
    const findings = await two.spaceA.check()
    assert.equal(
      findings.map(({ code, writer, message }) => [code, writer, message]),
      [['tree-refused', two.spaceB.writer, 'Block 0: unsorted']]
    )
    assert.equal(two.spaceA.refusals(), [], 'it only looks')
    for await (const _ of two.spaceA.db.createReadStream()) assert.unreachable()
    assert.ok(codes(await two.spaceA.check()).includes('refused'))
  }))

test('check: blocks of another log that are signed and not here are found', () =>
  withTwo(async (two) => {
    await putMany(two.spaceA, 2000)
    const cut = two.connect()
    await arrived(two)
    cut()
    await until(() => two.spaceB.peers().length === 0)
    await coreOf(two.spaceB, two.spaceA.writer).clear(2, 3)
    const findings = await two.spaceB.check()
    assert.equal(codes(findings), ['blocks-missing'])
    assert.match(findings[0]?.message ?? '', /^\d+ blocks are signed, 2 can be read here$/)
  }))

test('check: entries that cannot be read are counted, apart from those of a newer version', () =>
  withTwo(async (two) => {
    const core = coreOf(two.spaceB)
    const elsewhere = { core: b4a.alloc(32, 9), seq: 0 }
    const values = [
      entryOf('sound'),
      b4a.from([9, 9, 9]), // a newer version
      b4a.from([1]), // malformed
      entryOf('elsewhere', { position: elsewhere }),
      b4a.concat([entryOf('').subarray(0, -2), b4a.from([1, 0xff])]) // a value that is none
    ]
    await core.append(
      forgeBlock(core.length, {
        nodes: [{ keys: values.map((_, offset) => ({ seq: core.length, offset })) }],
        keys: values.map((value, i) => ({ key: dbKey(`k${i}`), value }))
      })
    )
    two.connect()
    await until(() =>
      two.spaceA
        .writers()
        .some(({ writer, length }) => writer === two.spaceB.writer && length === 1)
    )
    const findings = await two.spaceA.check()
    assert.equal(
      findings.map(({ code, message }) => [code, message]),
      [
        ['entry-unreadable', '3 entries, the first in block 0'],
        ['entry-unsupported', '1 entry, the first in block 0']
      ]
    )
  }))

test('check: what the index says otherwise than the logs is found', async () => {
  const folder = await tempFolder()
  const store = await openStore(join(folder.path, 'a'))
  const own = await store.ownLog('data', b4a.alloc(32), null)
  const refusals = new Refusals()
  const union = new Union({
    writers: new WriterList(),
    refusals,
    openLog: () => Promise.reject(new Error('no logs'))
  })
  assert.instance(own, OwnLog)
  const checkIndex = () => Promise.resolve(['"k" is missing'])
  const findings = await checkSpace({ store, union, own, refusals, checkIndex }, {})
  assert.equal(
    findings.map(({ code, message }) => [code, message]),
    [['index-differs', '"k" is missing']]
  )
  await union.close()
  await store.close()
  await folder.remove()
})

test('check: tells how far it is, and stops when asked', () =>
  withTwo(async ({ spaceA }) => {
    await putMany(spaceA, 5000)
    const seen: number[] = []
    await spaceA.check({ onprogress: ({ done }) => seen.push(done) })
    assert.ok(
      seen.length >= 3 && seen.every((n, i) => i === 0 || n >= (seen[i - 1] ?? 0)),
      String(seen)
    )
    const abort = new AbortController()
    const reason = new Error('enough')
    const checking = spaceA.check({ signal: abort.signal, onprogress: () => abort.abort(reason) })
    assert.is(await checking.catch((error: unknown) => error), reason)
  }))

test('check and stats: bad input and a closed space are errors at once', () =>
  withTwo(async ({ spaceA }) => {
    await rejectsWith('INVALID_ARGUMENT', () => spaceA.check({ sign: 1 } as never))
    await rejectsWith('INVALID_ARGUMENT', () => spaceA.stats({ sign: 1 } as never))
    await spaceA.close()
    await rejectsWith('SPACE_CLOSED', () => spaceA.check())
    await rejectsWith('SPACE_CLOSED', () => spaceA.stats())
  }))

test.run()
