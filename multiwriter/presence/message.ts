/**
 * What a device says of its presence, as bytes (docs/FORMAT.md, "Presence"). On a connection, the first byte says which:
 *
 *     0 ask     nothing more: "tell me who is there"
 *     1 said    nonce 24 B, box: what a device said, sealed for the members, passed on as it is
 *     2 lost    core key 32 B: "I do not hear this device any more"
 *     3 ahead   nonce 24 B, box: a document's update, ahead of its log (documents/ahead.ts), sealed alike; not passed on
 *
 * In the box, with numbers as in compact-encoding:
 *
 *     version u8 (1) | kind u8 | public key 32 B | session 8 B | seq uint | [topic, payload] | signature 64 B
 *
 * The signature covers all before it, and the space. The public key is that of the writer's log, whose key it gives; so whoever
 * is not the writer cannot speak as the writer, and whoever passes a message on cannot change it.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { isSigned, keyedHash, logKeyOf, openBox, sealBox } from '../../core/index.ts'

const VERSION = 1
const CONTEXT = 'manyhands/presence'
const SIGNATURE_BYTES = 64

/** A cursor and a name take 100 bytes; this leaves room for a selection of many ranges, and bounds what a relay keeps. */
export const MAX_PAYLOAD_BYTES = 16 * 1024

/** In UTF-8. Twice what a name in the database takes: a document's id with any prefix is a topic. */
export const MAX_TOPIC_BYTES = 512

/** Milliseconds and a tie-break: a later start of a device is greater. */
export const SESSION_BYTES = 8

/** The header, a topic and a payload at their greatest, the signature, and nonce and tag of the box. */
const MAX_BOX_BYTES =
  2 + 32 + SESSION_BYTES + 9 + 3 + MAX_TOPIC_BYTES + 5 + MAX_PAYLOAD_BYTES + 64 + 40

export type Saying =
  /** Null: nothing is said there any more. */
  | { readonly kind: 'state'; readonly topic: string; readonly payload: Uint8Array | null }
  /** What was said still holds. */
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
  readonly saying: Saying
  /** Checks the signature. Costs as much as everything else together. */
  isTrue(): boolean
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

  constructor(membershipKey: Uint8Array, space: Uint8Array) {
    this.#key = keyedHash(membershipKey, CONTEXT)
    this.#space = space
  }

  seal(place: Place, saying: Saying, signer: Signer): Uint8Array {
    const body = encodeBody(signer.publicKey, place, saying)
    return this.box(b4a.concat([body, signer.sign(CONTEXT, this.#space, body)]))
  }

  /** For whoever holds the membership key. */
  box(plain: Uint8Array): Uint8Array {
    return sealBox(plain, this.#key)
  }

  /** Null when somebody else made it, or a byte was changed. */
  unbox(box: Uint8Array): Uint8Array | null {
    return openBox(box, this.#key)
  }

  open(box: Uint8Array): Message | Unreadable {
    const plain = this.unbox(box)
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
      isTrue: () => isSigned(signature, publicKey, CONTEXT, this.#space, body)
    }
  }
}

/** What is signed, but for the space. */
export function encodeBody(publicKey: Uint8Array, place: Place, saying: Saying): Uint8Array {
  const head = [b4a.from([VERSION, KINDS.indexOf(saying.kind)]), publicKey, place.session]
  const seq = c.encode(c.uint, place.seq)
  if (saying.kind !== 'state') return b4a.concat([...head, seq])
  const topic = c.encode(c.uint8array, b4a.from(saying.topic))
  const payload = c.encode(c.uint8array, saying.payload ?? new Uint8Array())
  return b4a.concat([...head, seq, topic, payload])
}

function decodeBody(bytes: Uint8Array): (Place & { publicKey: Uint8Array; saying: Saying }) | null {
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

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeSaying(kind: Saying['kind'] | undefined, state: State): Saying | null {
  if (kind === undefined) return null
  if (kind !== 'state') return { kind }
  const topic = c.uint8array.decode(state)
  const payload = c.uint8array.decode(state)
  if (topic.byteLength === 0 || topic.byteLength > MAX_TOPIC_BYTES) return null
  if (payload.byteLength > MAX_PAYLOAD_BYTES) return null
  const said = payload.byteLength === 0 ? null : b4a.from(payload)
  return { kind, topic: utf8.decode(topic), payload: said }
}
