/** The fold of entries as anybody may send them, against its slow twin; and keys at which types meet. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  defineMergeType,
  encodeValue,
  foldEntries,
  MergeTypes,
  type PlacedEntry,
  type Value,
  type WriteOperation
} from '../../crdt/index.ts'
import { comparePaths } from '../../crdt/paths.ts'
import type { FieldRegister } from '../../crdt/typed-entry.ts'
import { foldFieldsSlowly } from '../oracle/fold-entries.ts'
import { coreOf, TypedHistory } from '../support/typed-history.ts'

const CORES = 4
const anySeen = fc
  .uniqueArray(fc.tuple(fc.nat(CORES), fc.nat(5)), { selector: ([core]) => core, maxLength: CORES })
  .map((items) =>
    items.sort(([a], [b]) => a - b).map(([core, seq]) => ({ core: coreOf(core), seq }))
  )
const anyPath = fc.constantFrom([], ['a'], ['a', 'x'], ['a', 'y'], ['b'])
const anyBytes = fc.constantFrom(1, {}, { x: 1 }, null).map((value) => encodeValue(value))

function anyRegister(core: number): fc.Arbitrary<FieldRegister> {
  return fc
    .record({
      path: anyPath,
      seq: fc.nat(3),
      ms: fc.nat(2),
      seen: anySeen,
      value: fc.option(anyBytes)
    })
    .map(({ path, seq, ms, seen, value }) => ({
      path,
      position: { core: coreOf(core), seq },
      stamp: { ms, counter: 0, tag: coreOf(core).subarray(0, 8) },
      seen,
      value
    }))
}

/** Any that a reader lets in: rising paths, and nothing that is set below what has no room. */
function anyEntry(core: number): fc.Arbitrary<PlacedEntry> {
  return fc
    .uniqueArray(anyRegister(core), {
      minLength: 1,
      maxLength: 4,
      selector: ({ path }) => path.join()
    })
    .map((given) => {
      const registers = given.sort((a, b) => comparePaths(a.path, b.path)).filter(isFree)
      const [head] = registers
      assert.ok(head)
      return { core: coreOf(core), entry: { type: 'value', head, registers } }
    })
}

function isFree(register: FieldRegister, i: number, all: readonly FieldRegister[]): boolean {
  return !all
    .slice(0, i)
    .some(
      ({ path, value }) =>
        value !== null &&
        register.value !== null &&
        value[0] !== 0xa0 &&
        path.every((name, at) => name === register.path[at])
    )
}

const anySaid = fc
  .subarray([0, 1, 2, 3], { minLength: 1 })
  .chain((cores) => fc.tuple(...cores.map(anyEntry)))
const anyLengths = fc.array(fc.nat(5), { minLength: CORES, maxLength: CORES })

for (const deletes of ['add-wins', 'delete-wins'] as const) {
  test(`fold of fields: equals its slow twin on hostile entries, in any order (${deletes})`, () => {
    fc.assert(
      fc.property(anySaid, anyLengths, fc.nat(), (said, lengths, by) => {
        const admitted = (core: Uint8Array) => lengths[(core[0] ?? 0) - 1] ?? 0
        const mixed = [...said.slice(by % said.length), ...said]
        const { value, exists, shown, conflicts, refused } = foldEntries(mixed, admitted, {
          deletes
        })
        const slow = foldFieldsSlowly(said, admitted, deletes)
        assert.equal(refused, [])
        assert.is(exists, slow.leaves.length > 0)
        assert.equal(shown.map(textOf), slow.leaves.map(textOf))
        assert.equal(value, slow.value)
        assert.equal(conflicts.map(({ of }) => textOf(of)).sort(), slow.hidden.map(textOf).sort())
      }),
      { numRuns: 3000 }
    )
  })
}

function textOf({ path, position }: Pick<FieldRegister, 'path' | 'position'>): string {
  return `${path.join('.')} ${position.core[0]} ${position.seq}`
}

const put = (value: Value): WriteOperation => ({ do: 'put', value })
const add = (amount: number): WriteOperation => ({ do: 'add', amount })

test('fold: fields that two devices write at once both stand; of one field the later, and the other is listed', () => {
  const history = new TypedHistory(2)
  history.write(0, [put({ name: 'Ann', phone: '1' })], 0)
  history.learnAll(1)
  history.write(0, [{ do: 'patch', fields: { phone: '2', mail: 'a@b' } }], 1)
  history.write(1, [{ do: 'patch', fields: { phone: '3', age: 41 } }], 2)
  const { value, conflicts } = history.foldAt(history.lengths)
  assert.equal(value, { age: 41, mail: 'a@b', name: 'Ann', phone: '3' })
  assert.equal(
    conflicts.map(({ path, value: other, isDeleted }) => ({ path, other, isDeleted })),
    [{ path: ['phone'], other: '2', isDeleted: false }]
  )
})

test('fold: a put with a base writes the difference and leaves what others changed meanwhile', () => {
  const history = new TypedHistory(1)
  history.write(0, [put({ a: 1, b: { x: 1 }, c: 1 })], 0)
  history.write(0, [{ do: 'put', base: { a: 1, b: { x: 1 } }, value: { a: 2, b: { x: 1 } } }], 0)
  assert.equal(history.readBy(0).value, { a: 2, b: { x: 1 }, c: 1 })
  history.write(0, [{ do: 'put', base: { a: 1, b: { x: 1 } }, value: { a: 1 } }], 0)
  assert.equal(history.readBy(0).value, { a: 2, c: 1 })
  assert.not(history.write(0, [put({ a: 2, c: 1 })], 0))
})

test('fold: an object that was put as one register comes apart when a field of it is patched', () => {
  const atomic = new TypedHistory(1, { isAtomic: true })
  atomic.write(0, [put({ a: 1, b: { x: 1 } })], 0)
  const fields = new TypedHistory(1)
  fields.write(0, [put(1)], 0)
  assert.is(atomic.readBy(0).shown.length, 1)
  assert.equal(atomic.readBy(0).shown[0]?.path, [])
  const patched = explode(atomic)
  assert.equal(patched, { a: 1, b: { x: 1, y: 2 } })
})

function explode(history: TypedHistory): Value {
  const open = new TypedHistory(1)
  Object.assign(history.settings, { isAtomic: false })
  history.write(0, [{ do: 'patch', fields: { b: { y: 2 } } }], 0)
  assert.is(open.happenings.length, 0)
  assert.is(history.readBy(0).shown.length, 3)
  return history.readBy(0).value
}

test('types: the later of two concurrent ones decides, the other is a conflict', () => {
  const history = new TypedHistory(2)
  history.write(0, [add(5)], 1)
  history.write(1, [put('text')], 2)
  const { type, value, conflicts } = history.foldAt(history.lengths)
  assert.equal({ type, value }, { type: 'value', value: 'text' })
  assert.equal(
    conflicts.map((each) => each.value),
    [5]
  )
})

test('types: a write of another type replaces what it had seen, whatever the clocks', () => {
  const types: readonly WriteOperation[] = [
    add(1),
    put({ a: 1 }),
    put('x'),
    { do: 'include', element: 'x' },
    { do: 'enable' },
    { do: 'raise', type: 'max', to: 1 },
    { do: 'raise', type: 'min', to: 1 }
  ]
  for (const first of types) {
    for (const second of types) {
      const history = new TypedHistory(2)
      history.write(0, [first], 9)
      history.learnAll(1)
      history.write(1, [second], 0)
      const alone = new TypedHistory(1)
      alone.write(0, [second], 0)
      const { type, value, conflicts } = history.readBy(1)
      assert.is(type, alone.readBy(0).type)
      assert.equal(conflicts, [])
      if (JSON.stringify(first).slice(0, 15) !== JSON.stringify(second).slice(0, 15)) {
        assert.equal(value, alone.readBy(0).value)
      }
      history.write(1, [{ do: 'del' }], 0)
      assert.is(history.readBy(1).exists, false)
      assert.equal(history.readBy(1).conflicts, [])
    }
  }
})

test('types: an entry that goes on covers what another wrote meanwhile with another type', () => {
  const history = new TypedHistory(2)
  history.write(0, [put({ a: 1 })], 0)
  history.write(1, [add(5)], 9)
  history.learnAll(0)
  history.write(0, [put({ a: 2 })], 0)
  const { value, conflicts } = history.readBy(0)
  assert.equal(value, { a: 2 })
  assert.equal(conflicts, [])
})

test('counter: one that starts anew after another type is not charged with what was deleted before', () => {
  const history = new TypedHistory(2)
  history.write(0, [add(10)], 0)
  history.learnAll(1)
  history.write(1, [{ do: 'del' }], 0)
  history.write(0, [put('text')], 0)
  history.write(0, [add(1)], 5)
  assert.is(history.foldAt(history.lengths).value, 1)
})

test('counter: what is deleted ahead of what is written counts again once its writer has seen that', () => {
  const history = new TypedHistory(2)
  history.write(0, [add(1)], 0)
  const [said] = history.saidAt(history.lengths)
  assert.ok(said?.entry.type === 'counter')
  const position = { core: coreOf(1), seq: 0 }
  const forged: PlacedEntry = {
    core: coreOf(1),
    entry: {
      type: 'counter',
      head: { position, stamp: said.entry.head.stamp, seen: [] },
      rows: [],
      baselines: [{ position: { core: coreOf(0), seq: 1e9 }, value: 0 }]
    }
  }
  const head = { ...said.entry.head, seen: [position] }
  const aware: PlacedEntry = { core: said.core, entry: { ...said.entry, head } }
  assert.is(foldEntries([said, forged], () => 1).value, null)
  assert.is(foldEntries([aware, forged], () => 1).value, 1)
})

const longest = defineMergeType({
  name: 'example/longest',
  codec: {
    encode: (text: string) => encodeValue(text),
    decode: (bytes) => {
      if (bytes[0] === 0xff) throw new Error('no text')
      return Array.from(bytes.subarray(1), (byte) => String.fromCharCode(byte)).join('')
    }
  },
  write: (own, _others, text: string) => (text === own ? null : text),
  fold: (said) => said.map(({ state }) => state).sort((a, b) => b.length - a.length)[0] ?? null
})

test("a user's merge type: written, folded, deleted; unknown where it is not registered", () => {
  const types = new MergeTypes([longest])
  const history = new TypedHistory(2, { types })
  const apply = (operation: string): WriteOperation => ({
    do: 'apply',
    name: longest.name,
    operation
  })
  history.write(0, [apply('four')], 5)
  history.write(1, [apply('six')], 9)
  assert.not(history.write(1, [apply('six')], 9))
  const all = history.foldAt(history.lengths)
  assert.equal([all.type, all.value, all.isUnknownType], ['example/longest', 'four', false])
  const unknown = foldEntries(history.saidAt(history.lengths), () => 9)
  assert.equal([unknown.exists, unknown.value, unknown.isUnknownType], [true, null, true])
  history.learnAll(0)
  history.write(0, [{ do: 'del' }], 0)
  assert.not(history.foldAt(history.lengths).exists)
  history.write(1, [apply('more')], 0)
  assert.is(history.foldAt(history.lengths).value, 'more')
})

test("a user's merge type that throws: what it cannot fold is refused, and the key is what the others say", () => {
  const fussy = defineMergeType({
    ...longest,
    name: 'example/fussy',
    fold: (said) => {
      if (said.some(({ state }) => state === 'bad')) throw new Error('bad')
      if (said.length === 3) throw new Error('too many')
      return said.length
    }
  })
  const history = new TypedHistory(4, { types: new MergeTypes([fussy]) })
  const say = (device: number, operation: string) =>
    history.write(device, [{ do: 'apply', name: fussy.name, operation }], device)
  say(0, 'good')
  say(1, 'bad')
  const folded = history.foldAt(history.lengths)
  assert.equal([folded.exists, folded.value, folded.isUnknownType], [true, 1, false])
  assert.is(folded.refused.length, 1)
  say(1, 'better')
  say(2, 'best')
  const none = history.foldAt(history.lengths)
  assert.equal([none.exists, none.refused.length], [false, 3], 'nobody can tell which does not fit')
  history.write(3, [put('a text')], 0)
  assert.is(history.foldAt(history.lengths).value, 'a text')
})

test('fold: an entry whose value nobody can read is refused, and the rest folded', () => {
  const history = new TypedHistory(2)
  history.write(0, [put({ a: 1 })], 0)
  history.write(1, [put({ b: 1 })], 0)
  const [good, bad] = history.saidAt(history.lengths)
  assert.ok(good !== undefined && bad?.entry.type === 'value')
  const registers = bad.entry.registers.map((each) => ({ ...each, value: Uint8Array.of(0xff) }))
  const broken: PlacedEntry = { core: bad.core, entry: { ...bad.entry, registers } }
  const { value, refused } = foldEntries([good, broken], () => 9)
  assert.equal(value, { a: 1 })
  assert.equal(refused, [broken])
  assert.equal(foldEntries([broken], () => 9).exists, false)
})

test.run()
