/** Shares of a phrase: enough of them give it back; a wrong one is named, and too few say nothing. */
import { readFile } from 'node:fs/promises'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hash, openWith, randomBytes, sealWith } from '../../core/index.ts'
import { kitOf } from '../../multiwriter/identity/kit.ts'
import { combineShares, readShare, splitEntropy } from '../../multiwriter/identity/shares.ts'
import { decodeText, encodeText } from '../../multiwriter/checked-text.ts'
import { rejectsWith } from '../support/rejects.ts'

const NOW = Date.parse('2026-11-30T12:00:00.500Z')
const hex = (bytes: Uint8Array) => b4a.toString(bytes, 'hex')
const FORM = { prefix: 'mhs2', context: 'manyhands/share-text' }

function* subsets<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let mask = 0; mask < 2 ** items.length; mask++)
    yield items.filter((_, i) => (mask >> i) % 2 === 1)
}

const LABEL_BYTES = 23

/** The bytes of a share, with others in their place, and a text that is sound. */
function changed(share: string, change: (body: Uint8Array) => Uint8Array): string {
  const body = b4a.from(decodeText(FORM, share, (problem) => new Error(problem)))
  return encodeText(FORM, change(body))
}

/** A share that was sealed anew, by its keeper, and whose point is not what was made. */
function forged(share: string): string {
  return changed(share, (body) => {
    const label = body.subarray(0, LABEL_BYTES)
    const key = hash('manyhands/share-box', label.subarray(0, 16))
    const nonce = label.subarray(16, 17)
    const point = openWith(body.subarray(LABEL_BYTES), key, nonce, label)
    if (point === null) throw new Error('not opened')
    point[5] = (point[5] ?? 0) ^ 1
    return b4a.concat([label, sealWith(point, key, nonce, label)])
  })
}

test('shares: the golden ones give the golden phrase', async () => {
  const text = await readFile(new URL('../vectors/identity.json', import.meta.url), 'utf8')
  const { entropy, shares } = JSON.parse(text) as { entropy: string; shares: readonly string[] }
  assert.is(hex(await combineShares(shares.slice(1))), entropy)
  assert.equal(
    shares.map(readShare).map(({ index, needed, of, made }) => [index, needed, of, made]),
    [1, 2, 3].map((index) => [index, 2, 3, 1_796_040_000_000])
  )
})

test('shares: any M of N in any order give the secret back, and fewer never do', async () => {
  const entropy = randomBytes(32)
  const shares = await splitEntropy(entropy, { shares: 5, needed: 3 }, NOW)
  for (const some of subsets(shares)) {
    if (some.length >= 3) assert.is(hex(await combineShares([...some].reverse())), hex(entropy))
    else {
      const { message } = await rejectsWith('SHARES_TOO_FEW', () => combineShares(some))
      for (const share of shares) assert.not(message.includes(share.slice(24, 40)))
    }
  }
})

test('shares: one that was given twice is one', async () => {
  const [one = '', other = ''] = await splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  await rejectsWith('SHARES_TOO_FEW', () => combineShares([one, one]), /2 different.* are 1/)
  await combineShares([one, one, other])
})

test('shares: a mistyped one is named by its place, wherever the mistake is', async () => {
  const [one = '', other = ''] = await splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  for (let i = 0; i < other.length; i++) {
    const bent = other.slice(0, i) + (other[i] === 'y' ? 'b' : 'y') + other.slice(i + 1)
    await rejectsWith('SHARE_INVALID', () => combineShares([one, bent]), /place 2/)
    await rejectsWith('SHARE_INVALID', () => combineShares([one, other.slice(0, i)]), /place 2/)
  }
})

test('shares: one that was changed under a sound text is named by its place, whatever byte it was', async () => {
  const [one = '', other = ''] = await splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  const { length } = decodeText(FORM, other, (problem) => new Error(problem))
  for (let at = 0; at < length; at++) {
    const bent = changed(other, (body) => body.with(at, (body[at] ?? 0) ^ 1))
    await rejectsWith('SHARE_INVALID', () => combineShares([one, bent]), /place 2/)
  }
})

test('shares: one put together of two, of one set or of two sets, is named by its place', async () => {
  const split = () => splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  const [[one = '', two = ''], [other = '']] = [await split(), await split()]
  for (const donor of [two, other]) {
    const box = b4a.from(decodeText(FORM, donor, (problem) => new Error(problem))).subarray(23)
    const mixed = changed(one, (body) => b4a.concat([body.subarray(0, LABEL_BYTES), box]))
    const { message } = await rejectsWith('SHARE_INVALID', () => combineShares([two, mixed]))
    assert.match(message, /place 2 was changed/)
    for (const share of [one, two, other]) assert.not(message.includes(share.slice(24, 40)))
  }
})

test('shares: what names a set in messages does not give the key that its shares are sealed under', async () => {
  const [share = ''] = await splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  const body = decodeText(FORM, share, (problem) => new Error(problem))
  assert.not(hex(body).includes(readShare(share).set))
})

test('shares: those of two sets are told apart by name', async () => {
  const entropy = randomBytes(32)
  const first = await splitEntropy(entropy, { shares: 3, needed: 2 }, NOW)
  const later = await splitEntropy(entropy, { shares: 5, needed: 3 }, NOW + 86_400_000)
  const mixed = [first[0] ?? '', later[1] ?? '', later[2] ?? '']
  const { message } = await rejectsWith('SHARES_MIXED', () => combineShares(mixed))
  assert.match(message, `set ${readShare(mixed[0] ?? '').set} (2 of 3, 2026-11-30) at place 1`)
  assert.match(message, `set ${readShare(mixed[1] ?? '').set} (3 of 5, 2026-12-01) at place 2, 3`)
})

test('shares: a forged one is found, and where there are others they do without it', async () => {
  const entropy = randomBytes(32)
  const shares = await splitEntropy(entropy, { shares: 4, needed: 2 }, NOW)
  const [one = '', two = '', three = ''] = shares
  await rejectsWith('SHARES_FORGED', () => combineShares([forged(one), two]), /1, 2/)
  assert.is(hex(await combineShares([forged(one), two, three])), hex(entropy))
})

test('shares: how many there are is checked', async () => {
  const split = (shares: number, needed: number) =>
    splitEntropy(randomBytes(32), { shares, needed }, NOW)
  for (const [shares, needed] of [
    [1, 1],
    [3, 1],
    [2, 3],
    [65, 2],
    [3.5, 2],
    [3, NaN]
  ] as const)
    await rejectsWith('INVALID_ARGUMENT', () => split(shares, needed))
  assert.is((await split(64, 2)).length, 64)
})

test('kit: it is one page that loads nothing, with every word and a picture; names cannot break out', async () => {
  const phrase = 'one two three'
  const page = kitOf({
    name: '<script>alert(1)</script>',
    identity: 'id',
    secret: phrase,
    spaces: ['mhl1list'],
    now: NOW
  })
  for (const word of phrase.split(' ')) assert.match(page, `<li>${word}</li>`)
  assert.match(page, '<svg')
  assert.match(page, 'mhl1list')
  assert.match(page, "default-src 'none'")
  assert.not.match(page, '<script')
  assert.not.match(page, /(src|href)=/)
  const shares = await splitEntropy(randomBytes(32), { shares: 3, needed: 2 }, NOW)
  const sheets = kitOf({ name: 'Ann', identity: 'id', secret: shares, spaces: [], now: NOW })
  assert.is(sheets.match(/<section>/g)?.length, 3)
  for (const share of shares) assert.ok(sheets.replaceAll(' ', '').includes(share))
})

test.run()
