/** What devices tell each other of the histories of logs, as bytes. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeBranchMessage,
  encodeBranchMessage,
  MAX_HEADS,
  MAX_LENGTHS,
  type BranchMessage
} from '../../multiwriter/members/branch-message.ts'

/** Byte arrays stand as `hex:…` in the file. */
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/branch-message.json', import.meta.url), 'utf8'),
  (_, value: unknown) =>
    typeof value === 'string' && value.startsWith('hex:') ? b4a.from(value.slice(4), 'hex') : value
) as readonly { readonly message: BranchMessage; readonly bytes: string }[]

test('there is a golden vector of each message, and it reads and writes as it stands', () => {
  assert.is(new Set(vectors.map(({ message }) => message.type)).size, 6)
  for (const { message, bytes } of vectors) {
    assert.is(b4a.toString(encodeBranchMessage(message), 'hex'), bytes, message.type)
    assert.equal(decodeBranchMessage(b4a.from(bytes, 'hex')), message)
  }
})

test('what is cut short, goes on, is of another kind or too long is none', () => {
  for (const { message, bytes } of vectors) {
    const whole = b4a.from(bytes, 'hex')
    const isOpen = message.type === 'prefix' || message.type === 'proof'
    const least = isOpen ? 33 : whole.byteLength
    for (let i = 0; i < least; i++)
      assert.is(decodeBranchMessage(whole.subarray(0, i)), null, `${message.type} cut at ${i}`)
    const longer = decodeBranchMessage(b4a.concat([whole, b4a.alloc(isOpen ? 20_000 : 1)]))
    assert.is(longer, null, message.type)
  }
  assert.is(decodeBranchMessage(b4a.from([6])), null)
  const core = 'ab'.repeat(32)
  const heads = Array.from({ length: MAX_HEADS + 1 }, () => ({ core, length: 1, treeHash: core }))
  assert.is(decodeBranchMessage(encodeBranchMessage({ type: 'heads', heads })), null)
  const lengths = Array.from({ length: MAX_LENGTHS + 1 }, (_, i) => i)
  assert.is(decodeBranchMessage(encodeBranchMessage({ type: 'ask', core, lengths })), null)
})

test.run()
