/** Pruning: a history in which devices prune reads the same as its twin in which they do not, at all seals that may come. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WriteOperation } from '../../crdt/index.ts'
import { TypedHistory } from '../support/typed-history.ts'

const DEVICES = 3

const device = fc.nat(DEVICES - 1)
const anyOperation = fc.oneof(
  fc
    .tuple(fc.constantFrom('a', 'b'), fc.constantFrom(1, 2, { x: 1 }, { y: 2 }, {}, undefined))
    .map(([name, value]): WriteOperation => ({ do: 'patch', fields: { [name]: value } })),
  fc.constantFrom(0, {}, { a: 5 }).map((value): WriteOperation => ({ do: 'put', value })),
  fc.constant<WriteOperation>({ do: 'del' })
)
const anyStep = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    device,
    ms: fc.nat(5),
    operation: anyOperation
  }),
  // Often everything: only what all know is final.
  fc.record({ kind: fc.constant('learn' as const), device, of: fc.option(device) }),
  fc.constant({ kind: 'meet' as const }),
  fc.record({ kind: fc.constant('prune' as const), device }),
  fc.record({ kind: fc.constant('prune' as const), device })
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

test('prune: nobody sees a difference, at any seals that may come; no key vanishes', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), cuts, (steps, cut) => {
      const pruning = new TypedHistory(DEVICES)
      const twin = new TypedHistory(DEVICES)
      for (const step of steps) {
        if (step.kind === 'prune') {
          if (!pruning.prune(step.device)) continue
          pruned++
          if (pruning.saidAt(pruning.lengths).length < twin.saidAt(twin.lengths).length) deleted++
          continue
        }
        for (const history of [pruning, twin]) {
          if (step.kind === 'write') history.write(step.device, [step.operation], step.ms)
          else if (step.kind === 'meet') for (let i = 0; i < DEVICES; i++) history.learnAll(i)
          else if (step.of === null) history.learnAll(step.device)
          else history.learn(step.device, step.of)
        }
      }
      assert.equal(pruning.lengths, twin.lengths)
      const least = twin.finalLengths
      const lengths = twin.lengths.map((length, i) => {
        const from = least[i] ?? 0
        return from + Math.round((length - from) * (cut[i] ?? 1))
      })
      for (const at of [lengths, twin.lengths, least, ...[0, 1, 2].map((i) => twin.knownBy(i))]) {
        assert.equal(shown(pruning, at), shown(twin, at))
      }
    }),
    { numRuns: 3000 }
  )
})

test('prune: registers and whole entries were indeed left out', () => {
  assert.ok(pruned > 100, `${pruned}`)
  assert.ok(deleted > 10, `${deleted}`)
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
