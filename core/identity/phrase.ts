/**
 * The 24 words of an identity: BIP-39 over 32 random bytes, from which keet-identity-key derives the key pair. What cannot be
 * read is told by the places of the words alone: a mistyped phrase is nearly the phrase, and messages end up in logs.
 */
import b4a from 'b4a'
import bip39 from 'bip39-mnemonic'
import wordlist from 'bip39-mnemonic/wordlist/index.js'
import type { KeyPair } from 'hypercore'
import IdentityKey from 'keet-identity-key'
import { ManyhandsError } from '../../errors.ts'
import { randomBytes } from '../crypto.ts'

const ENTROPY_BYTES = 32
const WORDS = 24

export function newEntropy(): Uint8Array {
  return randomBytes(ENTROPY_BYTES)
}

/** The words, with one space between them. */
export function phraseOf(entropy: Uint8Array): string {
  return bip39.entropyToMnemonic(b4a.from(entropy))
}

/** Numbers in front of the words, as a kit prints them, and capitals are overlooked. @throws PHRASE_INVALID */
export function entropyOf(text: string): Uint8Array {
  const words = wordsIn(text)
  const list = wordlist.loadWordlist('english')
  const strange = words.flatMap((word, i) => (list.includes(word) ? [] : i + 1))
  if (words.length !== WORDS) throw bad(`has ${words.length} words, and needs ${WORDS}`)
  if (strange.length > 0) throw bad(`has no word of the list at ${placesText(strange)}`)
  return entropyIn(words) ?? suspected(words, list)
}

/** Of the identity itself. Whoever has it, is it: to be zeroed after use. */
export async function identityKeyPair(entropy: Uint8Array): Promise<KeyPair> {
  const seed = await IdentityKey.deriveSeed(phraseOf(entropy))
  const key = await IdentityKey.from({ seed })
  const { publicKey, secretKey } = key.identityKeyPair
  const copy = { publicKey: b4a.from(publicKey), secretKey: b4a.from(secretKey) }
  key.clear()
  seed.fill(0)
  return copy
}

function wordsIn(text: string): readonly string[] {
  const tokens = text.normalize('NFKD').toLowerCase().split(/\s+/)
  return tokens.map((token) => token.replace(/^\d+[.):]?/, '')).filter((word) => word !== '')
}

/** Null where the last word does not fit to the others. */
function entropyIn(words: readonly string[]): Uint8Array | null {
  try {
    return bip39.mnemonicToEntropy(words.join(' '))
  } catch {
    return null
  }
}

/** Of all words in the list one is likely meant to be a similar one, and few of those would make the others right. */
function suspected(words: readonly string[], list: readonly string[]): never {
  const places = words.flatMap((word, i) => {
    const similar = list.filter((other) => isNear(word, other))
    return similar.some((other) => entropyIn(words.with(i, other)) !== null) ? i + 1 : []
  })
  const why = 'has only words of the list, but not these together, in this order'
  throw bad(places.length === 0 ? why : `${why}; look at ${placesText(places)}`)
}

/** Whether one letter too many, too few or another, or two that are swapped, make one of the other. */
function isNear(a: string, b: string): boolean {
  if (a === b || Math.abs(a.length - b.length) > 1) return false
  if (a.length > b.length) return isNear(b, a)
  const at = Array.from(a).findIndex((letter, i) => letter !== b[i])
  if (at < 0) return true
  const rest = a.slice(at)
  const other = b.slice(at)
  if (a.length < b.length) return rest === other.slice(1)
  return rest.slice(1) === other.slice(1) || isSwapped(rest, other)
}

function isSwapped(a: string, b: string): boolean {
  return a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2)
}

function placesText(places: readonly number[]): string {
  return places.length === 1 ? `place ${places[0]}` : `the places ${places.join(', ')}`
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('PHRASE_INVALID', `The phrase ${problem}`)
}
