/** The codes of a kit are read from what a browser shows of it, as large as they are in print. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair, phraseOf, randomBytes } from '../../core/index.ts'
import { kitOf } from '../../multiwriter/identity/kit.ts'
import { combineShares, splitEntropy } from '../../multiwriter/identity/shares.ts'
import { openList, sealLists } from '../../multiwriter/identity/space-list.ts'
import { inBrowser, type TestWindow } from '../support/browser.ts'
import { readShown } from '../support/qr.ts'

/** 5 cm, 300 dots to the inch. */
const PRINTED_DOTS = 594

const NOW = Date.parse('2026-11-30T12:00:00Z')
const entropy = randomBytes(32)
const identity = deriveKeyPair(b4a.alloc(32, 1), 'test/identity')
const hex = (bytes: Uint8Array) => b4a.toString(bytes, 'hex')

/** What the codes of a kit say, from its first sheet to its last. */
async function codesIn(
  window: TestWindow,
  secret: string | readonly string[],
  spaces: readonly string[]
) {
  const page = await window.context.newPage()
  await page.setContent(kitOf({ name: 'Ann', identity: 'id', secret, spaces, now: NOW }))
  await page.addStyleTag({
    content: `svg { width: ${PRINTED_DOTS}px !important; height: auto !important }`
  })
  const reader = await window.context.newPage()
  const codes = await page.locator('svg').all()
  const read: (string | null)[] = []
  for (const code of codes) read.push(await readShown(reader, code))
  return read
}

/** @param length of each name */
const spacesNamed = (count: number, length: number) =>
  Array.from({ length: count }, (_, i) => ({
    address: b4a.alloc(32, i),
    name: String(i).padEnd(length, '字'),
    entrance: {
      membershipKey: b4a.alloc(32, i),
      epoch: b4a.alloc(32, i),
      open: false,
      encrypted: true
    }
  }))

inBrowser({
  async 'kit: the code of a phrase says its words'(window) {
    assert.equal(await codesIn(window, phraseOf(entropy), []), [phraseOf(entropy)])
  },

  async 'kit: the codes of shares are the shares, and enough of them give the phrase back'(window) {
    const shares = await splitEntropy(entropy, { shares: 5, needed: 3 }, NOW)
    const read = await codesIn(window, shares, [])
    assert.equal(read, [...shares])
    const three = read.slice(1, 4).flatMap((text) => text ?? [])
    assert.is(hex(await combineShares(three)), hex(entropy))
  },

  async 'kit: the codes of spaces open with the phrase, many spaces and long names, too'(window) {
    // Not the longest names: jsQR 1.4.0 misplaces a pattern of version 23, and reads no code of that size.
    for (const spaces of [spacesNamed(20, 12), spacesNamed(2, 200)]) {
      const lists = sealLists(identity.publicKey, spaces)
      assert.ok(lists.length > 1)
      const read = await codesIn(window, phraseOf(entropy), lists)
      assert.is(read.length, 1 + lists.length)
      const found = read.slice(1).flatMap((text) => openList(identity, text ?? ''))
      assert.equal(found, spaces)
    }
  }
})

test.run()
