/** The laws of the value types, over random histories: what a reader sees follows from who knew what when he wrote it. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Patch, Value, WriteOperation } from '../../crdt/index.ts'
import { knew, TypedHistory, type Happening, type Settings } from '../support/typed-history.ts'

const DEVICES = 3
const RUNS = 400

type Step =
  | {
      readonly kind: 'write'
      readonly device: number
      readonly ms: number
      readonly operations: readonly WriteOperation[]
    }
  | { readonly kind: 'learn'; readonly device: number; readonly of: number; readonly upTo: number }

const device = fc.nat(DEVICES - 1)

function steps(operation: fc.Arbitrary<WriteOperation>): fc.Arbitrary<Step[]> {
  const write = fc.record({
    kind: fc.constant('write' as const),
    device,
    // Any clock: nothing but ties may depend on it.
    ms: fc.nat(9),
    operations: fc.array(operation, { minLength: 1, maxLength: 3 })
  })
  const learn = fc.record({
    kind: fc.constant('learn' as const),
    device,
    of: device,
    upTo: fc.nat(12)
  })
  return fc.array(fc.oneof(write, learn), { maxLength: 20 })
}

function play(taken: readonly Step[], settings: Settings = {}): TypedHistory {
  const history = new TypedHistory(DEVICES, settings)
  for (const step of taken) {
    if (step.kind === 'learn') history.learn(step.device, step.of, step.upTo)
    else history.write(step.device, step.operations, step.ms)
  }
  return history
}

/** Any seals: each log cut anywhere. */
const anyCuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  minLength: DEVICES,
  maxLength: DEVICES
})

function cut(history: TypedHistory, cuts: readonly number[]): number[] {
  return history.lengths.map((length, i) => Math.round(length * (cuts[i] ?? 1)))
}

/** Checks a law at every device's view, and at any seals. */
function holds(
  operation: fc.Arbitrary<WriteOperation>,
  law: (history: TypedHistory, lengths: readonly number[]) => void,
  settings: Settings = {}
): void {
  fc.assert(
    fc.property(steps(operation), anyCuts, (taken, cuts) => {
      const history = play(taken, settings)
      for (let i = 0; i < DEVICES; i++) law(history, history.knownBy(i))
      law(history, history.lengths)
      law(history, cut(history, cuts))
    }),
    { numRuns: RUNS }
  )
}

/** What no deletion among them had seen. */
function undeleted(happenings: readonly Happening[], isDeletion: (h: Happening) => boolean) {
  const deletions = happenings.filter(isDeletion)
  return happenings.filter((each) => !deletions.some((deletion) => knew(deletion, each)))
}

const del: WriteOperation = { do: 'del' }
const isDel = ({ operation }: Happening) => operation.do === 'del'

const anyAmount = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(0.5, 2 ** 53, -(2 ** 60))
)
const counting = fc.oneof(
  { weight: 3, arbitrary: anyAmount.map((amount): WriteOperation => ({ do: 'add', amount })) },
  { weight: 1, arbitrary: fc.constant(del) }
)
const countingSmall = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .integer({ min: -5, max: 5 })
      .map((amount): WriteOperation => ({ do: 'add', amount }))
  },
  { weight: 1, arbitrary: fc.constant(del) }
)

test('counter: the sum of all increments that no deletion had seen, at any seals', () => {
  holds(countingSmall, (history, lengths) => {
    const counted = undeleted(history.happeningsAt(lengths), isDel).filter((each) => !isDel(each))
    const sum = counted.reduce(
      (total, { operation }) => total + (operation.do === 'add' ? operation.amount : 0),
      0
    )
    const { exists, value } = history.foldAt(lengths)
    assert.is(exists, counted.length > 0)
    assert.is(value, exists ? sum : null)
  })
})

test('counter: a number that can be stored, whatever is added', () => {
  holds(counting, (history, lengths) => {
    const { value } = history.foldAt(lengths)
    assert.ok(value === null || Number.isFinite(value))
    assert.not(Object.is(value, -0))
  })
})

const collecting = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .constantFrom('a', 'b')
      .map((element): WriteOperation => ({ do: 'include', element }))
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('a', 'b')
      .map((element): WriteOperation => ({ do: 'exclude', element }))
  },
  { weight: 1, arbitrary: fc.constant(del) }
)

test('set: what somebody added, and nobody removed having seen it, at any seals', () => {
  holds(collecting, (history, lengths) => {
    const happenings = history.happeningsAt(lengths)
    const elements = ['a', 'b'].filter((element) =>
      undeleted(
        happenings,
        ({ operation }) =>
          operation.do === 'del' || (operation.do === 'exclude' && operation.element === element)
      ).some(({ operation }) => operation.do === 'include' && operation.element === element)
    )
    const { exists, value } = history.foldAt(lengths)
    assert.is(exists, elements.length > 0)
    assert.equal(value, exists ? elements : null)
  })
})

test('flag: enabled by somebody, and disabled by nobody who had seen it, at any seals', () => {
  const switching = fc.constantFrom<WriteOperation>({ do: 'enable' }, { do: 'disable' }, del)
  holds(switching, (history, lengths) => {
    const isOff = ({ operation }: Happening) => operation.do !== 'enable'
    const isOn = undeleted(history.happeningsAt(lengths), isOff).some((each) => !isOff(each))
    const { exists, value } = history.foldAt(lengths)
    assert.is(exists, isOn)
    assert.is(value, isOn ? true : null)
  })
})

for (const type of ['max', 'min'] as const) {
  const raising = fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .integer({ min: -4, max: 4 })
        .map((to): WriteOperation => ({ do: 'raise', type, to }))
    },
    { weight: 1, arbitrary: fc.constant(del) }
  )
  test(`${type}: the greatest (least) of all that no deletion had seen, at any seals`, () => {
    holds(raising, (history, lengths) => {
      const values = undeleted(history.happeningsAt(lengths), isDel).flatMap(({ operation }) =>
        operation.do === 'raise' ? [operation.to] : []
      )
      const { exists, value } = history.foldAt(lengths)
      assert.is(exists, values.length > 0)
      assert.is(value, exists ? Math[type](...values) : null)
    })
  })
}

const anyScalar: fc.Arbitrary<Value> = fc.constantFrom<Value>(1, 2, 'x', null, [1, { a: 1 }], [])
const { tree: anyTree } = fc.letrec<{ tree: Value; fields: { [name: string]: Value } }>((tie) => ({
  tree: fc.oneof({ maxDepth: 3 }, anyScalar, tie('fields')),
  fields: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('tree'), {
    maxKeys: 3,
    noNullPrototype: true
  })
}))
const anyFields = fc.dictionary(fc.constantFrom('a', 'b', 'c'), anyTree, {
  maxKeys: 3,
  noNullPrototype: true
})
const anyPatch: fc.Arbitrary<Patch> = fc.dictionary(
  fc.constantFrom('a', 'b', 'c'),
  fc.oneof(anyTree, fc.constant(undefined)),
  { maxKeys: 2, noNullPrototype: true }
)
const putting = anyTree.map((value): WriteOperation => ({ do: 'put', value }))
const patching = anyPatch.map((fields): WriteOperation => ({ do: 'patch', fields }))
const basing = fc
  .record({ value: anyFields, base: anyFields })
  .map(({ value, base }): WriteOperation => ({ do: 'put', value, base }))
const valueWriting = fc.oneof(putting, patching, basing, fc.constant(del))

/**
 * Conflicts that a write of the device has settled. One with a core of which it has only heard more, from others, stays in sight until
 * that is here: a cover that names what is not here is weak (DESIGN section 4).
 */
function settled(history: TypedHistory, by: number) {
  const { conflicts } = history.readBy(by)
  return conflicts.filter(({ of }) => !history.isHeardAhead(by, of.position.core))
}

const EITHER: readonly Settings[] = [{ deletes: 'add-wins' }, { deletes: 'delete-wins' }]

for (const settings of EITHER) {
  test(`value: a put reads back as exactly what was put, whatever others wrote before (${settings.deletes})`, () => {
    fc.assert(
      fc.property(steps(valueWriting), device, anyTree, fc.nat(9), (taken, by, value, ms) => {
        const history = play(taken, settings)
        history.write(by, [{ do: 'put', value }], ms)
        const folded = history.readBy(by)
        assert.equal(folded.value, value)
        assert.ok(folded.exists)
      }),
      { numRuns: RUNS }
    )
  })

  test(`value: a deletion deletes all that it knew, with its conflicts (${settings.deletes})`, () => {
    fc.assert(
      fc.property(steps(valueWriting), device, fc.nat(9), (taken, by, ms) => {
        const history = play(taken, settings)
        history.write(by, [del], ms)
        const { exists, value } = history.readBy(by)
        assert.not(exists)
        assert.is(value, null)
        assert.equal(settled(history, by), [])
        assert.not(history.write(by, [del], ms))
      }),
      { numRuns: RUNS }
    )
  })
}

test('value: what a deletion knew of by hearsay stays in sight until what was heard of is here', () => {
  const history = new TypedHistory(DEVICES)
  history.write(1, [{ do: 'put', value: 1 }], 0)
  history.write(1, [{ do: 'put', value: 2 }], 0)
  history.learn(0, 1)
  history.write(0, [del], 0)
  history.learn(2, 1, 1)
  history.learn(2, 0)
  history.write(2, [del], 0)
  const { exists, conflicts } = history.readBy(2)
  assert.not(exists)
  assert.equal(
    conflicts.map(({ value }) => value),
    [1]
  )
  history.learn(2, 1)
  assert.equal(history.readBy(2).conflicts, [])
})

test('value: a put that settles leaves no conflicts', () => {
  fc.assert(
    fc.property(steps(valueWriting), device, anyTree, fc.nat(9), (taken, by, value, ms) => {
      const history = play(taken)
      history.write(by, [{ do: 'put', value, settles: true }], ms)
      assert.equal(history.readBy(by).value, value)
      assert.equal(settled(history, by), [])
    }),
    { numRuns: RUNS }
  )
})

test('register: a put reads back, leaves no conflicts, and beats what it had seen', () => {
  fc.assert(
    fc.property(steps(valueWriting), device, anyTree, fc.nat(9), (taken, by, value, ms) => {
      const history = play(taken, { isAtomic: true })
      history.write(by, [{ do: 'put', value }], ms)
      assert.equal(history.readBy(by).value, value)
      assert.is(history.readBy(by).shown.length, 1)
      assert.equal(settled(history, by), [])
    }),
    { numRuns: RUNS }
  )
})

test.run()
