/**
 * Where the logs of a view end for a document. What stands behind a seal counts for nothing, but what counts may stand on it
 * (crdt/document/content.ts). A quote lies past its writer's seal unless the writer's own log had come as far. For a document that
 * its writer may not write to, a log is sealed at 0.
 */
import b4a from 'b4a'
import { TreeRefusal, type Branch } from '../../core/index.ts'
import type { Authored } from '../../crdt/index.ts'
import type { Part } from '../part.ts'
import type { Union } from '../union.ts'
import { isWithin } from '../prefixes.ts'
import type { CoreEntry, View } from '../view.ts'
import { parseUpdateKey, type UpdateKeys } from './keys.ts'
import { readBack, readSince } from './read.ts'

/** A log that is sealed, and the blocks of it that count, at most. */
export interface Seal {
  readonly core: Uint8Array
  readonly seal: number
  /** Which of its histories is read; none of those that were read from a cache. */
  readonly branch?: Branch | null
}

const HERE = { wait: false }

/** Before the first number. */
const NOTHING = -1

interface Found {
  readonly list: readonly Seal[]
  readonly foreign: readonly Seal[]
  readonly entries: readonly CoreEntry[]
  readonly last: ReadonlyMap<string, number>
}

export class Seals {
  readonly list: readonly Seal[]
  /** What stands behind them, as far as it is here. */
  readonly entries: readonly CoreEntry[]
  /** By core, in latin1: the last number that counts. */
  readonly #last: ReadonlyMap<string, number>

  /** Those of logs that count elsewhere. */
  readonly #foreign: readonly Seal[]

  private constructor({ list, foreign, entries, last }: Found) {
    this.list = list
    this.#foreign = foreign
    this.entries = entries
    this.#last = last
  }

  static async read(union: Union, view: View, keys: UpdateKeys): Promise<Seals> {
    const [foreign, others] = split(view.parts, ({ prefixes }) => !isWithin(keys.prefix, prefixes))
    const [sealed, open] = split(others, ({ seal }) => seal !== Infinity)
    const entries = await Promise.all([
      ...foreign.map((part) => entriesBehind(union, part, 0, keys)),
      ...sealed.map((part) => entriesBehind(union, part, part.tree.length, keys))
    ])
    const lastOf = async (part: Part) => [nameOf(part.core), await lastNumber(part, keys)] as const
    const last = [
      ...open.map(({ core }) => [nameOf(core), Infinity] as const),
      ...foreign.map(({ core }) => [nameOf(core), NOTHING] as const),
      ...(await Promise.all(sealed.map(lastOf)))
    ]
    const none = foreign.map(({ core, tree }) => ({ core, seal: 0, branch: tree.branch }))
    const ended = sealed.map(({ core, seal, tree }) => ({ core, seal, branch: tree.branch }))
    const list = [...ended, ...none]
    return new Seals({ list, foreign: none, entries: entries.flat(), last: new Map(last) })
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

  /** Whether these are among them, and all that no length of a log would tell of. */
  have(seals: readonly Seal[]): boolean {
    return areAmong(seals, this.list) && areAmong(this.#foreign, seals)
  }

  areAmong(seals: readonly Seal[]): boolean {
    return areAmong(this.list, seals)
  }
}

function areAmong(seals: readonly Seal[], others: readonly Seal[]): boolean {
  return seals.every(({ core, seal }) =>
    others.some((each) => each.seal === seal && b4a.equals(each.core, core))
  )
}

function split<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))]
}

function nameOf(core: Uint8Array): string {
  return b4a.toString(core, 'latin1')
}

/**
 * What is not here brings nothing: nobody promised that it would. A tree that does not read brings what is below the place that shows
 * it. Where that is a key that is missing, the log has to know, or nobody is told when it has come.
 */
async function entriesBehind(
  union: Union,
  part: Part,
  length: number,
  keys: UpdateKeys
): Promise<readonly CoreEntry[]> {
  try {
    const log = union.log(part.core)
    const tree = await log?.snapshot(Infinity, HERE)
    if (log === null || tree === undefined || tree.length <= length) return []
    // Wherever it stands: what it is read for is to know it again.
    return await readSince({ ...part, tree, prefixes: null }, log.treeAt(length), keys.range, HERE)
  } catch (error) {
    if (!(error instanceof TreeRefusal)) return []
    return part.refuse(error).then(
      () => entriesBehind(union, part, length, keys),
      () => []
    )
  }
}

async function lastNumber(part: Part, { range }: UpdateKeys): Promise<number> {
  const [last] = await readBack(part, range, () => true, HERE, 1).catch(() => [])
  return last === undefined ? NOTHING : (parseUpdateKey(last.key)?.number ?? NOTHING)
}
