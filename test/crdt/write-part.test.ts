/** A patch of a part of an object gives what a patch of the whole gives, byte for byte, over random histories of two devices. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tagOf } from '../../clock/index.ts'
import {
  packEntry,
  writeEntry,
  type Patch,
  type PlacedEntry,
  type TypedEntry,
  type Value,
  type WriteOperation
} from '../../crdt/index.ts'
import { patchValue } from '../../crdt/write-fields.ts'
import { patchPart } from '../../crdt/write-part.ts'
import { cpuTime } from '../support/cpu-time.ts'

const CORES = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const

const leaf = fc.constantFrom<Value>(null, 1, 'x', [1], {})
const { object } = fc.letrec<{ object: { [name: string]: Value }; field: Value }>((tie) => ({
  object: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('field'), { maxKeys: 3 }),
  field: fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: tie('object') })
}))
const patch = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.oneof(leaf, object), {
  minKeys: 1,
  maxKeys: 2
})
const step = fc.record({
  side: fc.constantFrom<0 | 1>(0, 1),
  /** How much it knows of what the other says: nothing, or the latest. */
  knows: fc.boolean(),
  operation: fc.oneof(
    { weight: 3, arbitrary: patch.map((fields): WriteOperation => ({ do: 'patch', fields })) },
    object.map((value): WriteOperation => ({ do: 'put', value })),
    fc.constant<WriteOperation>({ do: 'del' })
  )
})

function contextOf(side: 0 | 1, seq: number) {
  const stamp = { ms: seq, counter: 0, tag: tagOf(CORES[side]) }
  return { core: CORES[side], seq, stamp, admitted: () => Infinity }
}

test('write: a patch of a part writes the same bytes as one of the whole', () => {
  let compared = 0
  const compare = (
    own: PlacedEntry | null,
    others: PlacedEntry[],
    fields: Patch,
    side: 0 | 1,
    seq: number
  ) => {
    const { core, stamp, admitted } = contextOf(side, seq)
    const base = { position: { core, seq }, stamp, admitted, deletes: 'add-wins' as const }
    const part = patchPart(own, others, fields, base)
    if (part === null) return
    compared++
    const said = own === null ? others : [own, ...others]
    const whole = patchValue({ ...base, said, foreign: [], isReplacing: false }, fields)
    const bytesOf = (entry: TypedEntry) => Buffer.from(packEntry(entry, core, seq)).toString('hex')
    assert.is(part === 'same' ? part : bytesOf(part), whole === null ? 'same' : bytesOf(whole))
  }
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 10 }), (steps) => {
      const entries: (PlacedEntry | null)[] = [null, null]
      steps.forEach(({ side, knows, operation }, seq) => {
        const own = entries[side] ?? null
        const other = knows ? (entries[1 - side] ?? null) : null
        const others = other === null ? [] : [other]
        if (operation.do === 'patch') compare(own, others, operation.fields, side, seq)
        const entry = writeEntry(own, others, operation, contextOf(side, seq))
        if (entry !== null) entries[side] = { core: CORES[side], entry }
      })
    }),
    { numRuns: 3000 }
  )
  assert.ok(compared > 1000, `${compared} patches`)
})

test('write: two thousand patches of one key are not each a reading of all its fields', () => {
  const other = writeEntry(null, [], { do: 'put', value: { x: 1 } }, contextOf(1, 0))
  const others = other === null ? [] : [{ core: CORES[1], entry: other }]
  const time = (count: number) => {
    let own: PlacedEntry | null = null
    const began = cpuTime()
    for (let i = 0; i < count; i++) {
      const fields = { [`field-${i}`]: i }
      const entry = writeEntry(own, others, { do: 'patch', fields }, contextOf(0, 1))
      if (entry !== null) own = { core: CORES[0], entry }
    }
    assert.is(own?.entry.type === 'value' ? own.entry.registers.length : 0, count)
    return cpuTime() - began
  }
  time(200)
  const [some, many] = [time(250), time(2000)]
  // Reading everything each time took more than ten times as much.
  assert.ok(many < 5000, `250: ${some} ms, 2000: ${many} ms`)
})

test.run()
