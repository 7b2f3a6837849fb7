/** Entries that no fold looks at: they have seen nothing, and their payload is their type's own business. */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import type { Stamp } from '../../clock/index.ts'
import {
  encodeHead,
  FORMAT_VERSION,
  NOTHING_SEEN,
  preencodeHead,
  type Bytes,
  type Position
} from '../head.ts'

/** The bytes of an entry of such a type. @param head its position is null where the entry's own batch wrote it first */
export function encodeOpaque(
  type: number,
  head: { readonly position: Position | null; readonly stamp: Stamp },
  payload: Uint8Array
): Uint8Array {
  const whole = { ...head, seen: NOTHING_SEEN }
  const size: State = { start: 0, end: 0, buffer: null }
  c.uint8.preencode(size, FORMAT_VERSION)
  c.uint.preencode(size, type)
  preencodeHead(size, whole)
  const state: Bytes = { start: 0, end: size.end, buffer: b4a.allocUnsafe(size.end) }
  c.uint8.encode(state, FORMAT_VERSION)
  c.uint.encode(state, type)
  encodeHead(state, whole)
  return b4a.concat([state.buffer.subarray(0, state.start), payload])
}
