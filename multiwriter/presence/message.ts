/**
 * What a device says of its presence, as bytes (docs/FORMAT.md, "Presence"). On a connection, the first byte says which:
 *
 *     0 ask     nothing more: "tell me who is there"
 *     1 said    nonce 24 B, box: what a device said, passed on as it is
 *     2 lost    core key 32 B: "I do not hear this device any more"
 *     3 ahead   sealed: a document's update, ahead of its log (documents/ahead.ts); not passed on
 *
 * In the box, which whoever has the membership key opens, with numbers as in compact-encoding:
 *
 *     version u8 (2) | kind u8 | public key 32 B | session 8 B | seq uint | [slot uint, sealed] | signature 64 B
 *
 * The signature covers all before it, and the space. The public key is that of the writer's log, whose key it gives; so whoever
 * is not the writer cannot speak as the writer, and whoever passes a message on cannot change it.
 *
 * That much is for everybody who passes messages on, mirrors too: whose it is, whether it is new, and, by a number that its device
 * gave to the topic, in place of what. What is said, and of what, is *sealed* under a key made of an epoch's, as the logs' content is:
 *
 *     epoch id 8 B | nonce 24 B | box: topic, payload
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import {
  constantKeys,
  EPOCH_ID_BYTES,
  isSigned,
  keyedHash,
  logKeyOf,
  openBox,
  sealBox,
  type BlockKey,
  type BlockKeys
} from '../../core/index.ts'

const VERSION = 2
const CONTEXT = 'manyhands/presence'
const SEALED_CONTEXT = 'manyhands/presence-sealed'
const AHEAD_CONTEXT = 'manyhands/ahead-sealed'
const SIGNATURE_BYTES = 64

/** A cursor and a name take 100 bytes; this leaves room for a selection of many ranges, and bounds what a relay keeps. */
export const MAX_PAYLOAD_BYTES = 16 * 1024

/** In UTF-8. Twice what a name in the database takes: a document's id with any prefix is a topic. */
export const MAX_TOPIC_BYTES = 512

/** Milliseconds and a tie-break: a later start of a device is greater. */
export const SESSION_BYTES = 8

/** Nonce and tag of a box. */
const BOX_BYTES = 24 + 16

/** What a message takes at most beyond its topic and payload: header, epoch id, lengths, signature, and two boxes. */
export const MAX_OVERHEAD_BYTES =
  2 + 32 + SESSION_BYTES + 9 + 9 + 5 + EPOCH_ID_BYTES + 3 + 5 + 64 + 2 * BOX_BYTES

const MAX_BOX_BYTES = MAX_OVERHEAD_BYTES + MAX_TOPIC_BYTES + MAX_PAYLOAD_BYTES

export interface Content {
  readonly topic: string
  /** Null: nothing is said there any more. */
  readonly payload: Uint8Array | null
}

export type Saying =
  /** The slot is the topic's number in this session. */
  | ({ readonly kind: 'state'; readonly slot: number } & Content)
  /** What was said still holds. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'leave' }

/** As it is passed on. */
export type SealedSaying =
  | { readonly kind: 'state'; readonly slot: number; readonly sealed: Uint8Array }
  | { readonly kind: 'alive' }
  | { readonly kind: 'leave' }

/** Which of a device's messages this is. */
export interface Place {
  readonly session: Uint8Array
  /** Rises with each message of a session. */
  readonly seq: number
}

/** A message whose box could be opened. Whether it is the writer's, `isTrue` tells. */
export interface Message extends Place {
  /** Key of the writer's log. */
  readonly core: Uint8Array
  readonly saying: SealedSaying
  /** Checks the signature. Costs as much as everything else together. */
  isTrue(): boolean
  /** What a state says. Null where its key is not here (yet), and for what is no state. */
  read(): Content | 'malformed' | null
}

/** The keys of epochs that are here. A change is also that one of them may be used again. */
export interface PresenceKeys extends Pick<BlockKeys, 'find' | 'onchange'> {
  /** What is to be sealed with now. Null where there is none that may be used. */
  usable(): BlockKey | null
}

export type Unreadable = 'oversized' | 'malformed' | 'unsupported'

export type Frame =
  | { readonly type: 'ask' }
  | { readonly type: 'said'; readonly box: Uint8Array }
  | { readonly type: 'lost'; readonly core: Uint8Array }
  | { readonly type: 'ahead'; readonly box: Uint8Array }

const FRAME = { ask: 0, said: 1, lost: 2, ahead: 3 } as const
const KINDS = ['state', 'alive', 'leave'] as const

export const ASK = new Uint8Array([FRAME.ask])

export function saidFrame(box: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([FRAME.said]), box])
}

export function lostFrame(core: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([FRAME.lost]), core])
}

export function aheadFrame(box: Uint8Array): Uint8Array {
  return b4a.concat([b4a.from([FRAME.ahead]), box])
}

export function parseFrame(bytes: Uint8Array): Frame | Unreadable {
  const rest = bytes.subarray(1)
  switch (bytes[0]) {
    case FRAME.ask:
      return rest.byteLength === 0 ? { type: 'ask' } : 'malformed'
    case FRAME.said:
      return rest.byteLength <= MAX_BOX_BYTES ? { type: 'said', box: rest } : 'oversized'
    case FRAME.lost:
      return rest.byteLength === 32 ? { type: 'lost', core: rest } : 'malformed'
    case FRAME.ahead:
      return rest.byteLength <= MAX_BOX_BYTES ? { type: 'ahead', box: rest } : 'oversized'
    case undefined:
      return 'malformed'
    default:
      return 'unsupported'
  }
}

export interface Signer {
  readonly publicKey: Uint8Array
  sign(context: string, ...parts: readonly Uint8Array[]): Uint8Array
}

/** Makes and reads the messages of one space. */
export class Sealer {
  readonly #key: Uint8Array
  readonly #space: Uint8Array
  readonly #keys: PresenceKeys

  /** @param keys null in a space without encryption: who has the membership key reads everything there */
  constructor(membershipKey: Uint8Array, space: Uint8Array, keys: PresenceKeys | null) {
    this.#key = keyedHash(membershipKey, CONTEXT)
    this.#space = space
    this.#keys = keys ?? alwaysKey(this.#key)
  }

  /** Whether there is a key to say anything under. */
  get canSeal(): boolean {
    return this.#keys.usable() !== null
  }

  /** @returns null for a state while there is no key for it */
  seal(place: Place, saying: Saying, signer: Signer): Uint8Array | null {
    const sealed = this.#sealSaying(saying, signer.publicKey)
    if (sealed === null) return null
    const body = encodeBody(signer.publicKey, place, sealed)
    const signed = b4a.concat([body, signer.sign(CONTEXT, this.#space, body)])
    return sealBox(signed, this.#key)
  }

  open(box: Uint8Array): Message | Unreadable {
    const plain = openBox(box, this.#key)
    if (plain === null || plain.byteLength < SIGNATURE_BYTES) return 'malformed'
    if (plain[0] !== VERSION) return 'unsupported'
    const body = plain.subarray(0, -SIGNATURE_BYTES)
    const signature = plain.subarray(-SIGNATURE_BYTES)
    const decoded = decodeBody(body)
    if (decoded === null) return 'malformed'
    const { publicKey, ...message } = decoded
    return {
      ...message,
      core: logKeyOf(publicKey),
      isTrue: () => isSigned(signature, publicKey, CONTEXT, this.#space, body),
      read: () => this.#read(message.saying, publicKey)
    }
  }

  /** What goes ahead of a log, for whoever reads the logs. @returns null while there is no key for it */
  sealAhead(signed: Uint8Array): Uint8Array | null {
    return this.#seal(signed, AHEAD_CONTEXT)
  }

  /** Null where the key is not here. */
  openAhead(sealed: Uint8Array): Uint8Array | 'malformed' | null {
    return this.#open(sealed, AHEAD_CONTEXT)
  }

  #sealSaying(saying: Saying, publicKey: Uint8Array): SealedSaying | null {
    if (saying.kind !== 'state') return saying
    const sealed = this.#seal(encodeContent(saying), SEALED_CONTEXT, publicKey)
    return sealed === null ? null : { kind: 'state', slot: saying.slot, sealed }
  }

  #read(saying: SealedSaying, publicKey: Uint8Array): Content | 'malformed' | null {
    if (saying.kind !== 'state') return null
    const plain = this.#open(saying.sealed, SEALED_CONTEXT, publicKey)
    if (plain === null || plain === 'malformed') return plain
    return decodeContent(plain) ?? 'malformed'
  }

  /** @param whose what else the key is made of: so nobody can say as its own what it cannot read */
  #seal(plain: Uint8Array, context: string, ...whose: readonly Uint8Array[]): Uint8Array | null {
    const epoch = this.#keys.usable()
    if (epoch === null) return null
    const key = keyedHash(epoch.key, context, this.#space, ...whose)
    return b4a.concat([epoch.id, sealBox(plain, key)])
  }

  #open(
    sealed: Uint8Array,
    context: string,
    ...whose: readonly Uint8Array[]
  ): Uint8Array | 'malformed' | null {
    if (sealed.byteLength < EPOCH_ID_BYTES + BOX_BYTES) return 'malformed'
    const epoch = this.#keys.find(sealed.subarray(0, EPOCH_ID_BYTES))
    if (epoch === null) return null
    const key = keyedHash(epoch, context, this.#space, ...whose)
    return openBox(sealed.subarray(EPOCH_ID_BYTES), key) ?? 'malformed'
  }
}

function alwaysKey(key: Uint8Array): PresenceKeys {
  const keys = constantKeys(key)
  return { ...keys, usable: () => keys.current() }
}

/** What is signed, but for the space. */
export function encodeBody(publicKey: Uint8Array, place: Place, saying: SealedSaying): Uint8Array {
  const head = [b4a.from([VERSION, KINDS.indexOf(saying.kind)]), publicKey, place.session]
  const seq = c.encode(c.uint, place.seq)
  if (saying.kind !== 'state') return b4a.concat([...head, seq])
  const slot = c.encode(c.uint, saying.slot)
  return b4a.concat([...head, seq, slot, c.encode(c.uint8array, saying.sealed)])
}

function decodeBody(
  bytes: Uint8Array
): (Place & { publicKey: Uint8Array; saying: SealedSaying }) | null {
  const state: State = { start: 1, end: bytes.byteLength, buffer: bytes }
  try {
    const kind = KINDS[c.uint8.decode(state)]
    const publicKey = b4a.from(c.fixed32.decode(state))
    const session = b4a.from(c.fixed(SESSION_BYTES).decode(state))
    const seq = c.uint.decode(state)
    const saying = decodeSaying(kind, state)
    const isWhole = state.start === state.end && Number.isSafeInteger(seq)
    return saying === null || !isWhole ? null : { publicKey, session, seq, saying }
  } catch {
    // The codecs throw plain Errors on short or oversized input: all of them mean the same here.
    return null
  }
}

function decodeSaying(kind: Saying['kind'] | undefined, state: State): SealedSaying | null {
  if (kind === undefined) return null
  if (kind !== 'state') return { kind }
  const slot = c.uint.decode(state)
  const sealed = c.uint8array.decode(state)
  return Number.isSafeInteger(slot) ? { kind, slot, sealed } : null
}

/** What is sealed. */
export function encodeContent({ topic, payload }: Content): Uint8Array {
  const name = c.encode(c.uint8array, b4a.from(topic))
  return b4a.concat([name, c.encode(c.uint8array, payload ?? new Uint8Array())])
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeContent(bytes: Uint8Array): Content | null {
  const state: State = { start: 0, end: bytes.byteLength, buffer: bytes }
  try {
    const topic = c.uint8array.decode(state)
    const payload = c.uint8array.decode(state)
    if (state.start !== state.end) return null
    if (topic.byteLength === 0 || topic.byteLength > MAX_TOPIC_BYTES) return null
    if (payload.byteLength > MAX_PAYLOAD_BYTES) return null
    const said = payload.byteLength === 0 ? null : b4a.from(payload)
    return { topic: utf8.decode(topic), payload: said }
  } catch {
    return null // as above
  }
}
