/**
 * An update that goes to connected devices ahead of the log that will hold it, signed by its writer (docs/FORMAT.md, "Ahead").
 * Whoever got it can show what it got: when the log does not bring it, it is quoted, as it is, in another.
 *
 *     version u8 (1) | public key 32 B | id (uint length, UTF-8) | number uint | engine u8 | update uint length, bytes |
 *     signature 64 B
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { isSigned, logKeyOf } from '../../core/index.ts'
import type { Signer, Unreadable } from '../presence/message.ts'
import { MAX_ID_BYTES } from './keys.ts'

const VERSION = 1
const CONTEXT = 'manyhands/ahead'
const SIGNATURE_BYTES = 64

/** A keystroke takes some 30 bytes. What is larger is no keystroke, and comes by the log. */
export const MAX_AHEAD_BYTES = 16 * 1024

/** Anybody can name keys without end. */
const MAX_CORES = 1000

/** What its writer says that its log will hold. */
export interface AheadUpdate {
  /** Key of the writer's log. */
  readonly core: Uint8Array
  /** The document. */
  readonly id: string
  /** Of the entry: none of this number or a later one is written before this is. */
  readonly number: number
  readonly engine: number
  /** A packed update of the engine. */
  readonly bytes: Uint8Array
  /** All of it, as it was signed. */
  readonly signed: Uint8Array
  /** Checks the signature. Costs as much as everything else together. */
  isTrue(): boolean
}

type Content = Pick<AheadUpdate, 'id' | 'number' | 'engine' | 'bytes'>

/** Makes and reads the updates that go ahead in one space. */
export class AheadCodec {
  readonly #space: Uint8Array
  /** By public key, in latin1: making one costs as much as opening a box. */
  readonly #cores = new Map<string, Uint8Array>()

  constructor(space: Uint8Array) {
    this.#space = space
  }

  sign(content: Content, signer: Signer): Uint8Array {
    const body = encodeBody(signer.publicKey, content)
    return b4a.concat([body, signer.sign(CONTEXT, this.#space, body)])
  }

  read(signed: Uint8Array): AheadUpdate | Unreadable {
    if (signed.byteLength < SIGNATURE_BYTES) return 'malformed'
    if (signed[0] !== VERSION) return 'unsupported'
    const body = signed.subarray(0, -SIGNATURE_BYTES)
    const decoded = decodeBody(body)
    if (decoded === null) return 'malformed'
    const { publicKey, ...content } = decoded
    if (content.bytes.byteLength > MAX_AHEAD_BYTES) return 'oversized'
    const signature = signed.subarray(-SIGNATURE_BYTES)
    return {
      ...content,
      core: this.#coreOf(publicKey),
      signed,
      isTrue: () => isSigned(signature, publicKey, CONTEXT, this.#space, body)
    }
  }

  #coreOf(publicKey: Uint8Array): Uint8Array {
    const id = b4a.toString(publicKey, 'latin1')
    const known = this.#cores.get(id)
    if (known !== undefined) return known
    if (this.#cores.size === MAX_CORES) this.#cores.clear()
    const core = logKeyOf(publicKey)
    this.#cores.set(id, core)
    return core
  }
}

function encodeBody(publicKey: Uint8Array, { id, number, engine, bytes }: Content): Uint8Array {
  return b4a.concat([
    b4a.from([VERSION]),
    publicKey,
    c.encode(c.uint8array, b4a.from(id)),
    c.encode(c.uint, number),
    b4a.from([engine]),
    c.encode(c.uint8array, bytes)
  ])
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeBody(body: Uint8Array): (Content & { readonly publicKey: Uint8Array }) | null {
  const state: State = { start: 1, end: body.byteLength, buffer: body }
  try {
    const publicKey = c.fixed32.decode(state)
    const name = c.uint8array.decode(state)
    const number = c.uint.decode(state)
    const engine = c.uint8.decode(state)
    const bytes = c.uint8array.decode(state)
    const isId = name.byteLength > 0 && name.byteLength <= MAX_ID_BYTES
    const isWhole = state.start === state.end && Number.isSafeInteger(number)
    return isId && isWhole ? { publicKey, id: utf8.decode(name), number, engine, bytes } : null
  } catch {
    // The codecs throw plain Errors on short or oversized input: all of them mean the same here.
    return null
  }
}
