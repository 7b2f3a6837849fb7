/**
 * How the entries of each sub-database are folded: edits against deletions, and the merge types of users. The fold is a function
 * of the entries and of these options, so all devices have to use the same; within one device everything that reads a key
 * (streams, undo, `why`, other processes) goes by what was declared first for its sub-database.
 */
import b4a from 'b4a'
import { MergeTypes, type AnyMergeType, type Deletes, type FoldOptions } from '../crdt/index.ts'
import { invalid } from '../errors.ts'
import { outerPrefixes } from './keyspace.ts'

/** What a sub-database declares; what it leaves out it has from the one around it. */
export interface MergePolicy {
  readonly deletes?: Deletes
  readonly types?: readonly AnyMergeType[]
}

const DEFAULTS: FoldOptions = {}

interface Declared {
  readonly given: MergePolicy
  readonly fold: FoldOptions
}

export class MergePolicies {
  /** By the prefix of the sub-database (latin1). */
  readonly #declared = new Map<string, Declared>()
  /** With what comes from those around; until more is declared. */
  readonly #known = new Map<string, FoldOptions>()

  /** The options for a key of the bee. */
  of(key: Uint8Array): FoldOptions {
    // Most databases declare nothing, and every read comes by here.
    return this.#declared.size === 0 ? DEFAULTS : this.#find(key)
  }

  /**
   * @param prefix what every key of the sub-database begins with
   * @throws INVALID_ARGUMENT for options that make no sense, or that differ from what was declared before
   */
  declare(prefix: Uint8Array, given: MergePolicy): void {
    const { deletes, types } = given
    if (deletes === undefined && types === undefined) return
    const fold = {
      ...(deletes === undefined ? {} : { deletes: checkDeletes(deletes) }),
      ...(types === undefined ? {} : { types: typesOf(types) })
    }
    const id = b4a.toString(prefix, 'latin1')
    const declared = this.#declared.get(id)
    if (declared !== undefined) return checkSame(declared.given, given)
    this.#declared.set(id, { given, fold })
    this.#known.clear()
  }

  #find(key: Uint8Array): FoldOptions {
    const ids = outerPrefixes(key).map((prefix) => b4a.toString(prefix, 'latin1'))
    const id = ids.at(-1) ?? ''
    let options = this.#known.get(id)
    if (options === undefined) {
      options = Object.assign(
        {},
        ...ids.map((each) => this.#declared.get(each)?.fold)
      ) as FoldOptions
      this.#known.set(id, options)
    }
    return options
  }
}

function checkDeletes(deletes: unknown): Deletes {
  if (deletes === 'add-wins' || deletes === 'delete-wins') return deletes
  return invalid('deletes', "'add-wins' or 'delete-wins'", deletes)
}

function typesOf(types: unknown): MergeTypes {
  if (!Array.isArray(types)) return invalid('types', 'a list of merge types', types)
  return new MergeTypes(types as readonly AnyMergeType[])
}

/** Two ways to read the same entries would be two truths on one device. */
function checkSame(known: MergePolicy, given: MergePolicy): void {
  const { deletes = known.deletes, types = known.types ?? [] } = given
  if (deletes !== known.deletes) {
    invalid('deletes', `what was declared before, '${known.deletes ?? 'add-wins'}'`, deletes)
  }
  const before = known.types ?? []
  const isSame = types.length === before.length && types.every((type) => before.includes(type))
  if (!isSame) invalid('types', 'those that were declared before for this sub-database', types)
}
