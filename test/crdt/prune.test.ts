/** Pruning: a history in which devices prune reads the same as its twin in which they do not, at all seals that may come. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  pruneEntry,
  type PlacedEntry,
  type Position,
  type WriteOperation
} from '../../crdt/index.ts'
import { coreOf, TypedHistory } from '../support/typed-history.ts'

const DEVICES = 3

const device = fc.nat(DEVICES - 1)
const anyOperation = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('a', 'a', 'a', 'b'),
      fc.constantFrom(1, 2, 3, 4, { x: 1 }, {}, undefined)
    )
    .map(([name, value]): WriteOperation => ({ do: 'patch', fields: { [name]: value } })),
  fc.constantFrom(0, {}, { a: 5 }).map((value): WriteOperation => ({ do: 'put', value })),
  fc.constant<WriteOperation>({ do: 'del' })
)
const stepOf = (operation: fc.Arbitrary<WriteOperation>) =>
  fc.oneof(
    fc.record({ kind: fc.constant('write' as const), device, ms: fc.nat(5), operation }),
    // Often everything: only what all know is final.
    fc.record({ kind: fc.constant('learn' as const), device, of: fc.option(device) }),
    fc.constant({ kind: 'meet' as const }),
    fc.record({ kind: fc.constant('prune' as const), device }),
    fc.record({ kind: fc.constant('prune' as const), device })
  )
const anyStep = stepOf(anyOperation)
const anyTypedStep = stepOf(
  fc.oneof(anyOperation, fc.constant<WriteOperation>({ do: 'add', amount: 1 }))
)
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  minLength: DEVICES,
  maxLength: DEVICES
})

function shown(history: TypedHistory, lengths: readonly number[]) {
  const { exists, value, conflicts } = history.foldAt(lengths)
  const listed = conflicts.map(({ path, value: other, isDeleted, of }) => [
    path,
    other,
    isDeleted,
    of.position.core[0],
    of.position.seq
  ])
  return { exists, value, conflicts: listed.map((each) => JSON.stringify(each)).sort() }
}

let pruned = 0
let deleted = 0

type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never

function take(history: TypedHistory, step: Step): void {
  if (step.kind === 'write') history.write(step.device, [step.operation], step.ms)
  else if (step.kind === 'meet') for (let i = 0; i < DEVICES; i++) history.learnAll(i)
  else if (step.kind === 'prune') prune(history, step.device)
  else if (step.of === null) history.learnAll(step.device)
  else history.learn(step.device, step.of)
}

function prune(history: TypedHistory, by: number): void {
  const before = history.saidAt(history.lengths).length
  if (history.prune(by)) pruned++
  if (history.saidAt(history.lengths).length < before) deleted++
}

/** What seals may leave, some of it: all views of devices, and one at random. */
function views(history: TypedHistory, cut: readonly number[]): (readonly number[])[] {
  const least = history.finalLengths
  const sealed = history.lengths.map((length, i) => {
    const from = least[i] ?? 0
    return from + Math.round((length - from) * (cut[i] ?? 1))
  })
  return [sealed, least, history.lengths, ...[0, 1, 2].map((i) => history.knownBy(i))]
}

const LONG = { minLength: 8, maxLength: 24, size: 'max' } as const
const anySteps = fc.array(anyStep, LONG)

/** A history whose devices prune at its end, and its twin. */
function pruneAtEnd(steps: readonly Step[]): readonly [TypedHistory, TypedHistory] {
  const pruning = new TypedHistory(DEVICES)
  const twin = new TypedHistory(DEVICES)
  for (const step of steps.filter(({ kind }) => kind !== 'prune')) {
    take(pruning, step)
    take(twin, step)
  }
  for (const i of [0, 1, 2, 0]) prune(pruning, i)
  return [pruning, twin]
}

test('prune: nobody sees a difference, at any seals that may come; no key vanishes', () => {
  fc.assert(
    fc.property(anySteps, cuts, (steps, cut) => {
      const [pruning, twin] = pruneAtEnd(steps)
      for (const at of views(twin, cut)) assert.equal(shown(pruning, at), shown(twin, at))
    }),
    { numRuns: 700 }
  )
})

test('prune: where types meet, the same shows; only deletions of what is gone are not listed', () => {
  fc.assert(
    fc.property(fc.array(anyTypedStep, LONG), cuts, (steps, cut) => {
      const [pruning, twin] = pruneAtEnd(steps)
      for (const at of views(twin, cut)) {
        const [{ exists, value }, expected] = [shown(pruning, at), shown(twin, at)]
        assert.equal({ exists, value }, { exists: expected.exists, value: expected.value })
      }
    }),
    { numRuns: 700 }
  )
})

test('prune: what is written later reads the same; only deletions of what is gone are not listed', () => {
  fc.assert(
    fc.property(anySteps, cuts, (steps, cut) => {
      const pruning = new TypedHistory(DEVICES)
      const twin = new TypedHistory(DEVICES)
      for (const step of steps) {
        take(pruning, step)
        if (step.kind !== 'prune') take(twin, step)
        if (pruning.lengths.join() !== twin.lengths.join()) return
      }
      for (const at of views(twin, cut)) {
        const { exists, value } = shown(twin, at)
        const { exists: does, value: read } = shown(pruning, at)
        assert.equal({ exists: does, value: read }, { exists, value })
      }
    }),
    { numRuns: 700 }
  )
})

test('prune: registers and whole entries were indeed left out', () => {
  assert.ok(pruned > 100, `${pruned}`)
  assert.ok(deleted > 10, `${deleted}`)
})

test('prune: a register stays while it keeps down what its cover had not seen', () => {
  const says = (by: number, seen: readonly Position[], value: number): PlacedEntry => {
    const head = {
      position: { core: coreOf(by), seq: 0 },
      stamp: { ms: 0, counter: 0, tag: coreOf(by).subarray(0, 8) },
      seen
    }
    const register = { path: [], ...head, value: Uint8Array.of(value) }
    return { core: coreOf(by), entry: { type: 'value', head, registers: [register] } }
  }
  const first = says(2, [], 1)
  const own = says(0, [{ core: coreOf(2), seq: 0 }], 2)
  const grounds = { admitted: () => 1, isFinal: () => true }
  const forgetful = says(1, [{ core: coreOf(0), seq: 0 }], 3)
  assert.is(pruneEntry(own, [first, forgetful], grounds), own.entry)
  const honest = says(
    1,
    [coreOf(0), coreOf(2)].map((core) => ({ core, seq: 0 })),
    3
  )
  assert.is(pruneEntry(own, [first, honest], grounds), null)
})

test('prune: a register stays while its cover names what not everybody holds', () => {
  const history = new TypedHistory(3)
  history.write(2, [{ do: 'put', value: 1 }], 0)
  history.learn(0, 2)
  history.write(0, [{ do: 'put', value: 2 }], 1)
  history.write(2, [{ do: 'put', value: 3 }], 2)
  history.learnAll(1)
  history.write(1, [{ do: 'put', value: 4 }], 3)
  const [own, cover, third] = history.saidAt([1, 1, 1])
  assert.ok(own && cover && third)
  // The cover had seen the second write of the third device, the register the first: only that one is here.
  const others = [cover, third]
  const held = { admitted: () => 1, isFinal: ({ seq }: Position) => seq < 1 }
  assert.is(pruneEntry(own, others, held), own.entry)
  assert.is(pruneEntry(own, others, { ...held, isFinal: () => true }), null)
})

test('prune: what counts is never left out', () => {
  const history = new TypedHistory(2)
  history.write(0, [{ do: 'add', amount: 1 }], 0)
  history.learnAll(1)
  history.write(1, [{ do: 'del' }], 0)
  history.learnAll(0)
  assert.not(history.prune(0))
  assert.not(history.prune(1))
})

test.run()
