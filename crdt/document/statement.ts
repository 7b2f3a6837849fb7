/**
 * What a device says of a document in one go: an update, and what proves whose it is. It stands in entries, goes ahead of them, and
 * is quoted as it is.
 *
 *     statement = head uint (bit 0 import, bit 1 with minutes, the rest: number of sessions), session u32 each, [minutes], update
 *
 * A session is a number that a device drew for one opening of the document; what it counts its edits under derives from that and
 * from its log. So does nothing that was made elsewhere: it is marked as an import. Minutes say when what a snapshot stands for was
 * written.
 */
import c, { type State } from 'compact-encoding'
import { Minutes } from './minutes.ts'

export interface Statement {
  readonly sessions: readonly number[]
  /** It brings something of which nobody proves whose it is. */
  readonly isImport: boolean
  readonly minutes: Minutes
  /** A packed update of the engine. */
  readonly update: Uint8Array
}

const IMPORT = 1
const MINUTES = 2
const FLAGS = 4

export function encodeStatement({ sessions, isImport, minutes, update }: Statement): Uint8Array {
  const flags = (isImport ? IMPORT : 0) | (minutes.isEmpty ? 0 : MINUTES)
  const head = sessions.length * FLAGS + flags
  const size: State = { start: 0, end: sessions.length * 4 + update.byteLength, buffer: null }
  c.uint.preencode(size, head)
  if (!minutes.isEmpty) minutes.preencode(size)
  const state = { start: 0, end: size.end, buffer: new Uint8Array(size.end) }
  c.uint.encode(state, head)
  for (const session of sessions) c.uint32.encode(state, session)
  if (!minutes.isEmpty) minutes.encode(state)
  state.buffer.set(update, state.start)
  return state.buffer
}

/** Null for what no version says, or only a newer one. */
export function decodeStatement(bytes: Uint8Array): Statement | null {
  const state: State = { start: 0, end: bytes.byteLength, buffer: bytes }
  try {
    const head = c.uint.decode(state)
    const count = Math.floor(head / FLAGS)
    if (count * 4 > bytes.byteLength) return null
    const sessions = Array.from({ length: count }, () => c.uint32.decode(state))
    const isDated = (head & MINUTES) !== 0
    const minutes = isDated ? Minutes.decode(state) : new Minutes()
    const update = bytes.subarray(state.start)
    return { sessions, isImport: (head & IMPORT) !== 0, minutes, update }
  } catch {
    return null // the codecs throw plain Errors on short input
  }
}
