/**
 * The fold of atomic registers: from what every core says about one place to one value and its conflicts.
 *
 * A register covers another when its write had seen it. What nobody covers is a head; one head is the normal case. Of several
 * heads the greatest stamp wins and the rest are conflicts: shown, and settled by the next write, which has seen them all.
 * Unlike a last-writer-wins register, a stamp decides only between writes that did not know of each other, so no clock can
 * hide a later write.
 *
 * Two doors are shut against forgers (DESIGN section 4). A cover that names a block we have not admitted is *weak*: what it
 * covers cannot win but stays in the conflicts, or anybody could hide what another has yet to write. And covers that run in a
 * circle, which only a forger can make, do not count. The slow twin is test/oracle/fold.ts.
 */
import b4a from 'b4a'
import { compareStamps } from '../clock/index.ts'
import type { Register } from './entry.ts'
import type { Head, Position } from './head.ts'

/** A register with its place in the union: where it stands now, and where it was first written. */
export interface PlacedRegister extends Register {
  readonly position: Position
}

/** How many blocks of a core count for us. */
export type AdmittedLength = (core: Uint8Array) => number

export interface Folded<R extends PlacedRegister> {
  /** May be a tombstone: then the key does not exist. */
  readonly winner: R
  /** The other heads and what is covered only weakly, greatest first. */
  readonly conflicts: readonly R[]
}

/** Total order of registers: stamp, then core, then sequence number. */
export const compareRegisters: (a: PlacedRegister, b: PlacedRegister) => number = compareHeads

/** Total order of writes: stamp, then core, then sequence number. */
export function compareHeads(a: Head, b: Head): number {
  return (
    compareStamps(a.stamp, b.stamp) ||
    b4a.compare(a.position.core, b.position.core) ||
    a.position.seq - b.position.seq
  )
}

/** Who wins when one device deletes what another writes meanwhile; the other is listed as a conflict. */
export type Deletes = 'add-wins' | 'delete-wins'

/**
 * Folds the registers of one place, at least one. A function of their set: order and repetition do not matter; of several
 * registers of one core the last stands. A concurrent deletion loses against an edit unless `deletes` says otherwise.
 */
export function foldRegisters<R extends PlacedRegister>(
  given: readonly R[],
  admitted: AdmittedLength,
  deletes: Deletes = 'add-wins'
): Folded<R> {
  const only = given[0]
  if (only === undefined) throw new TypeError('"registers" expected at least one')
  if (given.length === 1) return { winner: only, conflicts: NONE }
  const { winner, conflicts } = decide(given, admitted, deletes)
  return { winner, conflicts }
}

/** The fold with its grounds. */
export interface Judgement<R extends PlacedRegister> extends Folded<R> {
  /** The last of each core. */
  readonly registers: readonly R[]
  /** Who had seen whom. */
  readonly covers: readonly JudgedCover<R>[]
  /** What nobody covers, weakly or not: one of them wins. */
  readonly candidates: readonly R[]
}

export interface JudgedCover<R extends PlacedRegister> {
  readonly from: R
  readonly to: R
  /** 'ordinary': `to` is overwritten. 'weak': it cannot win, but is shown. 'circle': it does not count. */
  readonly kind: 'ordinary' | 'weak' | 'circle'
}

/** As `foldRegisters`, from the same decision, and saying why. At least one register. */
export function judgeRegisters<R extends PlacedRegister>(
  given: readonly R[],
  admitted: AdmittedLength,
  deletes: Deletes = 'add-wins'
): Judgement<R> {
  const { winner, conflicts, registers, candidates, covers, ordinary, weak } = decide(
    given,
    admitted,
    deletes
  )
  const judged = covers.flatMap((cover): JudgedCover<R>[] => {
    const from = registers[cover.from]
    const to = registers[cover.to]
    if (from === undefined || to === undefined) return []
    const kind = ordinary.includes(cover) ? 'ordinary' : weak.includes(cover) ? 'weak' : 'circle'
    return [{ from, to, kind }]
  })
  return { winner, conflicts, registers, candidates, covers: judged }
}

function decide<R extends PlacedRegister>(
  given: readonly R[],
  admitted: AdmittedLength,
  deletes: Deletes
) {
  const registers = lastPerCore(given)
  const covers = findCovers(registers, admitted)
  const ordinary = withoutCircles(covers.filter((cover) => !cover.weak))
  // A weak cover is in a circle, too, with an ordinary one that answers it, even if that one is void in its turn.
  const weak = withoutCircles(covers).filter((cover) => cover.weak)
  const covered = new Set(ordinary.map((cover) => cover.to))
  const weakly = new Set(weak.map((cover) => cover.to))
  const shown = registers.filter((_, i) => !covered.has(i)).sort((a, b) => compareRegisters(b, a))
  const candidates = registers.filter((_, i) => !covered.has(i) && !weakly.has(i))
  const winner = candidates.reduce((a, b) => greater(a, b, deletes))
  const conflicts = shown.filter((register) => register !== winner)
  return { winner, conflicts, registers, candidates, covers, ordinary, weak }
}

const NONE: readonly never[] = []

function greater<R extends PlacedRegister>(a: R, b: R, deletes: Deletes): R {
  const isDeleted = a.value === null
  if (isDeleted !== (b.value === null)) return isDeleted === (deletes === 'add-wins') ? b : a
  return compareRegisters(a, b) >= 0 ? a : b
}

/** Register `from` had seen register `to` (indices). */
interface Cover {
  readonly from: number
  readonly to: number
  readonly weak: boolean
}

/** Within one writer a position covers every earlier one without being listed. */
function lastPerCore<R extends PlacedRegister>(registers: readonly R[]): R[] {
  const last = new Map<string, R>()
  for (const register of registers) {
    const id = b4a.toString(register.position.core, 'hex')
    const known = last.get(id)
    if (known === undefined || known.position.seq < register.position.seq) last.set(id, register)
  }
  return [...last.values()]
}

function findCovers(registers: readonly PlacedRegister[], admitted: AdmittedLength): Cover[] {
  const byCore = new Map<string, number>()
  registers.forEach(({ position }, index) => byCore.set(b4a.toString(position.core, 'hex'), index))
  return registers.flatMap(({ seen }, from) =>
    seen.flatMap((item) => {
      const to = byCore.get(b4a.toString(item.core, 'hex'))
      const position = to === undefined ? undefined : registers[to]?.position
      if (to === undefined || to === from || position === undefined) return []
      return item.seq < position.seq ? [] : [{ from, to, weak: item.seq >= admitted(item.core) }]
    })
  )
}

/** Leaves out each cover whose two ends also run the other way round, over any number of covers. */
function withoutCircles(covers: readonly Cover[]): readonly Cover[] {
  const suspects = peel(covers)
  if (suspects.length === 0) return covers
  const circular = new Set(suspects.filter(({ from, to }) => reaches(to, from, suspects)))
  return covers.filter((cover) => !circular.has(cover))
}

/** Takes away, again and again, what nothing leads to or what leads to nothing: circles remain (and paths between them). */
function peel(covers: readonly Cover[]): readonly Cover[] {
  for (;;) {
    const starts = new Set(covers.map((cover) => cover.from))
    const ends = new Set(covers.map((cover) => cover.to))
    const rest = covers.filter(({ from, to }) => ends.has(from) && starts.has(to))
    if (rest.length === covers.length) return rest
    covers = rest
  }
}

function reaches(start: number, goal: number, covers: readonly Cover[]): boolean {
  const reached = new Set([start])
  const queue = [start]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    if (at === goal) return true
    for (const { from, to } of covers) {
      if (from !== at || reached.has(to)) continue
      reached.add(to)
      queue.push(to)
    }
  }
  return false
}
