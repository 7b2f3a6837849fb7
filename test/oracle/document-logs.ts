/**
 * What a text shows by the logs of one device, the obvious slow way: all that any of them holds, and of that, what counts. It shares
 * with the documents what the bytes of an entry say, and nothing of what follows from them. Of updates in one piece only, as people
 * type them.
 */
import b4a from 'b4a'
import * as Y from 'yjs'
import { decodeStatement, decodeUpdate, unpackEntry } from '../../crdt/index.ts'
import { decodeOne } from '../../crdt/document/yjs-update.ts'
import { AheadCodec } from '../../multiwriter/documents/ahead.ts'
import { parseUpdateKey } from '../../multiwriter/documents/keys.ts'
import { showSlowly } from './document-seals.ts'
import { entriesOf, heldSlowly, lengthsSlowly, type Sealed } from './view.ts'

/** An entry, and what it says. */
interface Said {
  readonly log: string
  /** Its number there. */
  readonly place: number
  /** Whether it stands below where the log ends. */
  readonly stands: boolean
  readonly isQuote: boolean
  readonly author: string
  /** The number that its author gave it. */
  readonly number: number
  /** In Yjs' first encoding. */
  readonly update: Uint8Array
}

/** @param name of a text in the document `id` */
export async function showLogs(
  cores: readonly Sealed[],
  space: Uint8Array,
  { id, name }: { readonly id: string; readonly name: string }
): Promise<string> {
  const said = await saidIn(cores, new AheadCodec(space), id)
  const ended = new Set(cores.flatMap(({ core, seal }) => (seal < Infinity ? hex(core.key) : [])))
  /** Whether the author's own log, where that ends, has come as far. */
  const isInTime = ({ author, number }: Said) =>
    !ended.has(author) ||
    said.some(({ stands, log, place }) => stands && log === author && place >= number)
  const written = said.map((each) => ({
    update: each.update,
    counts: each.stands && (!each.isQuote || isInTime(each))
  }))
  return showSlowly(written, name)
}

async function saidIn(
  cores: readonly Sealed[],
  codec: AheadCodec,
  id: string
): Promise<readonly Said[]> {
  const said: Said[] = []
  const lengths = await lengthsSlowly(cores)
  for (const { core } of cores) {
    const ends = lengths.get(hex(core.key)) ?? 0
    // What counts may stand on what is behind the end.
    for (const length of new Set([ends, await heldSlowly(core)])) {
      for await (const { key, value, seq } of entriesOf(core, length)) {
        const parsed = parseUpdateKey(key)
        if (parsed?.id !== id || (length !== ends && seq < ends)) continue
        const place = { log: hex(core.key), place: parsed.number, stands: seq < ends }
        said.push({ ...place, ...read(codec, place, payloadOf(value, core.key, seq)) })
      }
    }
  }
  return said
}

function payloadOf(value: Uint8Array, core: Uint8Array, seq: number): Uint8Array {
  const unpacked = unpackEntry(value, core, seq)
  if (unpacked.ok && unpacked.entry.type === 'unknown') return unpacked.entry.payload
  throw new Error(`Block ${seq} holds no update`)
}

function read(
  codec: AheadCodec,
  { log, place }: Pick<Said, 'log' | 'place'>,
  payload: Uint8Array
): Pick<Said, 'isQuote' | 'author' | 'number' | 'update'> {
  const piece = decodeUpdate(payload)
  if (piece === null || piece.isContinued) throw new Error(`No whole update at ${log} ${place}`)
  if (piece.kind !== 'quote')
    return { isQuote: false, author: log, number: place, update: updateIn(piece.bytes) }
  const quoted = codec.read(piece.bytes)
  if (typeof quoted === 'string') throw new Error(`No quote at ${log} ${place}: ${quoted}`)
  const { core, number, bytes } = quoted
  return { isQuote: true, author: hex(core), number, update: updateIn(bytes) }
}

function updateIn(bytes: Uint8Array): Uint8Array {
  const statement = decodeStatement(bytes)
  if (statement === null) throw new Error('No statement')
  const { version, bytes: update } = decodeOne(statement.update).opened
  return version === 1 ? update : Y.convertUpdateFormatV2ToV1(update)
}

function hex(bytes: Uint8Array): string {
  return b4a.toString(bytes, 'hex')
}
