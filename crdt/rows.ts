/**
 * Counters, maxima and minima: every core contributes a row of its own, and a deletion remembers how far it had seen each row,
 * its baselines. All current entries are folded, never only those that nobody covers: a cover would swallow somebody's increments.
 *
 * Baselines go by position, not by value: a row at or below one counts nothing, so a seal that takes increments back cannot make
 * the rest negative. A baseline ahead of what is admitted (after a seal, or forged) is void once the row's writer has gone on
 * knowing of it: nobody can delete for good what is not written yet.
 *
 * A counter adds whole numbers exactly, whatever their order and size, and rounds the sum once. A core's own total is a double:
 * beyond 2^53 it no longer holds every whole number. Fractions are sorted before they are summed, so the order of the entries
 * does not matter; the result is that of doubles (0.1 + 0.2). What is too large for a double is the largest one.
 */
import b4a from 'b4a'
import { ManyhandsError } from '../errors.ts'
import type { PlacedEntry } from './fields.ts'
import type { Head, Position } from './head.ts'
import type { AdmittedLength } from './register.ts'
import { hasSeen } from './seen.ts'
import { comparePositions, type Baseline, type Row, type RowsEntry } from './typed-entry.ts'

export interface FoldedRows<S extends PlacedEntry> {
  /** Null when nothing counts: then the key does not exist. */
  readonly value: number | null
  /** Those with rows that count. */
  readonly shown: readonly S[]
}

/** A row that counts, and what of it. */
interface Counting<S> {
  readonly said: S
  readonly row: Row
  readonly baseline: Baseline | null
}

type Said<S> = S & { readonly entry: RowsEntry }

export function foldRows<S extends PlacedEntry>(
  type: RowsEntry['type'],
  given: readonly S[],
  admitted: AdmittedLength
): FoldedRows<S> {
  const said = given.filter((each): each is Said<S> => each.entry.type === type)
  const rows = type === 'counter' ? lastRows(said) : allRows(said)
  const claims = claimsByCore(said)
  const counting = rows.flatMap(({ said: of, row }): Counting<Said<S>>[] => {
    const known = claims.get(coreToId(row.position)) ?? []
    const baseline = greatestOf(known, of.entry.head, admitted)
    if (baseline !== null && baseline.position.seq >= row.position.seq) return []
    return [{ said: of, row, baseline }]
  })
  if (counting.length === 0) return { value: null, shown: [] }
  const value = type === 'counter' ? sum(counting) : extreme(type, counting)
  return { value, shown: [...new Set(counting.map((each) => each.said))] }
}

interface RowOf<S> {
  readonly said: S
  readonly row: Row
}

function allRows<S extends Said<PlacedEntry>>(said: readonly S[]): RowOf<S>[] {
  return said.flatMap((each) => each.entry.rows.map((row) => ({ said: each, row })))
}

/** A core's row may stand in the entry of its successor, too: it counts once, the latest. */
function lastRows<S extends Said<PlacedEntry>>(said: readonly S[]): RowOf<S>[] {
  const last = new Map<string, RowOf<S>>()
  for (const each of allRows(said)) {
    const id = coreToId(each.row.position)
    const known = last.get(id)
    if (known === undefined || isLater(each, known)) last.set(id, each)
  }
  return [...last.values()]
}

/** At one position the copy in the original core, then the greater value. */
function isLater<S extends PlacedEntry>(a: RowOf<S>, b: RowOf<S>): boolean {
  const order = a.row.position.seq - b.row.position.seq
  if (order !== 0) return order > 0
  const [isOriginal, isOther] = [a, b].map(({ said, row }) =>
    b4a.equals(said.core, row.position.core)
  )
  return isOriginal === isOther ? a.row.value > b.row.value : isOriginal === true
}

/** A baseline, and the write that says it. */
interface Claim {
  readonly baseline: Baseline
  readonly of: Head
}

function claimsByCore(said: readonly Said<PlacedEntry>[]): Map<string, Claim[]> {
  const claims = new Map<string, Claim[]>()
  for (const { entry } of said) {
    for (const baseline of entry.baselines) {
      const id = coreToId(baseline.position)
      const known = claims.get(id)
      if (known === undefined) claims.set(id, [{ baseline, of: entry.head }])
      else known.push({ baseline, of: entry.head })
    }
  }
  return claims
}

/** The greatest baseline of a core whose row stands in an entry with the head `writer`. */
function greatestOf(
  claims: readonly Claim[],
  writer: Head,
  admitted: AdmittedLength
): Baseline | null {
  let greatest: Baseline | null = null
  for (const { baseline, of } of claims) {
    if (isVoid(baseline.position, of, writer, admitted)) continue
    if (greatest === null || isBeyond(baseline, greatest)) greatest = baseline
  }
  return greatest
}

function coreToId({ core }: Position): string {
  return b4a.toString(core, 'hex')
}

function isVoid(baseline: Position, of: Head, writer: Head, admitted: AdmittedLength): boolean {
  return baseline.seq >= admitted(baseline.core) && of !== writer && hasSeen(writer, of.position)
}

function isBeyond(a: Baseline, b: Baseline): boolean {
  return (a.position.seq - b.position.seq || a.value - b.value) > 0
}

/** Of a total that began after the baseline nothing is deleted. */
function deletedOf({ row, baseline }: Counting<PlacedEntry>): number {
  return baseline === null || baseline.position.seq < row.since ? 0 : baseline.value
}

function sum(counting: readonly Counting<PlacedEntry>[]): number {
  const parts = counting.map((each) => [each.row.value, deletedOf(each)] as const)
  if (parts.every(([value, deleted]) => Number.isInteger(value) && Number.isInteger(deleted))) {
    return bounded(sumIntegers(parts))
  }
  const fractions = parts.map(([value, deleted]) => bounded(value - deleted)).sort((a, b) => a - b)
  return bounded(fractions.reduce((total, part) => bounded(total + part), 0))
}

function sumIntegers(parts: readonly (readonly [value: number, deleted: number])[]): number {
  let total = 0
  for (const [value, deleted] of parts) {
    total += value - deleted
    if (!isExact(value) || !isExact(deleted) || !isExact(total)) return sumLarge(parts)
  }
  return total
}

/** Half of what a double holds exactly, so that the difference of two such numbers is exact, too. */
function isExact(value: number): boolean {
  return Math.abs(value) <= Number.MAX_SAFE_INTEGER / 2
}

function sumLarge(parts: readonly (readonly [value: number, deleted: number])[]): number {
  return Number(parts.reduce((all, [value, deleted]) => all + BigInt(value) - BigInt(deleted), 0n))
}

/** A number that can be stored: no infinity, no -0. */
function bounded(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)) + 0
}

function extreme(type: 'max' | 'min', counting: readonly Counting<PlacedEntry>[]): number {
  return counting
    .map(({ row }) => row.value)
    .reduce((a, b) => (type === 'max' ? Math.max(a, b) : Math.min(a, b)))
}

/** What a writer's entry of this kind holds, without its head. */
export type RowsPayload = Pick<RowsEntry, 'rows' | 'baselines'>

/** Adds to the own total. */
export function addToRows(own: RowsPayload | null, amount: number, at: Position): RowsPayload {
  checkFinite('amount', amount)
  const rows = own?.rows ?? []
  const last = rows.find(({ position }) => b4a.equals(position.core, at.core))
  const value = (last?.value ?? 0) + amount + 0
  if (!Number.isFinite(value)) {
    throw new ManyhandsError('INVALID_ARGUMENT', 'The counter would leave the range of numbers')
  }
  const row = { position: at, value, since: last?.since ?? at.seq }
  return {
    rows: sorted([...rows.filter((each) => each !== last), row]),
    baselines: own?.baselines ?? []
  }
}

/**
 * Raises a maximum, or lowers a minimum. Lesser values of later positions stay beside the greatest: a deletion that had seen only
 * the greatest leaves them.
 */
export function raiseInRows(
  type: 'max' | 'min',
  own: RowsPayload | null,
  to: number,
  at: Position
): RowsPayload {
  checkFinite('to', to)
  const value = to + 0
  const isBeaten = (row: Row) => (type === 'max' ? row.value <= value : row.value >= value)
  const kept = (own?.rows ?? []).filter((row) => {
    const isSameBatch = comparePositions(row.position, at) === 0
    return !(isBeaten(row) && b4a.equals(row.position.core, at.core)) && !isSameBatch
  })
  const best = (own?.rows ?? []).find((row) => comparePositions(row.position, at) === 0)
  const row = best !== undefined && !isBeaten(best) ? best : { position: at, value, since: at.seq }
  const rows = sorted([...kept, row])
  // Of too many the one next to the greatest goes: it matters only to a deletion that had seen exactly the greatest.
  if (rows.length > MAX_RAISED) rows.splice(1, 1)
  return { rows, baselines: own?.baselines ?? [] }
}

/** A writer's rows of one maximum: more come only from a long line of ever lesser values. */
const MAX_RAISED = 256

/** Deletes what all rows count now: the own ones go, those of others get a baseline. */
export function deleteRows(
  own: RowsPayload | null,
  others: readonly RowsPayload[],
  core: Uint8Array
): RowsPayload {
  const baselines = new Map<string, Baseline>()
  const known = [
    ...(own?.baselines ?? []),
    ...[...(own === null ? [] : [own]), ...others].flatMap(({ rows }) => rows)
  ]
  for (const { position, value } of known) {
    if (b4a.equals(position.core, core)) continue
    const id = coreToId(position)
    const greatest = baselines.get(id)
    if (greatest === undefined || isBeyond({ position, value }, greatest)) {
      baselines.set(id, { position, value })
    }
  }
  return { rows: [], baselines: sorted([...baselines.values()]) }
}

/** Takes out of the sum what one core adds to it: the own row goes, another's gets a baseline. Those of others stay. */
export function forgetRow(
  own: RowsPayload | null,
  others: readonly RowsPayload[],
  of: Uint8Array,
  core: Uint8Array
): RowsPayload {
  const isOf = ({ position }: { readonly position: Position }) => b4a.equals(position.core, of)
  const { rows = [], baselines = [] } = own ?? {}
  const kept = {
    rows: rows.filter((row) => !isOf(row)),
    baselines: baselines.filter((each) => !isOf(each))
  }
  const all = deleteRows(own, others, core)
  return { rows: kept.rows, baselines: sorted([...kept.baselines, ...all.baselines.filter(isOf)]) }
}

function sorted<T extends { readonly position: Position }>(items: T[]): T[] {
  return items.sort((a, b) => comparePositions(a.position, b.position))
}

function checkFinite(name: string, value: unknown): void {
  if (typeof value === 'number' && Number.isFinite(value)) return
  throw new ManyhandsError(
    'INVALID_ARGUMENT',
    `"${name}" expected a finite number, got ${String(value)}`
  )
}
