/**
 * What a page and its device say to each other over their WebSocket.
 *
 * Text messages are JSON: requests of the page, notices of the device. Binary messages belong to one document that the page has
 * open, on a channel whose number the page chose:
 *
 *     channel  varuint
 *     kind     varuint   0 sync, 1 awareness, 2 acknowledgement
 *     kind 0   page to device: number (varuint, counts from 1 on each connection and channel), then a y-protocols sync message
 *              device to page: a y-protocols sync message
 *     kind 1   an update of y-protocols' awareness
 *     kind 2   device to page: the number up to which everything that the page sent is durable
 *
 * The device speaks first on a channel, with its state vector: then the page sends what the device lacks, and asks in turn.
 */
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'

/** The text inside a document's Y.Doc. */
export const TEXT = 'text'

export const MAX_TITLE = 200

/** A text grows by pasting up to this size: a page holds several times as much of it, and its device, too. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024

/** One message may bring a whole text, and what was deleted from it and can still be undone. Beyond this the page is broken. */
export const MAX_MESSAGE_BYTES = 2 * MAX_TEXT_BYTES

/** Codes of WebSocket closings. 4000 and up are an application's own. */
export const CLOSE = { wrongToken: 4401, badMessage: 4400, tooLarge: 1009 } as const

export type Request =
  /** Gives a document a title: a new one with its first, another one anew. */
  | { readonly type: 'name'; readonly id: string; readonly title: string }
  | { readonly type: 'delete'; readonly id: string }
  | { readonly type: 'open'; readonly id: string; readonly channel: number }
  | { readonly type: 'release'; readonly channel: number }

export type Notice =
  | { readonly type: 'hello'; readonly name: string; readonly hue: number }
  /** What is new or different in the list, and what is not in it any more; the first of a connection tells all there is. */
  | {
      readonly type: 'documents'
      readonly rows: readonly DocumentRow[]
      readonly gone: readonly string[]
    }
  /** The document has this title, durably. */
  | { readonly type: 'named'; readonly id: string; readonly title: string }
  | { readonly type: 'sync'; readonly sync: SyncNotice }
  /** A request could not be met. */
  | { readonly type: 'failed'; readonly request: Request['type']; readonly message: string }

export interface DocumentRow {
  readonly id: string
  readonly title: string
  /** What others called it at the same time: choosing a title settles it. */
  readonly otherTitles: readonly string[]
}

export interface SyncNotice {
  /** How many devices are connected. */
  readonly peers: number
  /** Changes of this device that no other device has confirmed. */
  readonly unsynced: number
}

/** What the page with the cable and its server say: JSON both ways. */
export type CableRequest = { readonly type: 'cut' | 'heal' }
export interface CableNotice {
  readonly isCut: boolean
  readonly pages: readonly { readonly name: string; readonly url: string }[]
}

export const KIND = { sync: 0, awareness: 1, ack: 2 } as const

/** Reads a request of a page. @throws TypeError for anything else */
export function parseRequest(text: string): Request {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new TypeError('expected an object')
  const { type, id, title, channel } = value as Record<string, unknown>
  switch (type) {
    case 'name':
      return { type, id: parseId(id), title: parseTitle(title) }
    case 'delete':
      return { type, id: parseId(id) }
    case 'open':
      return { type, id: parseId(id), channel: parseChannel(channel) }
    case 'release':
      return { type, channel: parseChannel(channel) }
    default:
      throw new TypeError(`unknown request ${String(type)}`)
  }
}

export function parseCableRequest(text: string): CableRequest {
  const { type } = JSON.parse(text) as Record<string, unknown>
  if (type === 'cut' || type === 'heal') return { type }
  throw new TypeError(`unknown request ${String(type)}`)
}

function parseId(id: unknown): string {
  if (typeof id === 'string' && /^[\w-]{1,64}$/.test(id)) return id
  throw new TypeError('"id" expected a document id')
}

function parseTitle(title: unknown): string {
  if (typeof title === 'string' && title.trim() !== '' && title.length <= MAX_TITLE) return title
  throw new TypeError(`"title" expected 1 to ${MAX_TITLE} characters`)
}

function parseChannel(channel: unknown): number {
  if (Number.isSafeInteger(channel) && Number(channel) >= 0) return Number(channel)
  throw new TypeError('"channel" expected a non-negative integer')
}

/** A binary message; `write` adds what its kind needs. */
export function frame(
  channel: number,
  kind: (typeof KIND)[keyof typeof KIND],
  write: (encoder: encoding.Encoder) => void
): Uint8Array<ArrayBuffer> {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, channel)
    encoding.writeVarUint(encoder, kind)
    write(encoder)
  })
}

export interface Frame {
  readonly channel: number
  readonly kind: number
  /** Stands at what its kind says. */
  readonly decoder: decoding.Decoder
}

/** @throws Error for bytes that are no frame */
export function parseFrame(bytes: Uint8Array): Frame {
  const decoder = decoding.createDecoder(bytes)
  return {
    channel: decoding.readVarUint(decoder),
    kind: decoding.readVarUint(decoder),
    decoder
  }
}
