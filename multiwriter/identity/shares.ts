/**
 * A phrase in M of N shares (Shamir): any M give it back, fewer say nothing of it. Each share says which set it is of, and is sealed to what
 * it says, so that one that was mistyped, changed, or put together of two is named before anything is computed. It is sealed under a
 * key of its set, which stands on the shares alone: who has none of them can make none; a keeper can. So what is put together checks
 * itself as well, under a key that only the right shares give.
 *
 *     share  = "mhs2" + z32(label 23 B, box 65 B, checksum 4 B)
 *     label  = set key 16 B, index u8, needed u8, of u8, seconds since 1970 u32
 *     box    = XChaCha20-Poly1305(key = hash("manyhands/share-box", set key), nonce = index u8, then zeros; associated: the label) of point
 *     point  = the secret's at its place on the curve, then that place: 49 B
 *     secret = entropy 32 B, then the first 16 B of BLAKE2b(key = entropy, "manyhands/shares", set key, needed, of, seconds)
 *     set    = what people call it: the first 8 B of hash("manyhands/share-set", set key)
 */
import b4a from 'b4a'
import { combine, split } from 'shamir-secret-sharing'
import { hash, keyedHash, openWith, randomBytes, sealWith } from '../../core/index.ts'
import { invalid, ManyhandsError } from '../../errors.ts'
import { decodeText, encodeText } from '../checked-text.ts'

const FORM = { prefix: 'mhs2', context: 'manyhands/share-text' }
const ENTROPY_BYTES = 32
const TAG_BYTES = 16
const SET_KEY_BYTES = 16
const SET_BYTES = 8
const LABEL_BYTES = SET_KEY_BYTES + 1 + 1 + 1 + 4
const POINT_BYTES = ENTROPY_BYTES + TAG_BYTES + 1
const SHARE_BYTES = LABEL_BYTES + POINT_BYTES + TAG_BYTES

/** Of more shares than needed, the wrong one is looked for among so many choices. */
const MAX_TRIES = 1000

/** More people than anybody asks. */
const MAX_SHARES = 64

export interface SplitOptions {
  /** How many shares there are to be: 2 to 64. */
  readonly shares: number
  /** How many of them give the phrase back: 2 or more. */
  readonly needed: number
}

/** What a share says of itself. */
export interface ShareLabel {
  /** Shares of one set belong together. */
  readonly set: string
  /** From 1 on. */
  readonly index: number
  readonly needed: number
  readonly of: number
  /** When it was made, in ms since 1970, to the second. */
  readonly made: number
}

/** What a share says of itself, with what its set's are sealed under. */
interface SealedLabel extends Omit<ShareLabel, 'set'> {
  readonly setKey: Uint8Array
}

interface Share extends ShareLabel, SealedLabel {
  /** As the library has it. */
  readonly point: Uint8Array
}

/** @param now ms since 1970 @returns one text for each person */
export async function splitEntropy(
  entropy: Uint8Array,
  { shares, needed }: SplitOptions,
  now: number
): Promise<readonly string[]> {
  checkCount('shares', shares, MAX_SHARES)
  checkCount('needed', needed, shares)
  const setKey = randomBytes(SET_KEY_BYTES)
  const made = Math.floor(now / 1000) * 1000
  const label = { setKey, index: 0, needed, of: shares, made }
  // The library takes no Buffers.
  const secret = Uint8Array.from([...entropy, ...tagOf(entropy, label)])
  const points = await split(secret, shares, needed)
  secret.fill(0)
  return points.map((point, i) => encodeShare({ ...label, index: i + 1 }, point))
}

/** @throws SHARE_INVALID */
export function readShare(text: string): ShareLabel {
  const { set, index, needed, of, made } = decodeShare(text, 'The share')
  return { set, index, needed, of, made }
}

/**
 * What was split. Shares are named in errors by their place among those given, and by what they say of themselves.
 * @throws SHARE_INVALID naming the one that is mistyped, SHARES_MIXED, SHARES_TOO_FEW, SHARES_FORGED
 */
export async function combineShares(texts: readonly string[]): Promise<Uint8Array> {
  const shares = texts.map((text, i) => decodeShare(text, `The share at place ${i + 1}`))
  checkOneSet(shares)
  const different = [...new Map(shares.map((share) => [share.index, share])).values()]
  const [first] = different
  const needed = first?.needed ?? 2
  if (different.length < needed) {
    const why = `${needed} different shares are needed, and these are ${different.length}`
    throw new ManyhandsError('SHARES_TOO_FEW', why)
  }
  return search(different, needed)
}

/** The first that were given, else any that fit: then the others are wrong, and what is right is right. */
async function search(shares: readonly Share[], needed: number): Promise<Uint8Array> {
  let tries = 0
  for (const chosen of choices(shares, needed)) {
    const entropy = await opened(chosen)
    if (entropy !== null) return entropy
    if (++tries >= MAX_TRIES) break
  }
  const which = shares.map(({ index }) => index).join(', ')
  const why = `Of the shares ${which} at least one is not what was made with the others`
  throw new ManyhandsError('SHARES_FORGED', why)
}

async function opened(shares: readonly Share[]): Promise<Uint8Array | null> {
  const [label] = shares
  // Two shares with one place are no curve.
  const places = new Set(shares.map(({ point }) => point.at(-1)))
  if (label === undefined || places.size < shares.length) return null
  const secret = await combine(shares.map(({ point }) => point))
  const entropy = b4a.from(secret.subarray(0, ENTROPY_BYTES))
  const isRight = b4a.equals(secret.subarray(ENTROPY_BYTES), tagOf(entropy, label))
  secret.fill(0)
  return isRight ? entropy : null
}

function* choices<T>(items: readonly T[], count: number): Generator<readonly T[]> {
  if (count === 0) yield []
  for (const [i, item] of items.entries()) {
    if (count === 0) return
    for (const rest of choices(items.slice(i + 1), count - 1)) yield [item, ...rest]
  }
}

function tagOf(entropy: Uint8Array, { setKey, needed, of, made }: SealedLabel): Uint8Array {
  const said = [setKey, b4a.from([needed]), b4a.from([of]), u32(made / 1000)]
  return keyedHash(entropy, 'manyhands/shares', ...said).subarray(0, TAG_BYTES)
}

function encodeShare({ setKey, index, needed, of, made }: SealedLabel, point: Uint8Array): string {
  const label = b4a.concat([setKey, b4a.from([index, needed, of]), u32(made / 1000)])
  const box = sealWith(point, boxKeyOf(setKey), b4a.from([index]), label)
  return encodeText(FORM, b4a.concat([label, box]))
}

function boxKeyOf(setKey: Uint8Array): Uint8Array {
  return hash('manyhands/share-box', setKey)
}

/** The key stands on the shares alone; this may stand in messages. */
function nameOf(setKey: Uint8Array): string {
  return b4a.toString(hash('manyhands/share-set', setKey).subarray(0, SET_BYTES), 'hex')
}

function decodeShare(text: string, which: string): Share {
  const bad = (problem: string) => new ManyhandsError('SHARE_INVALID', `${which} ${problem}`)
  if (typeof text !== 'string') throw bad('is no text')
  const body = decodeText(FORM, text, bad)
  if (body.byteLength !== SHARE_BYTES) throw bad('has the wrong length')
  const label = body.subarray(0, LABEL_BYTES)
  const [index = 0, needed = 0, of = 0] = label.subarray(SET_KEY_BYTES)
  if (index < 1 || index > of || needed < 2 || needed > of) throw bad('contradicts itself')
  const seconds = new DataView(body.buffer, body.byteOffset).getUint32(LABEL_BYTES - 4)
  const setKey = b4a.from(label.subarray(0, SET_KEY_BYTES))
  const box = body.subarray(LABEL_BYTES)
  const point = openWith(box, boxKeyOf(setKey), b4a.from([index]), label)
  if (point === null) throw bad('was changed: what is in it is not what was sealed')
  return {
    set: nameOf(setKey),
    setKey,
    index,
    needed,
    of,
    made: seconds * 1000,
    point: Uint8Array.from(point) // the library takes no Buffers
  }
}

function checkOneSet(shares: readonly Share[]): void {
  const name = ({ set, needed, of, made }: Share) =>
    `the set ${set} (${needed} of ${of}, ${new Date(made).toISOString().slice(0, 10)})`
  const bySet = new Map<string, number[]>()
  for (const [i, share] of shares.entries())
    bySet.set(name(share), [...(bySet.get(name(share)) ?? []), i + 1])
  if (bySet.size < 2) return
  const sets = [...bySet].map(([set, places]) => `${set} at place ${places.join(', ')}`)
  throw new ManyhandsError('SHARES_MIXED', `The shares are of different sets: ${sets.join('; ')}`)
}

function checkCount(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 2 || value > max)
    invalid(name, `a number from 2 to ${max}`, value)
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}
