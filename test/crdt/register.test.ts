import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { foldRegisters, type PlacedRegister, type Position } from '../../crdt/index.ts'
import { foldSlowly } from '../oracle/fold.ts'

const CORES = 5
const LENGTH = 4

function coreOf(n: number): Uint8Array {
  return new Uint8Array(32).fill(n)
}

function tagOf(n: number): Uint8Array {
  return new Uint8Array(8).fill(n)
}

function at(core: number, seq: number): Position {
  return { core: coreOf(core), seq }
}

interface Sketch {
  readonly core: number
  readonly seq?: number
  readonly ms?: number
  readonly seen?: readonly (readonly [core: number, seq: number])[]
  readonly deleted?: boolean
}

function register({ core, seq = 0, ms = 0, seen = [], deleted = false }: Sketch): PlacedRegister {
  return {
    position: at(core, seq),
    stamp: { ms, counter: 0, tag: tagOf(core) },
    seen: seen.map(([of, upTo]) => at(of, upTo)),
    value: deleted ? null : Uint8Array.of(core, seq)
  }
}

const everything = () => Infinity
const admittedTo = (lengths: readonly number[]) => (core: Uint8Array) => lengths[core[0] ?? 0] ?? 0

/** A small universe, so that covers, circles, weak covers and equal stamps all happen. */
const anySeen = fc
  .uniqueArray(fc.tuple(fc.nat(CORES), fc.nat(LENGTH + 1)), {
    maxLength: CORES,
    selector: ([core]) => core
  })
  .map((items) => items.sort(([a], [b]) => a - b))

const anyRegister = (core: number) =>
  fc
    .record({
      seq: fc.nat(LENGTH - 1),
      ms: fc.nat(2),
      counter: fc.nat(1),
      tag: fc.nat(1),
      seen: anySeen,
      deleted: fc.boolean()
    })
    .map(({ counter, tag, ...sketch }): PlacedRegister => {
      const made = register({ core, ...sketch })
      return { ...made, stamp: { ms: sketch.ms, counter, tag: tagOf(tag) } }
    })

const hostile = fc
  .subarray([0, 1, 2, 3, 4], { minLength: 1 })
  .chain((cores) => fc.tuple(...cores.map(anyRegister)))

const lengths = fc.array(fc.nat(LENGTH + 1), { minLength: CORES, maxLength: CORES })

test('fold: equals its slow twin on hostile registers', () => {
  fc.assert(
    fc.property(hostile, lengths, (registers, admitted) => {
      const fast = foldRegisters(registers, admittedTo(admitted))
      assert.equal(fast, foldSlowly(registers, admittedTo(admitted)))
    }),
    { numRuns: 20_000 }
  )
})

test('fold: order, repetition and what is older of the same core do not matter', () => {
  fc.assert(
    fc.property(
      hostile.chain((registers) =>
        fc.tuple(
          fc.constant(registers),
          fc.shuffledSubarray([...registers, ...registers], { minLength: registers.length }),
          anySeen
        )
      ),
      lengths,
      ([registers, mixed, seen], admitted) => {
        const older = registers
          .filter(({ position }) => position.seq > 0)
          .map(({ position, ...rest }) => ({
            ...rest,
            position: { ...position, seq: position.seq - 1 },
            seen: seen.map(([core, seq]) => at(core, seq))
          }))
        const given = [...older, ...mixed, ...registers]
        const expected = foldRegisters(registers, admittedTo(admitted))
        assert.equal(foldRegisters(given, admittedTo(admitted)), expected)
      }
    ),
    { numRuns: 5000 }
  )
})

test('fold: winner and conflicts together are some of the registers, each once, greatest first', () => {
  fc.assert(
    fc.property(hostile, lengths, (registers, admitted) => {
      const { winner, conflicts } = foldRegisters(registers, admittedTo(admitted))
      const shown = [winner, ...conflicts]
      assert.is(new Set(shown).size, shown.length)
      assert.ok(shown.every((each) => registers.includes(each)))
      conflicts.slice(1).forEach((each, i) => {
        const before = conflicts[i]
        assert.ok(before !== undefined && before.stamp.ms >= each.stamp.ms)
      })
    })
  )
})

test('fold: a write beats what it had seen, whatever the stamps', () => {
  fc.assert(
    fc.property(hostile, fc.nat(2), fc.boolean(), (others, ms, deleted) => {
      // An honest write: what it saw, it saw in admitted logs, and nobody has seen it yet.
      const seen = others.map(({ position }) => [position.core[0] ?? 0, position.seq] as const)
      const last = register({ core: CORES + 1, ms, seen, deleted })
      const honest = others.map((each) => ({ ...each, seen: [] }))
      const folded = foldRegisters([...honest, last], everything)
      assert.is(folded.winner, last)
      assert.equal(folded.conflicts, [])
      // However the others forge their covers of each other.
      const forged = foldRegisters([...others, last], everything)
      assert.is(forged.winner, last)
      assert.equal(forged.conflicts, [])
    })
  )
})

test('fold: a write carried on keeps its position, and what was seen of it stays seen', () => {
  const old = register({ core: 0, seq: 1, ms: 9 })
  const seer = register({ core: 1, seq: 0, seen: [[0, 3]] })
  assert.is(foldRegisters([old, seer], everything).winner, seer)
  const rewritten = register({ core: 0, seq: 4, ms: 0 })
  assert.equal(foldRegisters([rewritten, seer], everything).conflicts.length, 1)
})

test('fold: of concurrent writes the greatest stamp wins, the others are conflicts', () => {
  const a = register({ core: 0, ms: 5 })
  const b = register({ core: 1, ms: 7 })
  const c = register({ core: 2, ms: 6 })
  assert.equal(foldRegisters([a, b, c], everything), { winner: b, conflicts: [c, a] })
})

test('fold: between equal stamps the greater core key wins', () => {
  const stamp = { ms: 1, counter: 1, tag: tagOf(0) }
  const a = { ...register({ core: 0 }), stamp }
  const b = { ...register({ core: 1 }), stamp }
  assert.equal(foldRegisters([b, a], everything), { winner: b, conflicts: [a] })
})

test('fold: counter and tag decide before the core key', () => {
  const a = { ...register({ core: 0 }), stamp: { ms: 1, counter: 2, tag: tagOf(0) } }
  const b = { ...register({ core: 1 }), stamp: { ms: 1, counter: 1, tag: tagOf(9) } }
  const c = { ...register({ core: 2 }), stamp: { ms: 1, counter: 1, tag: tagOf(8) } }
  assert.equal(foldRegisters([c, b, a], everything), { winner: a, conflicts: [b, c] })
})

test('fold: an edit survives a concurrent deletion, which is its conflict', () => {
  const edit = register({ core: 0, ms: 1 })
  const deletion = register({ core: 1, ms: 2, deleted: true })
  assert.equal(foldRegisters([edit, deletion], everything), { winner: edit, conflicts: [deletion] })
})

test('fold: a deletion that had seen the edit wins, whatever the stamps', () => {
  const edit = register({ core: 0, ms: 2 })
  const deletion = register({ core: 1, ms: 1, deleted: true, seen: [[0, 0]] })
  assert.equal(foldRegisters([edit, deletion], everything), { winner: deletion, conflicts: [] })
})

test('fold: an edit that a deletion covers does not come back through another deletion', () => {
  const edit = register({ core: 0, ms: 9 })
  const seen = register({ core: 1, ms: 1, deleted: true, seen: [[0, 0]] })
  const concurrent = register({ core: 2, ms: 2, deleted: true })
  const folded = foldRegisters([edit, seen, concurrent], everything)
  assert.equal(folded, { winner: concurrent, conflicts: [seen] })
})

test('fold: what names a block that is not admitted hides nothing, but wins', () => {
  const victim = register({ core: 0, seq: 2, ms: 9 })
  const forger = register({ core: 1, ms: 1, seen: [[0, 1000]] })
  const folded = foldRegisters([victim, forger], admittedTo([3, 1]))
  assert.equal(folded, { winner: forger, conflicts: [victim] })
})

test('fold: the last admitted block is named ordinarily, the one behind it weakly', () => {
  const victim = register({ core: 0, seq: 2, ms: 9 })
  const sees = (seq: number) => register({ core: 1, ms: 1, seen: [[0, seq]] })
  const admitted = admittedTo([4, 1])
  assert.equal(foldRegisters([victim, sees(3)], admitted).conflicts.length, 0)
  assert.equal(foldRegisters([victim, sees(4)], admitted).conflicts.length, 1)
  assert.is(foldRegisters([victim, sees(1)], admitted).winner, victim)
})

test('fold: an ordinary cover beats a weak one the other way', () => {
  const honest = register({ core: 0, seq: 2, ms: 1, seen: [[1, 0]] })
  const forger = register({ core: 1, ms: 9, seen: [[0, 1000]] })
  const folded = foldRegisters([honest, forger], admittedTo([3, 1]))
  assert.equal(folded, { winner: honest, conflicts: [] })
})

test('fold: an ordinary cover over several steps beats a weak one the other way', () => {
  const forger = register({ core: 0, ms: 9, seen: [[2, 1000]] })
  const middle = register({ core: 1, ms: 5, seen: [[0, 0]] })
  const honest = register({ core: 2, ms: 1, seen: [[1, 0]] })
  const folded = foldRegisters([forger, middle, honest], admittedTo([1, 1, 1]))
  assert.equal(folded, { winner: honest, conflicts: [] })
})

test('fold: a tombstone cannot take a key away by a weak cover without showing what it hid', () => {
  const edit = register({ core: 0, ms: 9 })
  const forger = register({ core: 1, ms: 1, deleted: true, seen: [[0, 1000]] })
  const folded = foldRegisters([edit, forger], admittedTo([1, 1]))
  assert.equal(folded, { winner: forger, conflicts: [edit] })
})

test('fold: the covers of a circle of two count as concurrent', () => {
  const a = register({ core: 0, ms: 1, seen: [[1, 0]] })
  const b = register({ core: 1, ms: 2, seen: [[0, 0]] })
  assert.equal(foldRegisters([a, b], everything), { winner: b, conflicts: [a] })
})

test('fold: the covers of a circle of three count as concurrent, those out of it do not', () => {
  const a = register({
    core: 0,
    ms: 3,
    seen: [
      [1, 0],
      [3, 0]
    ]
  })
  const b = register({ core: 1, ms: 2, seen: [[2, 0]] })
  const c = register({ core: 2, ms: 1, seen: [[0, 0]] })
  const d = register({ core: 3, ms: 9 })
  assert.equal(foldRegisters([a, b, c, d], everything), { winner: a, conflicts: [b, c] })
})

test('fold: crossed circles count as concurrent, a way between two circles does not', () => {
  const a = register({ core: 0, ms: 1, seen: [[1, 0]] })
  const b = register({
    core: 1,
    ms: 2,
    seen: [
      [0, 0],
      [2, 0]
    ]
  })
  const c = register({ core: 2, ms: 8, seen: [[3, 0]] })
  const d = register({ core: 3, ms: 9, seen: [[2, 0]] })
  assert.equal(foldRegisters([a, b, c, d], everything), { winner: d, conflicts: [b, a] })
  const crossing = { ...d, seen: [at(0, 0), at(2, 0)] }
  const folded = foldRegisters([a, b, c, crossing], everything)
  assert.equal(folded, { winner: crossing, conflicts: [c, b, a] })
})

test('fold: a weak cover stays void where a circle of ordinary ones answers it', () => {
  const x = register({
    core: 0,
    ms: 1,
    seen: [
      [1, 1000],
      [2, 0]
    ]
  })
  const y = register({ core: 1, ms: 9, seen: [[0, 0]] })
  const z = register({ core: 2, ms: 2, seen: [[1, 0]] })
  const folded = foldRegisters([x, y, z], admittedTo([1, 1, 1]))
  assert.is(folded.winner, y)
})

test('fold: no registers is a mistake of the caller', () => {
  assert.throws(() => foldRegisters([], everything), /at least one/)
})

test.run()
