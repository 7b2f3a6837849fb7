/** What a writer signed of its log's first blocks, shown to who does not hold them; and two of that as the proof of a fork. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkForkProof,
  checkPrefix,
  encodeForkProof,
  signedPrefix
} from '../../core/signed-prefix.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

const stores: LogStore[] = []

test.after(async () => {
  for (const store of stores) await store.close()
})

async function logOf(seed: number, blocks: readonly string[]): Promise<Hypercore> {
  const store = await openLogStore(seed)
  stores.push(store)
  const core = await store.own('data')
  await core.append(blocks.map((block) => b4a.from(block)))
  return core
}

const blocks = (from: number, to: number, name = 'block') =>
  Array.from({ length: to - from }, (_, i) => `${name} ${from + i}`)

async function prefixOf(core: Hypercore, block: number): Promise<Uint8Array> {
  const bytes = await signedPrefix(core, block)
  if (bytes === null) throw new Error(`No prefix at ${block}`)
  return bytes
}

test('a prefix: for every block of every length it shows what the log hashed to before it and with it', async () => {
  const core = await logOf(1, ['block 0'])
  for (let length = 1; length <= 33; length++) {
    for (let block = 0; block < length; block++) {
      const shown = checkPrefix(core.key, block, await prefixOf(core, block))
      const at = `block ${block} of ${length}`
      assert.equal(shown?.through, await core.treeHash(block + 1), at)
      if (block > 0) assert.equal(shown?.before, await core.treeHash(block), at)
      assert.is(shown?.signedLength, length)
    }
    await core.append(b4a.from(`block ${length}`))
  }
})

test('a prefix: whatever byte of it is another, it shows nothing', async () => {
  const core = await logOf(2, blocks(0, 11))
  const bytes = await prefixOf(core, 6)
  for (let i = 0; i < bytes.byteLength; i++) {
    const forged = b4a.from(bytes)
    forged[i] = (forged[i] ?? 0) ^ 1
    assert.is(checkPrefix(core.key, 6, forged), null, `byte ${i}`)
    assert.is(checkPrefix(core.key, 6, bytes.subarray(0, i)), null, `cut at ${i}`)
  }
  assert.is(checkPrefix(core.key, 6, b4a.concat([bytes, b4a.from([0])])), null)
  assert.is(checkPrefix(core.key, 5, bytes), null)
  assert.is(checkPrefix(b4a.alloc(32), 6, bytes), null)
})

test('a prefix: there is none behind the end of a log', async () => {
  const core = await logOf(3, blocks(0, 4))
  assert.is(await signedPrefix(core, 4), null)
})

test('a fork: two histories of one log prove it where they part, and nowhere else', async () => {
  for (const common of [0, 1, 5, 8, 13]) {
    const before = blocks(0, common)
    const one = await logOf(4, [...before, ...blocks(common, 16, 'one')])
    const other = await logOf(4, [...before, ...blocks(common, 23, 'other')])
    assert.equal(one.key, other.key)
    const proof = encodeForkProof(await prefixOf(one, common), await prefixOf(other, common))
    const shown = checkForkProof(one.key, common, proof)
    assert.ok(shown !== null, `parting at ${common}`)
    if (common > 0) assert.equal(shown.before, await one.treeHash(common))
    for (let block = 0; block < 16; block++) {
      if (block === common) continue
      const halves = encodeForkProof(await prefixOf(one, block), await prefixOf(other, block))
      assert.is(checkForkProof(one.key, block, halves), null, `${block} of ${common}`)
      assert.is(checkForkProof(one.key, block, proof), null)
    }
  }
})

test('a fork: a log that was cut and written anew proves it as well', async () => {
  const core = await logOf(5, blocks(0, 9))
  const first = await prefixOf(core, 6)
  await core.truncate(6)
  await core.append(blocks(6, 9, 'anew').map((block) => b4a.from(block)))
  const proof = encodeForkProof(first, await prefixOf(core, 6))
  assert.ok(checkForkProof(core.key, 6, proof) !== null)
})

test('a fork: a log that only grew, and bytes that are none, prove nothing', async () => {
  const core = await logOf(6, blocks(0, 9))
  const first = await prefixOf(core, 6)
  await core.append(blocks(9, 20).map((block) => b4a.from(block)))
  const longer = await prefixOf(core, 6)
  assert.is(checkForkProof(core.key, 6, encodeForkProof(first, longer)), null)
  const stranger = await logOf(7, blocks(0, 9, 'other'))
  const foreign = await prefixOf(stranger, 6)
  assert.is(checkForkProof(core.key, 6, encodeForkProof(first, foreign)), null)
  for (const bytes of [b4a.alloc(0), b4a.from([253]), b4a.from([4, 1]), b4a.alloc(400, 255)])
    assert.is(checkForkProof(core.key, 6, bytes), null)
})

interface Vectors {
  readonly key: string
  readonly prefixes: readonly {
    readonly block: number
    readonly bytes: string
    readonly before: string
    readonly through: string
    readonly signedLength: number
  }[]
  readonly fork: { readonly common: number; readonly proof: string; readonly before: string }
}

test('golden vectors: what is shown, and the proof of a fork', () => {
  const { key, prefixes, fork } = JSON.parse(
    readFileSync(new URL('../vectors/signed-prefix.json', import.meta.url), 'utf8')
  ) as Vectors
  assert.ok(prefixes.length > 1)
  for (const { block, bytes, ...expected } of prefixes) {
    const shown = checkPrefix(b4a.from(key, 'hex'), block, b4a.from(bytes, 'hex'))
    if (shown === null) return assert.unreachable(`block ${block}`)
    const [before, through] = [shown.before, shown.through].map((hash) => b4a.toString(hash, 'hex'))
    assert.equal({ before, through, signedLength: shown.signedLength }, expected)
  }
  const shown = checkForkProof(b4a.from(key, 'hex'), fork.common, b4a.from(fork.proof, 'hex'))
  assert.is(shown === null ? null : b4a.toString(shown.before, 'hex'), fork.before)
})

test('golden vectors: a log of the same seed is shown by the same bytes', async () => {
  const { key, prefixes } = JSON.parse(
    readFileSync(new URL('../vectors/signed-prefix.json', import.meta.url), 'utf8')
  ) as Vectors
  const core = await logOf(8, blocks(0, 11))
  assert.is(b4a.toString(core.key, 'hex'), key)
  for (const { block, bytes } of prefixes)
    assert.is(b4a.toString(await prefixOf(core, block), 'hex'), bytes)
})

test.run()
