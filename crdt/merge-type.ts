/** Merge types that a user defines: an algorithm is a value, and a registry of them an argument. */
import { ManyhandsError } from '../errors.ts'
import type { Position } from './head.ts'
import { isTypeName, MAX_TYPE_NAME_BYTES } from './typed-entry.ts'
import type { Value } from './value.ts'
import type { Stamp } from '../clock/index.ts'

/** When, and where, an operation is written: unique to its batch. */
export interface Moment {
  readonly position: Position
  readonly stamp: Stamp
}

/** What one device says, and when it last said something. */
export interface Contribution<State> extends Moment {
  readonly state: State
}

/**
 * How the states that devices wrote under one key become one value. Each device holds one state per key, its own.
 * @example
 * const votes = defineMergeType({
 *   name: 'example/votes',
 *   codec: { encode: (vote: string) => encodeText(vote), decode: (bytes) => decodeText(bytes) },
 *   write: (own, others, vote: string) => (vote === own ? null : vote),
 *   fold: (said) => tally(said.map(({ state }) => state))
 * })
 */
export interface MergeType<Operation, Result extends Value, State> {
  /** Stored in every entry, so choose one that nobody else has: `example.org/votes`. At most 64 bytes. */
  readonly name: string
  /**
   * This device's new state, from its present one (null for none) and those of others; null when nothing changes. May be called
   * more than once in a batch, each time with the state that the call before gave.
   */
  write(
    own: State | null,
    others: readonly State[],
    operation: Operation,
    now: Moment
  ): State | null
  /**
   * Pure and total: the same result for the same set, in whatever order, and on every device. At least one contribution, rising
   * by core. Null when the key does not exist.
   */
  fold(said: readonly Contribution<State>[]): Result | null
  /** `decode` meets other people's bytes: it throws on what it does not understand, and the entry is refused. */
  readonly codec: {
    encode(state: State): Uint8Array
    decode(bytes: Uint8Array): State
  }
}

/**
 * Checks a merge type and gives it back: the types of operations, results and states flow from its functions.
 * @throws INVALID_ARGUMENT
 */
export function defineMergeType<Operation, Result extends Value, State>(
  type: MergeType<Operation, Result, State>
): MergeType<Operation, Result, State> {
  checkMergeType(type)
  return type
}

function checkMergeType(type: unknown): void {
  if (!isRecord(type)) throw refusal('type', 'a merge type', type)
  if (typeof type['name'] !== 'string' || !isTypeName(type['name'])) {
    const expected = `a string of 1 to ${MAX_TYPE_NAME_BYTES} bytes that is no type of manyhands itself`
    throw refusal('name', expected, type['name'])
  }
  const codec = isRecord(type['codec']) ? type['codec'] : {}
  const functions = {
    write: type['write'],
    fold: type['fold'],
    encode: codec['encode'],
    decode: codec['decode']
  }
  for (const [name, given] of Object.entries(functions)) {
    if (typeof given !== 'function') throw refusal(name, 'a function', given)
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function refusal(name: string, expected: string, given: unknown): ManyhandsError {
  const shown = typeof given === 'string' ? JSON.stringify(given) : String(given)
  return new ManyhandsError('INVALID_ARGUMENT', `"${name}" expected ${expected}, got ${shown}`)
}

/** A merge type of which nobody knows the types any more. */
export type AnyMergeType = MergeType<unknown, Value, unknown>

/** The merge types that a database understands. */
export class MergeTypes {
  readonly #types = new Map<string, AnyMergeType>()

  /** @throws INVALID_ARGUMENT for what is no merge type, and for two of one name */
  constructor(types: readonly AnyMergeType[] = []) {
    for (const type of types) {
      checkMergeType(type)
      if (this.#types.has(type.name)) {
        throw new ManyhandsError('INVALID_ARGUMENT', `Two merge types are named "${type.name}"`)
      }
      this.#types.set(type.name, type)
    }
  }

  get(name: string): AnyMergeType | null {
    return this.#types.get(name) ?? null
  }
}

export const NO_MERGE_TYPES = new MergeTypes()
