/**
 * What devices tell each other of the histories of logs, as bytes (docs/FORMAT.md, "Histories of logs"). The first byte says which:
 *
 *     0 heads     heads: "these logs are here so far, and hash to this"
 *     1 ask       core, lengths: "what does your history of this log hash to there?"
 *     2 hashes    heads of one log: the answer, without those lengths that are not here
 *     3 show      head: "show me that the writer of this log signed this; I ask for the archive of it"
 *     4 prefix    head, and what shows it: the answer
 *     5 proof     core, common, bytes: "the writer of this log signed two histories; say so, as I cannot"
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import type { Head, Key } from '../../acl/index.ts'
import { bytesOf, keyOf } from './credentials.ts'

/** Heads in one message, at most: 38 KB. Who has more logs sends several. */
export const MAX_HEADS = 512

/** Lengths in one question: each costs reading as many tree nodes as a length has bits. */
export const MAX_LENGTHS = 32

/** What shows a head is some 40 bytes for each level of a tree. */
const MAX_SHOWN_BYTES = 16 * 1024

export type BranchMessage =
  | { readonly type: 'heads'; readonly heads: readonly Head[] }
  | { readonly type: 'ask'; readonly core: Key; readonly lengths: readonly number[] }
  | { readonly type: 'hashes'; readonly core: Key; readonly heads: readonly Head[] }
  | { readonly type: 'show'; readonly head: Head }
  | { readonly type: 'prefix'; readonly head: Head; readonly prefix: Uint8Array }
  | {
      readonly type: 'proof'
      readonly core: Key
      readonly common: number
      readonly proof: Uint8Array
    }

const TYPES = ['heads', 'ask', 'hashes', 'show', 'prefix', 'proof'] as const

export function encodeBranchMessage(message: BranchMessage): Uint8Array {
  return b4a.concat([b4a.from([TYPES.indexOf(message.type)]), ...fieldsOf(message)])
}

function fieldsOf(message: BranchMessage): readonly Uint8Array[] {
  switch (message.type) {
    case 'heads':
      return [uint(message.heads.length), ...message.heads.map(encodeHead)]
    case 'ask':
      return [bytesOf(message.core), uint(message.lengths.length), ...message.lengths.map(uint)]
    case 'hashes':
      return [
        bytesOf(message.core),
        uint(message.heads.length),
        ...message.heads.flatMap(({ length, treeHash }) => [uint(length), bytesOf(treeHash)])
      ]
    case 'show':
      return [encodeHead(message.head)]
    case 'prefix':
      return [encodeHead(message.head), message.prefix]
    case 'proof':
      return [bytesOf(message.core), uint(message.common), message.proof]
    default:
      return message satisfies never
  }
}

/** Null for what is none. */
export function decodeBranchMessage(bytes: Uint8Array): BranchMessage | null {
  const state: State = { start: 0, end: bytes.byteLength, buffer: bytes }
  try {
    const message = readMessage(state)
    return state.start === state.end ? message : null
  } catch {
    return null // cut short
  }
}

function readMessage(state: State): BranchMessage | null {
  const type = TYPES[c.uint8.decode(state)]
  switch (type) {
    case 'heads':
      return { type, heads: readList(state, MAX_HEADS, readHead) }
    case 'ask':
      return { type, core: readKey(state), lengths: readList(state, MAX_LENGTHS, readUint) }
    case 'hashes': {
      const core = readKey(state)
      const heads = readList(state, MAX_LENGTHS, () => ({
        core,
        length: readUint(state),
        treeHash: readKey(state)
      }))
      return { type, core, heads }
    }
    case 'show':
      return { type, head: readHead(state) }
    case 'prefix':
      return { type, head: readHead(state), prefix: readRest(state) }
    case 'proof':
      return { type, core: readKey(state), common: readUint(state), proof: readRest(state) }
    case undefined:
      return null
    default:
      return type satisfies never
  }
}

function encodeHead({ core, length, treeHash }: Head): Uint8Array {
  return b4a.concat([bytesOf(core), uint(length), bytesOf(treeHash)])
}

function readHead(state: State): Head {
  return { core: readKey(state), length: readUint(state), treeHash: readKey(state) }
}

function uint(value: number): Uint8Array {
  return c.encode(c.uint, value)
}

function readUint(state: State): number {
  const value = c.uint.decode(state)
  if (!Number.isSafeInteger(value)) throw new RangeError('Not a length')
  return value
}

function readKey(state: State): Key {
  return keyOf(c.fixed32.decode(state))
}

function readList<T>(state: State, most: number, read: (state: State) => T): readonly T[] {
  const count = c.uint.decode(state)
  if (count > most) throw new RangeError('Too many')
  return Array.from({ length: count }, () => read(state))
}

/** A copy: the message belongs to the connection. */
function readRest(state: State): Uint8Array {
  const { buffer, start, end } = state
  if (buffer === null || end - start > MAX_SHOWN_BYTES) throw new RangeError('Too long')
  state.start = end
  return b4a.from(buffer.subarray(start, end))
}
