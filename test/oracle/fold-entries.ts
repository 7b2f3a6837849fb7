/**
 * The slow twin of the fold of fields: every path by itself through the slow fold of registers, then the values taken one after
 * the other, the latest first, each compared with all that stand already.
 */
import {
  decodeValue,
  type AdmittedLength,
  type Deletes,
  type PlacedEntry,
  type Value
} from '../../crdt/index.ts'
import type { FieldRegister } from '../../crdt/typed-entry.ts'
import { foldSlowly } from './fold.ts'

export interface SlowFields {
  /** Rising by path. */
  readonly leaves: readonly FieldRegister[]
  /** At one path, what has no room before what was beaten. */
  readonly hidden: readonly FieldRegister[]
  /** Deletions that won at their paths. */
  readonly gone: readonly FieldRegister[]
  readonly value: Value
}

export function foldFieldsSlowly(
  said: readonly PlacedEntry[],
  admitted: AdmittedLength,
  deletes: Deletes
): SlowFields {
  const all = said.flatMap(({ entry }) => (entry.type === 'value' ? entry.registers : []))
  const paths = [...new Set(all.map(({ path }) => JSON.stringify(path)))]
  const folds = paths.map((path) =>
    foldSlowly(
      all.filter((register) => JSON.stringify(register.path) === path),
      admitted,
      deletes
    )
  )
  const winners = folds.map(({ winner }) => winner).filter(({ value }) => value !== null)
  const leaves: FieldRegister[] = []
  const homeless: FieldRegister[] = []
  for (const winner of winners.sort((a, b) => (isLater(a, b) ? -1 : 1))) {
    if (leaves.some((leaf) => clash(leaf, winner))) homeless.push(winner)
    else leaves.push(winner)
  }
  const beaten = folds.flatMap(({ winner, conflicts }) =>
    conflicts.filter(({ value }) => value !== null || winner.value !== null)
  )
  leaves.sort((a, b) =>
    JSON.stringify(a.path).replace(/\]$/, '') < JSON.stringify(b.path).replace(/\]$/, '') ? -1 : 1
  )
  const gone = folds.map(({ winner }) => winner).filter(({ value }) => value === null)
  return { leaves, hidden: [...homeless, ...beaten], gone, value: compose(leaves) }
}

function isLater(a: FieldRegister, b: FieldRegister): boolean {
  const rank = ({ stamp, position }: FieldRegister) => [
    stamp.ms,
    stamp.counter,
    stamp.tag[0] ?? 0,
    position.core[0] ?? 0,
    position.seq
  ]
  const [x, y] = [rank(a), rank(b)]
  const at = x.findIndex((value, i) => value !== y[i])
  return at >= 0 && (x[at] ?? 0) > (y[at] ?? 0)
}

/** One stands above the other and is not an empty object. */
function clash(a: FieldRegister, b: FieldRegister): boolean {
  const [upper, lower] = a.path.length < b.path.length ? [a, b] : [b, a]
  const isAbove = upper.path.every((name, i) => name === lower.path[i])
  return isAbove && JSON.stringify(read(upper)) !== '{}'
}

function read({ value }: FieldRegister): Value {
  return value === null ? null : decodeValue(value)
}

/** Field by field from the outside in, by name. */
function compose(leaves: readonly FieldRegister[], depth = 0): Value {
  const here = leaves.find(({ path }) => path.length === depth)
  const below = leaves.filter(({ path }) => path.length > depth)
  if (below.length === 0) return here === undefined ? null : read(here)
  const names = [...new Set(below.map(({ path }) => path[depth] ?? ''))]
  return Object.fromEntries(
    names.map((name) => [
      name,
      compose(
        below.filter(({ path }) => path[depth] === name),
        depth + 1
      )
    ])
  )
}
