/** The shortcuts of keys that many have written, against the general way. */
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeValue, foldEntries, foldRegisters, type PlacedEntry } from '../../crdt/index.ts'
import type { Head, Position } from '../../crdt/head.ts'
import { seenBy } from '../../crdt/seen.ts'
import { soleHead } from '../../crdt/sole-head.ts'
import { coreOf } from '../support/typed-history.ts'

const CORES = 5

const anySeen = fc
  .uniqueArray(fc.tuple(fc.nat(CORES), fc.nat(5)), { selector: ([core]) => core })
  .map((items) =>
    items.sort(([a], [b]) => a - b).map(([core, seq]) => ({ core: coreOf(core), seq }))
  )

function anyHead(core: number): fc.Arbitrary<Head> {
  return fc.record({ seq: fc.nat(3), ms: fc.nat(3), seen: anySeen }).map(({ seq, ms, seen }) => ({
    position: { core: coreOf(core), seq },
    stamp: { ms, counter: 0, tag: coreOf(core).subarray(0, 8) },
    seen
  }))
}

const anyHeads = fc
  .uniqueArray(fc.nat(CORES - 1), { minLength: 1 })
  .chain((cores) => fc.tuple(...cores.sort((a, b) => a - b).map(anyHead)))

/** Where one of them has seen all the others, as writers do. */
const honestHeads = fc.tuple(anyHeads, fc.nat(), fc.boolean()).map(([heads, at, isNewest]) => {
  const last = heads[at % heads.length]
  if (last === undefined) return heads
  const ms = isNewest ? 9 : last.stamp.ms
  const honest = { ...last, stamp: { ...last.stamp, ms }, seen: slowly(heads, last.position.core) }
  return heads.map((head) => (head === last ? honest : head))
})

/** Every item, sorted, the greatest of each core. */
function slowly(heads: readonly Head[], own: Uint8Array): readonly Position[] {
  const greatest = new Map<string, Position>()
  for (const item of heads.flatMap(({ position, seen }) => [position, ...seen])) {
    const id = b4a.toString(item.core, 'hex')
    if (b4a.equals(item.core, own) || (greatest.get(id)?.seq ?? -1) >= item.seq) continue
    greatest.set(id, item)
  }
  return [...greatest.values()].sort((a, b) => b4a.compare(a.core, b.core))
}

function entryOf(head: Head, value: unknown): PlacedEntry {
  const registers = [{ ...head, path: [], value: value === null ? null : encodeValue(value) }]
  return { core: head.position.core, entry: { type: 'value', head, registers } }
}

/** What a reader of the fold sees. */
function shownBy(said: readonly PlacedEntry[], admitted: () => number) {
  const { type, exists, value, winner, shown, conflicts, refused } = foldEntries(said, admitted)
  const writes = [winner, ...shown, ...conflicts.map(({ of }) => of)]
  return { type, exists, value, writes: writes.map((each) => each?.said), refused }
}

test('what a write has seen is the greatest position of each core that it knew, in the order of cores', () => {
  fc.assert(
    fc.property(fc.oneof(anyHeads, honestHeads), fc.nat(CORES), (heads, own) => {
      assert.equal(seenBy(heads, coreOf(own)), slowly(heads, coreOf(own)))
    }),
    { numRuns: 2000 }
  )
})

test('a write that had seen all others is what the fold gives, alone and without conflicts', () => {
  let found = 0
  fc.assert(
    fc.property(fc.oneof(anyHeads, honestHeads), fc.nat(6), fc.nat(), (heads, length, gone) => {
      const said = heads.map((head, i) => entryOf(head, i === gone % heads.length ? null : i))
      const admitted = () => length
      const sole = soleHead(said, admitted)
      if (sole === null) return
      found++
      const registers = said.flatMap(({ entry }) => (entry.type === 'value' ? entry.registers : []))
      const { winner, conflicts } = foldRegisters(registers, admitted)
      assert.equal(winner.position, sole.entry.head.position)
      assert.equal(conflicts, [])
      assert.is(foldEntries(said, admitted).winner?.said, sole)
      assert.equal(shownBy([...said].reverse(), admitted), shownBy(said, admitted))
    }),
    { numRuns: 5000 }
  )
  assert.ok(found > 100, `found ${found}`)
})

test('a write that somebody claims to have seen, or that had seen what is not here yet, is judged the long way', () => {
  const [a, b] = [coreOf(0), coreOf(1)]
  const head = (core: Uint8Array, ms: number, seen: readonly Position[]): Head => ({
    position: { core, seq: 1 },
    stamp: { ms, counter: 0, tag: core.subarray(0, 8) },
    seen
  })
  const old = entryOf(head(a, 1, []), 'old')
  const last = entryOf(head(b, 2, [{ core: a, seq: 1 }]), 'last')
  assert.is(
    soleHead([old, last], () => 9),
    last
  )
  assert.is(
    soleHead([old, last], () => 1),
    null
  )
  const forged = entryOf(head(a, 1, [{ core: b, seq: 1 }]), 'forged')
  assert.is(
    soleHead([forged, last], () => 9),
    null
  )
  assert.is(
    soleHead([last, old], () => 9),
    null,
    'only in the order of cores'
  )
})

test.run()
