/** Hashes against the plain way to make them. */
import b4a from 'b4a'
import sodium from 'sodium-universal'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hash, keyedHash, randomBytes } from '../../core/crypto.ts'

/** A context and parts, each behind its length in four bytes. */
function framed(context: string, parts: readonly Uint8Array[]): Uint8Array {
  return b4a.concat(
    [b4a.from(context), ...parts].flatMap((part) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(part.byteLength)
      return [length, part]
    })
  )
}

test('hash: each part stands behind its length, whatever its size', () => {
  const key = randomBytes(32)
  for (const size of [0, 1, 255, 256, 4070, 4080, 4090, 4100, 70_000]) {
    const parts = [randomBytes(size), randomBytes(0), randomBytes(3)]
    const plain = b4a.alloc(32)
    sodium.crypto_generichash(plain, framed('context', parts))
    assert.equal(hash('context', ...parts), plain, `${size} bytes`)
    sodium.crypto_generichash(plain, framed('context', parts), key)
    assert.equal(keyedHash(key, 'context', ...parts), plain, `${size} bytes, under a key`)
  }
})

test('hash: what was hashed is left as it was', () => {
  const part = randomBytes(64)
  const before = b4a.from(part)
  hash('context', part)
  assert.equal(part, before)
})

test.run()
