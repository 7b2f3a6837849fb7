/**
 * Where the logs of a view end for a document. What stands behind a seal counts for nothing, but what counts may stand on it
 * (crdt/document/content.ts). A quote lies past its writer's seal unless the writer's own log had come as far.
 */
import b4a from 'b4a'
import type { Branch, TreeRange } from '../../core/index.ts'
import type { Authored } from '../../crdt/index.ts'
import type { Part } from '../part.ts'
import type { Union } from '../union.ts'
import type { CoreEntry, View } from '../view.ts'
import { parseUpdateKey } from './keys.ts'
import { readBack, readSince } from './read.ts'

/** A log that is sealed, and the blocks of it that count, at most. */
export interface Seal {
  readonly core: Uint8Array
  readonly seal: number
  /** Which of its histories is read; none of those that were read from a cache. */
  readonly branch?: Branch | null
}

const HERE = { wait: false }

export class Seals {
  readonly list: readonly Seal[]
  /** What stands behind them, as far as it is here. */
  readonly entries: readonly CoreEntry[]
  /** By core, in latin1: the last number that counts. */
  readonly #last: ReadonlyMap<string, number>

  private constructor(
    list: readonly Seal[],
    entries: readonly CoreEntry[],
    last: ReadonlyMap<string, number>
  ) {
    this.list = list
    this.entries = entries
    this.#last = last
  }

  static async read(union: Union, view: View, range: TreeRange): Promise<Seals> {
    const sealed = view.parts.filter(isSealed)
    const entries = await Promise.all(sealed.map((part) => entriesBehind(union, part, range)))
    const last = await Promise.all(
      view.parts.map(async (part): Promise<readonly [string, number]> => {
        const number = isSealed(part) ? await lastNumber(part, range) : Infinity
        return [nameOf(part.core), number]
      })
    )
    const list = sealed.map(({ core, seal, tree }) => ({ core, seal, branch: tree.branch }))
    return new Seals(list, entries.flat(), new Map(last))
  }

  /** Whether what stands in a log that counts does not count. */
  isPast({ kind, core, number }: Pick<Authored, 'kind' | 'core' | 'number'>): boolean {
    return kind === 'quote' && number > (this.#last.get(nameOf(core)) ?? Infinity)
  }

  /** Of what stands behind a seal: whether it are the words of somebody who counts, whose own log brings them in time. */
  isHearsay(update: Pick<Authored, 'kind' | 'core' | 'number'>): boolean {
    return update.kind === 'quote' && !this.isPast(update)
  }

  /** Whether no log counts further than by earlier seals, or is read in a history that was not read then. */
  isWithin(earlier: readonly Seal[]): boolean {
    const isNew = ({ core, branch }: Seal) =>
      branch && !earlier.some((each) => each.branch === branch && b4a.equals(each.core, core))
    if (this.list.some(isNew)) return false
    return earlier.every(({ core, seal }) => {
      const now = this.list.find((each) => b4a.equals(each.core, core))
      return now !== undefined && now.seal <= seal
    })
  }

  /** Whether these are among them. */
  have(seals: readonly Seal[]): boolean {
    return seals.every(({ core, seal }) =>
      this.list.some((each) => each.seal === seal && b4a.equals(each.core, core))
    )
  }
}

function isSealed({ seal }: Part): boolean {
  return seal !== Infinity
}

function nameOf(core: Uint8Array): string {
  return b4a.toString(core, 'latin1')
}

/** A tree that does not read, or is not here, brings nothing: nobody promised that it would. */
async function entriesBehind(
  union: Union,
  part: Part,
  range: TreeRange
): Promise<readonly CoreEntry[]> {
  try {
    const tree = await union.log(part.core)?.snapshot(Infinity, HERE)
    if (tree === undefined || tree.length <= part.tree.length) return []
    return await readSince({ ...part, tree }, part.tree, range, HERE)
  } catch {
    return []
  }
}

async function lastNumber(part: Part, range: TreeRange): Promise<number> {
  const [last] = await readBack(part, range, () => true, HERE, 1).catch(() => [])
  return last === undefined ? -1 : (parseUpdateKey(last.key)?.number ?? -1)
}
