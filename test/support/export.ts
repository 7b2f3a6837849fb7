/**
 * Everything visible of a database in canonical text: one line per key, in key order, with its value, who wrote it, where and
 * when, and its conflicts in order. The same from the view and from its slow twin, so that the two can be compared byte by byte.
 */
import b4a from 'b4a'
import { stampToText, type Stamp } from '../../clock/index.ts'
import { encodeValue, type Value } from '../../crdt/index.ts'
import type { MultiBee, Space } from '../../multiwriter/index.ts'
import type { SlowKey } from '../oracle/view.ts'

/** The sub-databases that are exported beside the database itself. */
export type Subs = readonly string[]

/** Everything visible of a space. */
export function exportSpace(space: Space, subs: Subs = []): Promise<string> {
  return exportDatabase(space.db, subs)
}

/** The database first, then each of its sub-databases. */
export async function exportDatabase(db: MultiBee, subs: Subs = []): Promise<string> {
  const parts = [await linesOf(db)]
  for (const name of subs) parts.push(`sub ${name}`, await linesOf(db.sub(name)))
  return parts.join('\n')
}

/** The same text from what the slow twin read. */
export function exportSlowly(keys: readonly SlowKey[], subs: Subs = []): string {
  const parts = [slowLines(keys, [0x10, 0])]
  for (const name of subs) {
    const bytes = b4a.from(name)
    parts.push(`sub ${name}`, slowLines(keys, [0x10, bytes.byteLength, ...bytes, 0]))
  }
  return parts.join('\n')
}

async function linesOf(db: MultiBee): Promise<string> {
  const lines = new Map<string, string>()
  for await (const entry of db.createReadStream()) lines.set(entry.key, lineOf(entry))
  // Keys won by a deletion are visible here only.
  for await (const entry of db.conflicts()) {
    const line = lineOf(entry)
    const known = lines.get(entry.key) ?? line
    // Two answers, which no slow twin gives; or something came between the two streams.
    lines.set(entry.key, known === line ? line : `${known} or ${line}`)
  }
  return sortedLines(lines)
}

/** By the bytes of the keys: the order of strings is another one beyond 2^16. */
function sortedLines(lines: ReadonlyMap<string, string>): string {
  return [...lines.keys()]
    .sort((a, b) => b4a.compare(b4a.from(a), b4a.from(b)))
    .map((key) => lines.get(key) ?? '')
    .join('\n')
}

interface Visible {
  readonly path?: readonly string[]
  readonly value: Value
  readonly deleted?: boolean
  readonly writer: string
  readonly seq: number
  readonly stamp: Stamp
}

function lineOf(
  entry: Visible & { readonly key: string; readonly conflicts: readonly Visible[] }
): string {
  // A winning tombstone has conflicts and no value; a value that is null and a tombstone differ in nothing else.
  return JSON.stringify([entry.key, ...[entry, ...entry.conflicts].map(textOf)])
}

function slowLines(keys: readonly SlowKey[], prefix: readonly number[]): string {
  const start = b4a.from([...prefix])
  return keys
    .filter(({ key }) => b4a.equals(key.subarray(0, start.byteLength), start))
    .filter(({ exists, conflicts }) => exists || conflicts.length > 0)
    .map(({ key, value, winner, conflicts }) => {
      const own = b4a.toString(key.subarray(start.byteLength))
      return JSON.stringify([own, ...[{ ...winner, path: [], value }, ...conflicts].map(textOf)])
    })
    .join('\n')
}

function textOf({ path = [], value, deleted, writer, seq, stamp }: Visible): string {
  const shown = deleted === true ? 'deleted' : b4a.toString(encodeValue(value), 'hex')
  return `${path.join('/')} ${shown} ${writer} ${seq} ${stampToText(stamp)}`
}
