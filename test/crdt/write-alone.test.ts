/** The short ways of writing give what the long way gives: byte for byte, over random histories of one device. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tagOf } from '../../clock/index.ts'
import {
  packEntry,
  writeEntry,
  type PlacedEntry,
  type TypedEntry,
  type Value,
  type WriteOperation
} from '../../crdt/index.ts'

const CORE = new Uint8Array(32).fill(1)
const OTHER = new Uint8Array(32).fill(2)

const leaf = fc.constantFrom<Value>(null, 1, 2, -0, 'x', [1], [], {})
const object = fc.letrec<{ object: Value; field: Value }>((tie) => ({
  object: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('field'), { maxKeys: 3 }),
  field: fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: tie('object') })
})).object

const patchField = fc.oneof(leaf, fc.constant(undefined), object)
const operation = fc.oneof(
  fc.oneof(object, leaf).map((value): WriteOperation => ({ do: 'put', value })),
  fc.tuple(object, object).map(([value, base]): WriteOperation => ({ do: 'put', value, base })),
  fc
    .dictionary(fc.constantFrom('a', 'b', 'c'), patchField, { maxKeys: 2 })
    .map((fields): WriteOperation => ({ do: 'patch', fields: { ...fields } })),
  fc.constant<WriteOperation>({ do: 'del' })
)

/** Nobody's business, but it keeps the short way out. */
function bystander(): PlacedEntry {
  const head = { position: { core: OTHER, seq: 0 }, stamp: stampAt(0), seen: [] }
  return { core: OTHER, entry: { type: 'value', head, registers: [] } }
}

function stampAt(ms: number) {
  return { ms, counter: 0, tag: tagOf(CORE) }
}

function write(own: TypedEntry | null, others: PlacedEntry[], next: WriteOperation, seq: number) {
  const context = { core: CORE, seq, stamp: stampAt(seq), admitted: () => Infinity }
  return writeEntry(own === null ? null : { core: CORE, entry: own }, others, next, context)
}

const bytesOf = (entry: TypedEntry | null, seq: number) =>
  entry === null ? 'nothing' : Buffer.from(packEntry(entry, CORE, seq)).toString('hex')

test('write: the short ways write the same bytes as the long one', () => {
  let short = 0
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 8 }), (operations) => {
      let own: TypedEntry | null = null
      operations.forEach((next, seq) => {
        const quick: TypedEntry | null = write(own, [], next, seq)
        const long = write(own, [bystander()], next, seq)
        assert.is(bytesOf(quick, seq), bytesOf(long, seq))
        if (quick !== null) short++
        own = quick ?? own
      })
    }),
    { numRuns: 2000 }
  )
  assert.ok(short > 2000)
})

test.run()
