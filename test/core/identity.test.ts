/** Phrases and attestations: read as they were written, and what is mistyped or forged is told. */
import { createHmac, pbkdf2Sync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  attestFirst,
  attestNext,
  entropyOf,
  identityKeyPair,
  isAttested,
  MAX_ATTESTED,
  phraseOf,
  readAttestation
} from '../../core/index.ts'
import { deriveKeyPair, randomBytes } from '../../core/crypto.ts'
import { isManyhandsError } from '../../errors.ts'

interface Vectors {
  readonly phrase: string
  readonly entropy: string
  readonly identity: string
  readonly devices: readonly string[]
  readonly attestations: readonly string[]
}

const vectors = JSON.parse(
  await readFile(new URL('../vectors/identity.json', import.meta.url), 'utf8')
) as Vectors

const hex = (bytes: Uint8Array) => b4a.toString(bytes, 'hex')
const device = (name: string) => deriveKeyPair(b4a.alloc(32, 7), name)

function problem(text: string): string {
  try {
    entropyOf(text)
  } catch (error) {
    if (isManyhandsError(error, 'PHRASE_INVALID')) return error.message
    throw error
  }
  return ''
}

test('identity: the golden phrase gives the golden keys and attestations', async () => {
  assert.is(phraseOf(b4a.from(vectors.entropy, 'hex')), vectors.phrase)
  assert.is(hex(entropyOf(vectors.phrase)), vectors.entropy)
  const identity = await identityKeyPair(entropyOf(vectors.phrase))
  assert.is(hex(identity.publicKey), vectors.identity)
  const [one, other] = [device('one'), device('other')]
  assert.equal(
    [one, other].map(({ publicKey }) => hex(publicKey)),
    vectors.devices
  )
  const first = attestFirst(identity, one.publicKey)
  const second = attestNext(one, first, other.publicKey)
  assert.equal([first, second].map(hex), vectors.attestations)
})

/** SLIP-10 for Ed25519, written anew: the private key at m/48'/5338'/0'/0'/0'. */
function derivedAnew(phrase: string): Buffer {
  const seed = pbkdf2Sync(phrase, 'mnemonic', 2048, 64, 'sha512')
  let node = createHmac('sha512', 'ed25519 seed').update(seed).digest()
  for (const step of [48, 5338, 0, 0, 0]) {
    const index = Buffer.alloc(4)
    index.writeUInt32BE(0x80000000 + step)
    const data = Buffer.concat([Buffer.alloc(1), node.subarray(0, 32), index])
    node = createHmac('sha512', node.subarray(32)).update(data).digest()
  }
  return node.subarray(0, 32)
}

test('identity: the key pair is the one that docs/FORMAT.md derives', async () => {
  for (const entropy of [b4a.from(vectors.entropy, 'hex'), randomBytes(32)]) {
    const { secretKey } = await identityKeyPair(entropy)
    assert.is(hex(secretKey.subarray(0, 32)), hex(derivedAnew(phraseOf(entropy))))
  }
})

test('phrase: numbers, capitals and line ends are overlooked', () => {
  const entropy = randomBytes(32)
  const lines = phraseOf(entropy)
    .split(' ')
    .map((word, i) => `${i + 1}. ${word.toUpperCase()}`)
  assert.is(hex(entropyOf(`\n ${lines.join('\r\n')} `)), hex(entropy))
})

test('phrase: a word that is none of the list is told by its place, never by itself', () => {
  const words = phraseOf(randomBytes(32)).split(' ')
  const message = problem(words.with(6, 'sekret').with(20, 'qqq').join(' '))
  assert.match(message, 'the places 7, 21')
  for (const word of [...words, 'sekret', 'qqq']) assert.not(message.split(/\W/).includes(word))
})

test('phrase: one that is cut off says how many words it has', () => {
  const words = phraseOf(randomBytes(32)).split(' ')
  assert.match(problem(words.slice(0, 23).join(' ')), '23 words')
  assert.match(problem([...words, 'art'].join(' ')), '25 words')
  assert.match(problem(''), '0 words')
})

test('phrase: a similar word of the list is suspected where it stands', () => {
  const words = vectors.phrase.split(' ')
  // "art" for "arm", "abandon" stays: the last place is among the suspects, and no word is shown.
  const message = problem(words.with(23, 'arm').join(' '))
  assert.match(message, /look at .*24/)
  assert.not.match(message, 'arm')
})

test('phrase: words in another order are refused', () => {
  const words = phraseOf(b4a.from(Uint8Array.from({ length: 32 }, (_, i) => i))).split(' ')
  assert.match(problem([...words].reverse().join(' ')), 'in this order')
})

test('attestation: a chain holds link by link, and for nobody else', async () => {
  const identity = await identityKeyPair(randomBytes(32))
  const stranger = await identityKeyPair(randomBytes(32))
  const [one, two, three] = [device('1'), device('2'), device('3')]
  const first = attestFirst(identity, one.publicKey)
  const second = attestNext(one, first, two.publicKey)
  const third = attestNext(two, second, three.publicKey)
  assert.ok(isAttested(identity.publicKey, three.publicKey, third))
  assert.equal(
    readAttestation(third)?.devices.map(hex),
    [one, two, three].map(({ publicKey }) => hex(publicKey))
  )
  assert.not(isAttested(stranger.publicKey, three.publicKey, third))
  assert.not(isAttested(identity.publicKey, two.publicKey, third))
  // Signed by a device that the chain does not end with.
  const forged = attestNext(three, first, two.publicKey)
  assert.not(isAttested(identity.publicKey, two.publicKey, forged))
  // An identity's key alone is no device.
  assert.not(isAttested(identity.publicKey, identity.publicKey, third.subarray(0, 41)))
})

test('attestation: every changed byte, cut and addition is refused', async () => {
  const identity = await identityKeyPair(randomBytes(32))
  const one = device('1')
  const proof = attestFirst(identity, one.publicKey)
  const holds = (bytes: Uint8Array) => isAttested(identity.publicKey, one.publicKey, bytes)
  assert.ok(holds(proof))
  for (let i = 0; i < proof.length; i++) {
    const bent = b4a.from(proof)
    bent[i] = (bent[i] ?? 0) ^ 1
    assert.not(holds(bent), `byte ${i}`)
    assert.not(holds(proof.subarray(0, i)), `cut at ${i}`)
  }
  assert.not(holds(b4a.concat([proof, b4a.alloc(1)])))
  assert.not(holds(b4a.alloc(1_000_000, 0xff)))
})

test('attestation: a chain has an end', async () => {
  const identity = await identityKeyPair(randomBytes(32))
  let last = device('0')
  let proof = attestFirst(identity, last.publicKey)
  for (let i = 1; i < MAX_ATTESTED; i++) {
    const next = device(String(i))
    proof = attestNext(last, proof, next.publicKey)
    last = next
  }
  assert.ok(isAttested(identity.publicKey, last.publicKey, proof))
  const next = device('more')
  assert.not(
    isAttested(identity.publicKey, next.publicKey, attestNext(last, proof, next.publicKey))
  )
})

test.run()
