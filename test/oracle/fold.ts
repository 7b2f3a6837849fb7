/**
 * The slow twin of `foldRegisters`: the rules of the fold written down one by one over all pairs of registers, with the
 * transitive closure of their covers spelled out. It shares nothing with it but types.
 */
import type { AdmittedLength, Deletes, Folded, PlacedRegister, Position } from '../../crdt/index.ts'

/** Square tables over the registers: `table[from][to]`. */
type Table = readonly (readonly boolean[])[]

export function foldSlowly<R extends PlacedRegister>(
  given: readonly R[],
  admitted: AdmittedLength,
  deletes: Deletes = 'add-wins'
): Folded<R> {
  const registers = given.filter((register, i) => isCurrent(register, i, given))
  const isNamed = tableOf(registers, (from, to) =>
    from.seen.some((item) => isSameCore(item, to.position) && item.seq >= to.position.seq)
  )
  // One item names a register, as there is one item per core: it is either admitted or not.
  const isAhead = tableOf(registers, (from, to) =>
    from.seen.some(
      (item) => isSameCore(item, to.position) && item.seq > admitted(to.position.core) - 1
    )
  )
  const ordinary = tabulate(registers.length, (a, b) => at(isNamed, a, b) && !at(isAhead, a, b))
  const ordinaryWays = closure(ordinary)
  const allWays = closure(isNamed)
  const indices = registers.map((_, i) => i)
  const isCovered = indices.map((to) =>
    indices.some((from) => at(ordinary, from, to) && !at(ordinaryWays, to, from))
  )
  const isHeldBack = indices.map((to) =>
    indices.some((from) => at(isNamed, from, to) && at(isAhead, from, to) && !at(allWays, to, from))
  )
  const listed = registers.filter((_, i) => isCovered[i] !== true)
  const mayWin = registers.filter((_, i) => isCovered[i] !== true && isHeldBack[i] !== true)
  const preferred = mayWin.filter(({ value }) => (value === null) === (deletes === 'delete-wins'))
  const winner = greatest(preferred.length > 0 ? preferred : mayWin)
  if (winner === null) throw new Error('no winner')
  return { winner, conflicts: fallingOrder(listed.filter((each) => each !== winner)) }
}

/** A core's last register, the first time that it is listed. */
function isCurrent(register: PlacedRegister, i: number, all: readonly PlacedRegister[]): boolean {
  const ofItsCore = all.filter(({ position }) => isSameCore(position, register.position))
  const isLast = ofItsCore.every(({ position }) => position.seq <= register.position.seq)
  return isLast && all.findIndex((each) => isSamePosition(each, register)) === i
}

function isSamePosition({ position: a }: PlacedRegister, { position: b }: PlacedRegister): boolean {
  return isSameCore(a, b) && a.seq === b.seq
}

function isSameCore(a: Position, b: Position): boolean {
  return hex(a.core) === hex(b.core)
}

function tableOf<R>(registers: readonly R[], holds: (from: R, to: R) => boolean): Table {
  return registers.map((from) => registers.map((to) => from !== to && holds(from, to)))
}

function tabulate(size: number, holds: (from: number, to: number) => boolean): Table {
  const indices = Array.from({ length: size }, (_, i) => i)
  return indices.map((from) => indices.map((to) => holds(from, to)))
}

/** Ways of one step or more. */
function closure(table: Table): Table {
  const indices = table.map((_, i) => i)
  let ways = table
  for (const over of indices) {
    const known = ways
    ways = tabulate(
      indices.length,
      (a, b) => at(known, a, b) || (at(known, a, over) && at(known, over, b))
    )
  }
  return ways
}

function at(table: Table, from: number, to: number): boolean {
  return table[from]?.[to] === true
}

function greatest<R extends PlacedRegister>(registers: readonly R[]): R | null {
  return fallingOrder(registers)[0] ?? null
}

/** By one string per register, whose order is the order of registers. */
function fallingOrder<R extends PlacedRegister>(registers: readonly R[]): R[] {
  return registers
    .map((register) => ({ register, rank: rankOf(register) }))
    .sort((a, b) => (a.rank < b.rank ? 1 : a.rank > b.rank ? -1 : 0))
    .map(({ register }) => register)
}

function rankOf({ stamp, position }: PlacedRegister): string {
  const number = (value: number) => String(value).padStart(20, '0')
  return [
    number(stamp.ms),
    number(stamp.counter),
    hex(stamp.tag),
    hex(position.core),
    number(position.seq)
  ].join()
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
