/**
 * Which documents are deleted. A deletion says how far each log had been read that held something of the document; what is written
 * later, or was not known then, brings the document back, with all that is in it. So nobody's edit is lost to a deletion that had
 * not seen it.
 *
 * What a deletion had seen is told by positions: they stay the same when a writer makes its updates into a snapshot.
 */
import { iterate } from '../cursor.ts'
import { unpackEntry, type Value } from '../../crdt/index.ts'
import type { MultiBee } from '../multibee.ts'
import type { Part } from '../part.ts'
import { isWithin } from '../prefixes.ts'
import type { View } from '../view.ts'
import { UpdateKeys } from './keys.ts'

/** By writer, the length of its log. */
type Lengths = ReadonlyMap<string, number>

const HERE = { wait: false }

export class Deletions {
  readonly #db: MultiBee

  /** @param db its keys are the documents' ids */
  constructor(db: MultiBee) {
    this.#db = db
  }

  async add(id: string, view: View): Promise<void> {
    const lengths: Record<string, number> = {}
    for (const part of view.parts) {
      if ((await lastPosition(part, id)) !== null) lengths[part.writer] = part.tree.length
    }
    await this.#db.put(id, lengths)
  }

  async remove(id: string): Promise<void> {
    await this.#db.del(id)
  }

  /** Those that somebody deleted, by id: whether they are gone is told by `isGone`. */
  async all(): Promise<ReadonlyMap<string, Lengths>> {
    const all = new Map<string, Lengths>()
    for await (const { key, value, conflicts } of this.#db.createReadStream()) {
      const said = [value, ...conflicts.map((conflict) => conflict.value)]
      all.set(key, said.map(lengthsIn).reduce(joinLengths))
    }
    return all
  }
}

/** Whether everything in a document was there when it was deleted. */
export async function isGone(id: string, lengths: Lengths, view: View): Promise<boolean> {
  for (const part of view.parts) {
    const position = await lastPosition(part, id)
    if (position !== null && position >= (lengths.get(part.writer) ?? 0)) return false
  }
  return true
}

/** Where a log wrote the last that it has of a document; null for nothing, or nothing that can be read. */
async function lastPosition({ core, tree, prefixes }: Part, id: string): Promise<number | null> {
  const keys = new UpdateKeys(id)
  if (!isWithin(keys.prefix, prefixes)) return null
  const cursor = tree.cursor({ ...keys.range, reverse: true }, HERE)
  try {
    for await (const { value, seq } of iterate(cursor)) {
      const unpacked = unpackEntry(value, core, seq)
      return unpacked.ok ? unpacked.entry.head.position.seq : null
    }
  } catch {
    // A bad tree, or a block that is not here: who reads the document says so.
  }
  return null
}

/** Others may have written anything. */
function lengthsIn(value: Value): Lengths {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return new Map()
  return new Map(
    Object.entries(value).flatMap(([writer, length]) =>
      typeof length === 'number' ? [[writer, length] as const] : []
    )
  )
}

function joinLengths(a: Lengths, b: Lengths): Lengths {
  const joined = new Map(a)
  for (const [writer, length] of b) joined.set(writer, Math.max(length, joined.get(writer) ?? 0))
  return joined
}
