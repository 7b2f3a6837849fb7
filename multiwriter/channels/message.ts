/**
 * What devices say on channels, as bytes (docs/FORMAT.md, "Channels"). On a connection, the first byte says which:
 *
 *     0 open    id uint, name (uint length, UTF-8): "I have a channel of this name; call it by this number"
 *     1 close   id uint: "it is closed, what is under way to it is lost"
 *     2 part    to uint, 64 KiB: of a message to the channel that the receiver calls so; more follows
 *     3 last    to uint, at most 64 KiB: the end of that message
 *     4 more    id uint, count uint: "send so many more pieces to this channel of mine"
 *
 * Numbers are those of whoever opened the channel, and never used twice on a connection: what was on its way to a channel that
 * was closed meanwhile, and opened again, meets nobody.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'

/** In UTF-8, as a name in the database. */
export const MAX_NAME_BYTES = 255

/** Few enough bytes that logs and presence are not kept waiting, enough that a large message costs few pieces. */
export const PIECE_BYTES = 64 * 1024

/** What a receiver holds at most until a message is whole. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/** Pieces that may be under way to a channel, until its owner asks for more: 16 MiB at most. */
export const WINDOW = 256

export type ChannelFrame =
  | { readonly type: 'open'; readonly id: number; readonly name: string }
  | { readonly type: 'close'; readonly id: number }
  | {
      readonly type: 'piece'
      readonly to: number
      readonly isLast: boolean
      readonly bytes: Uint8Array
    }
  | { readonly type: 'more'; readonly id: number; readonly count: number }

export type BadFrame = 'malformed' | 'unsupported'

const FRAME = { open: 0, close: 1, part: 2, last: 3, more: 4 } as const

/** A name of 255 bytes with everything before it. */
const MAX_CONTROL_BYTES = 512

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeFrame(frame: ChannelFrame): Uint8Array {
  switch (frame.type) {
    case 'open':
      return join(FRAME.open, frame.id, c.encode(c.uint8array, b4a.from(frame.name)))
    case 'close':
      return join(FRAME.close, frame.id)
    case 'piece':
      return join(frame.isLast ? FRAME.last : FRAME.part, frame.to, frame.bytes)
    case 'more':
      return join(FRAME.more, frame.id, c.encode(c.uint, frame.count))
    default:
      return frame satisfies never
  }
}

/** The bytes of a piece are a view of `bytes`. */
export function parseFrame(bytes: Uint8Array): ChannelFrame | BadFrame {
  const [kind] = bytes
  if (kind === undefined) return 'malformed'
  if (kind > FRAME.more) return 'unsupported'
  const isPiece = kind === FRAME.part || kind === FRAME.last
  if (!isPiece && bytes.byteLength > MAX_CONTROL_BYTES) return 'malformed'
  const state: State = { start: 1, end: bytes.byteLength, buffer: bytes }
  try {
    const frame = isPiece ? pieceOf(kind === FRAME.last, state) : controlOf(kind, state)
    return frame !== null && state.start === state.end ? frame : 'malformed'
  } catch {
    // The codecs throw plain Errors on short input: all of them mean the same here.
    return 'malformed'
  }
}

function controlOf(kind: number, state: State): ChannelFrame | null {
  const id = c.uint.decode(state)
  if (!Number.isSafeInteger(id)) return null
  if (kind === FRAME.close) return { type: 'close', id }
  if (kind === FRAME.open) {
    const name = c.uint8array.decode(state)
    const isName = name.byteLength > 0 && name.byteLength <= MAX_NAME_BYTES
    return isName ? { type: 'open', id, name: utf8.decode(name) } : null
  }
  const count = c.uint.decode(state)
  return count > 0 && count <= WINDOW ? { type: 'more', id, count } : null
}

/** All pieces but the last are full: so a message never takes more pieces than its bytes allow. */
function pieceOf(isLast: boolean, state: State): ChannelFrame | null {
  const to = c.uint.decode(state)
  const bytes = state.buffer?.subarray(state.start, state.end) ?? b4a.alloc(0)
  state.start = state.end
  const fits = isLast ? bytes.byteLength <= PIECE_BYTES : bytes.byteLength === PIECE_BYTES
  return fits && Number.isSafeInteger(to) ? { type: 'piece', to, isLast, bytes } : null
}

function join(kind: number, number: number, rest: Uint8Array = b4a.alloc(0)): Uint8Array {
  return b4a.concat([b4a.from([kind]), c.encode(c.uint, number), rest])
}
