/**
 * Blocks are opened in the memory that the storage gave them in. That is right as long as nobody else has that memory: this holds the
 * stack to it.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BlockCipher } from '../../core/block-cipher.ts'
import { TreeContext } from '../../core/tree/context.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { TestKeys } from '../support/block-keys.ts'
import { MemoryPipe } from '../support/memory-pipe.ts'
import { numbered } from '../support/store.ts'
import { drain, openLogStore, type LogStore } from '../support/tree.ts'

const KEYS = { space: b4a.alloc(32, 1), keys: new TestKeys([b4a.alloc(32, 11)]) }

/** Values of few bytes, and such that fill blocks of their own. */
const PUTS = [...numbered(0, 300), ...numbered(300, 40, 9000), ...numbered(340, 2, 300_000)]

let store: LogStore
let pipe: MemoryPipe
let core: Hypercore

test.before(async () => {
  store = await openLogStore()
  pipe = await MemoryPipe.open()
  core = await store.own('log', KEYS)
  const writer = new TreeWriter(core)
  for (const put of PUTS.slice(0, 50)) await writer.append([put])
  await writer.append(PUTS.slice(50))
})

test.after(async () => {
  await pipe.close()
  await store.close()
})

/** As they are stored, all in one storage read, each asked for twice. */
async function storedTwice(): Promise<readonly (readonly Uint8Array[])[]> {
  const rx = core.core.state.storage.read()
  const seqs = Array.from({ length: core.length }, (_, seq) => seq)
  const reads = seqs.map((seq) => Promise.all([rx.getBlock(seq), rx.getBlock(seq)]))
  rx.tryFlush()
  return (await Promise.all(reads)).map((pair) => pair.map((block) => block ?? b4a.alloc(0)))
}

function isSealed(block: Uint8Array, seq: number): boolean {
  const content = new BlockCipher(KEYS, core.key).open(seq, b4a.from(block))
  return content.byteLength === block.byteLength - 49
}

for (const where of ['in memory', 'on the disk'] as const) {
  test(`what the storage gives of a block that is ${where} is memory of its own, for each who asks`, async () => {
    if (where === 'on the disk') await store.flush()
    const reads = [...(await Promise.all([storedTwice(), storedTwice()])), await storedTwice()]
    const given = reads.flat(2)
    assert.is(given.length, core.length * 6)
    assert.is(new Set(given.map(({ buffer }) => buffer)).size, given.length)
    for (const block of given) assert.is(block.byteLength, block.buffer.byteLength)
    for (const block of given) block.fill(0)
    const again = await storedTwice()
    for (const [seq, pair] of again.entries())
      for (const block of pair) assert.ok(isSealed(block, seq), `block ${seq}`)
  })
}

test('who reads a block beside others that open it, and while it goes to a peer, gets it as it is stored', async () => {
  const receiving = pipe.receive(core)
  const contexts = [core, core, await store.remote(core.key, KEYS)].map(
    (session) => new TreeContext(session)
  )
  const trees = contexts.map((context) => new TreeSnapshot(context, core.length))
  const singly = Array.from({ length: core.length }, (_, seq) => core.get(seq, { raw: true }))
  const twice = contexts.map(async (context) => {
    const seq = core.length - 1
    const read = await Promise.all([context.getBlockHere(seq), context.getBlockHere(seq)])
    assert.ok(read[0] !== null && read[0] === read[1], 'opened once')
  })
  const scans = await Promise.all(trees.map((tree) => drain(tree.cursor())))
  await Promise.all(twice)
  for (const entries of scans) {
    assert.is(entries.length, PUTS.length)
    for (const [i, { value }] of entries.entries())
      assert.ok(b4a.equals(value, PUTS[i]?.value ?? b4a.alloc(0)), `entry ${i}`)
  }
  for (const [seq, block] of (await Promise.all(singly)).entries())
    assert.ok(isSealed(block ?? b4a.alloc(0), seq), `block ${seq}, read singly`)
  const copy = await receiving
  for (let seq = 0; seq < core.length; seq++) {
    const block = await copy.get(seq, { raw: true })
    assert.ok(isSealed(block ?? b4a.alloc(0), seq), `block ${seq}, at the peer`)
  }
})

test.run()
