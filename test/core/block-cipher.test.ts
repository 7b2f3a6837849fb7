/** Blocks as they are stored: what opens them, and by what name everything else is refused. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BlockCipher } from '../../core/block-cipher.ts'
import { blockKey, constantKeys, epochHash, randomBytes } from '../../core/index.ts'
import { TreeRefusal, type TreeRefusalReason } from '../../core/tree/refusal.ts'
import { spaceEncryption } from '../../multiwriter/space-logs.ts'
import { openByHand, sealByHand } from '../oracle/encrypted-block.ts'

interface Vectors {
  readonly space: string
  readonly log: string
  readonly blocks: readonly {
    readonly name: string
    readonly key: string
    readonly seq: number
    readonly nonce: string
    readonly content: string
    readonly block: string
  }[]
  readonly epochHashes: readonly { readonly key: string; readonly hash: string }[]
  readonly derived: { readonly membershipKey: string; readonly acl: string }
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/encrypted-block.json', import.meta.url), 'utf8')
) as Vectors

const bytes = (hex: string) => b4a.from(hex, 'hex')
const SPACE = b4a.alloc(32, 1)
const LOG = b4a.alloc(32, 2)
const KEY = b4a.alloc(32, 3)
const HEADER_BYTES = 49

const cipherOf = (key = KEY, space = SPACE, log = LOG) =>
  new BlockCipher({ space, keys: constantKeys(key) }, log)

function sealed(cipher: BlockCipher, seq: number, content: Uint8Array): Uint8Array {
  const block = b4a.concat([b4a.alloc(cipher.padding()), content])
  cipher.encrypt(seq, block)
  return block
}

function refusalOf(cipher: BlockCipher, seq: number, block: Uint8Array): TreeRefusalReason | null {
  try {
    cipher.open(seq, b4a.from(block))
    return null
  } catch (error) {
    if (!(error instanceof TreeRefusal)) throw error
    assert.is(error.seq, seq)
    return error.reason
  }
}

test('the golden blocks open, and are what the other implementation makes', () => {
  const [space, log] = [bytes(vectors.space), bytes(vectors.log)]
  assert.is(vectors.blocks.length, 4)
  for (const { name, key, seq, nonce, content, block } of vectors.blocks) {
    const opened = cipherOf(bytes(key), space, log).open(seq, bytes(block))
    assert.is(b4a.toString(opened, 'hex'), content, name)
    const { id: epochId } = blockKey(bytes(key))
    const all = { key: bytes(key), nonce: bytes(nonce), content: bytes(content) }
    const again = sealByHand({ ...all, epochId, space, log, seq })
    assert.is(b4a.toString(again, 'hex'), block, name)
  }
})

test('keys of epochs are derived, and hash, as other implementations do it', () => {
  for (const { key, hash } of vectors.epochHashes) {
    assert.is(b4a.toString(epochHash(bytes(key)), 'hex'), hash)
    assert.is(b4a.toString(blockKey(bytes(key)).id, 'hex'), hash.slice(0, 16))
  }
  const { membershipKey, acl } = vectors.derived
  const content = constantKeys(bytes('00'.repeat(32)))
  const encryption = spaceEncryption(SPACE, bytes(membershipKey), content)
  assert.is(b4a.toString(encryption.acl.keys.current().key, 'hex'), acl)
  assert.is(encryption.data.keys, content)
})

test('what is encrypted here another implementation opens, and the other way round', () => {
  const seqs = fc.oneof(fc.nat(), fc.maxSafeNat())
  const arbitrary = fc.record({
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    space: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    log: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    nonce: fc.uint8Array({ minLength: 24, maxLength: 24 }),
    content: fc.uint8Array({ maxLength: 600 }),
    seq: seqs
  })
  fc.assert(
    fc.property(arbitrary, ({ key, space, log, nonce, content, seq }) => {
      const cipher = cipherOf(key, space, log)
      const block = sealed(cipher, seq, content)
      assert.is(block.byteLength, HEADER_BYTES + content.byteLength)
      assert.ok(b4a.equals(openByHand(block, { key, space, log, seq }), content))
      const { id: epochId } = blockKey(key)
      const theirs = sealByHand({ key, epochId, space, log, seq, nonce, content })
      assert.ok(b4a.equals(cipher.open(seq, b4a.from(theirs)), content))
      cipher.decrypt(seq, theirs)
      assert.ok(b4a.equals(theirs.subarray(HEADER_BYTES), content), 'in place as well')
    })
  )
})

test('no two blocks are encrypted alike, not at one place of two histories either', () => {
  const cipher = cipherOf()
  const content = b4a.alloc(40, 9)
  const blocks = Array.from({ length: 1000 }, () => sealed(cipher, 7, content))
  for (const [from, to] of [
    [9, 33],
    [49, 89]
  ] as const)
    assert.is(
      new Set(blocks.map((block) => b4a.toString(block.subarray(from, to), 'hex'))).size,
      1000
    )
})

test('every flipped bit is refused, and a flipped epoch waits for a key that nobody has', () => {
  const cipher = cipherOf()
  const block = sealed(cipher, 3, b4a.from('content'))
  for (let bit = 0; bit < block.byteLength * 8; bit++) {
    const flipped = b4a.from(block)
    const at = Math.floor(bit / 8)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit % 8))
    const expected =
      at === 0 ? 'encryption-unsupported' : at < 9 ? 'no-epoch-key' : 'encryption-forged'
    assert.is(refusalOf(cipher, 3, flipped), expected, `bit ${bit}`)
  }
  assert.is(refusalOf(cipher, 3, block), null)
})

test('a block that is cut short or goes on is refused at every length', () => {
  const cipher = cipherOf()
  const block = sealed(cipher, 3, b4a.from('content'))
  for (let length = 0; length < block.byteLength; length++) {
    const expected = length < HEADER_BYTES ? 'encryption-malformed' : 'encryption-forged'
    assert.is(refusalOf(cipher, 3, block.subarray(0, length)), expected, `${length} bytes`)
  }
  assert.is(refusalOf(cipher, 3, b4a.concat([block, b4a.alloc(1)])), 'encryption-forged')
})

test('a block opens at its own place of its own log in its own space alone', () => {
  const other = b4a.alloc(32, 8)
  const block = sealed(cipherOf(), 3, b4a.from('content'))
  assert.is(refusalOf(cipherOf(), 3, block), null)
  for (const seq of [0, 2, 4, 3 + 2 ** 32])
    assert.is(refusalOf(cipherOf(), seq, block), 'encryption-forged', `at ${seq}`)
  assert.is(refusalOf(cipherOf(KEY, other), 3, block), 'encryption-forged', 'another space')
  assert.is(refusalOf(cipherOf(KEY, SPACE, other), 3, block), 'encryption-forged', 'another log')
  assert.is(refusalOf(cipherOf(KEY, LOG, SPACE), 3, block), 'encryption-forged', 'exchanged')
  assert.is(refusalOf(cipherOf(other), 3, block), 'no-epoch-key', 'another key')
})

test('a wrong key under the right id is refused, and gives no garbage', () => {
  const { id } = blockKey(KEY)
  const wrong = b4a.alloc(32, 4)
  const keys = { current: () => ({ id, key: wrong }), find: () => wrong, onchange: () => () => {} }
  const liar = new BlockCipher({ space: SPACE, keys }, LOG)
  const block = sealed(liar, 0, b4a.from('content'))
  assert.is(refusalOf(cipherOf(), 0, block), 'encryption-forged')
  assert.is(refusalOf(liar, 0, sealed(cipherOf(), 0, b4a.from('content'))), 'encryption-forged')
})

test('a block is opened where it stands, and cannot be opened again', () => {
  const cipher = cipherOf()
  const content = randomBytes(5000)
  const block = sealed(cipher, 0, content)
  const opened = cipher.open(0, block)
  assert.ok(b4a.equals(opened, content))
  assert.is(opened.buffer, block.buffer)
  assert.is(refusalOf(cipher, 0, block), 'encryption-forged')
})

test.run()
