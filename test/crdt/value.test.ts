import b4a from 'b4a'
import { encode } from 'cborg'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeValue,
  encodeValue,
  MAX_VALUE_BYTES,
  MAX_VALUE_DEPTH,
  type Value
} from '../../crdt/index.ts'
import { isManyhandsError } from '../../errors.ts'

function hex(value: unknown): string {
  return b4a.toString(encodeValue(value), 'hex')
}

function fromHex(text: string): Value {
  return decodeValue(b4a.from(text, 'hex'))
}

const anyText = fc.string({ unit: 'binary', maxLength: 12 })
const anyField = anyText.filter((name) => name !== '__proto__')
const { value: anyValue } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    anyText,
    fc.uint8Array({ maxLength: 10 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(anyField, tie('value'), { maxKeys: 4, noNullPrototype: true })
  )
}))

/** JSON knows neither -0 nor bytes; nor does the order of fields count. */
function plain(value: Value): unknown {
  if (value === 0) return 0
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return new Map(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

function reversed(value: Value): Value {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(reversed)
  const fields = Object.entries(value).map(([name, item]) => [name, reversed(item)] as const)
  return Object.fromEntries(fields.reverse())
}

test('value: what was encoded is decoded', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      assert.equal(plain(decodeValue(encodeValue(value))), plain(value))
    }),
    { numRuns: 3000 }
  )
})

test('value: a byte order mark stays, wherever a string begins with one', () => {
  const values = ['\uFEFFab', '\uFEFF', '\uFEFF'.repeat(3), `\uFEFF${'x'.repeat(300)}`]
  for (const value of values) assert.is(decodeValue(encodeValue(value)), value)
  const nested = { '\uFEFFname': ['\uFEFF', Uint8Array.of(0xef, 0xbb, 0xbf), 'ï»¿'] }
  assert.equal(decodeValue(encodeValue(nested)), nested)
})

/** What stands in a list is always taken apart token by token. */
function decodedInList(bytes: Uint8Array): Value {
  const list = decodeValue(b4a.concat([b4a.from([0x81]), bytes]))
  if (!Array.isArray(list) || list.length !== 1) throw new Error('not one value')
  return list[0]
}

function outcome(decode: (bytes: Uint8Array) => Value, bytes: Uint8Array): unknown {
  try {
    return decode(bytes)
  } catch {
    return 'refused'
  }
}

test('value: a string or bytes alone are read, and refused, as inside other data', () => {
  const heads = fc.oneof(
    ...[0x40, 0x60].flatMap((major) => [
      fc.integer({ min: 0, max: 31 }).map((short) => [major + short]),
      fc.integer({ min: 0, max: 255 }).map((length) => [major + 24, length]),
      fc.integer({ min: 0, max: 600 }).map((length) => [major + 25, length >> 8, length & 255])
    ])
  )
  const contents = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(600).map((length) => b4a.alloc(length, 'é')),
    fc.string({ unit: 'binary', maxLength: 30 }).map((text) => b4a.from(`\uFEFF${text}`))
  )
  const check = (bytes: Uint8Array) =>
    assert.equal(outcome(decodeValue, bytes), outcome(decodedInList, bytes))
  fc.assert(
    fc.property(heads, contents, (head, content) => {
      check(b4a.concat([b4a.from(head), content]))
      const length =
        head.length === 1
          ? (head[0] ?? 0) & 31
          : (head[1] ?? 0) * (head.length === 3 ? 256 : 1) + (head[2] ?? 0)
      check(b4a.concat([b4a.from(head), b4a.alloc(length, content.byteLength > 0 ? content : 7)]))
    }),
    { numRuns: 1000 }
  )
  for (const length of [0, 23, 24, 255, 256, 65_535, 65_536]) {
    assert.is(decodeValue(encodeValue('x'.repeat(length))), 'x'.repeat(length))
    assert.is(decodeValue(encodeValue(new Uint8Array(length))) instanceof Uint8Array, true)
  }
})

test('value: equal values have equal bytes, whatever the order of their fields', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeValue(value)
      assert.equal(encodeValue(reversed(value)), bytes)
      assert.equal(encodeValue(decodeValue(bytes)), bytes)
    }),
    { numRuns: 3000 }
  )
})

test('value: fields are sorted by their encoded names, the shorter first', () => {
  assert.is(hex({ b: 1, aa: 2, a: 3 }), 'a36161036162016261' + '6102')
  assert.is(hex({ 10: 1, 9: 2 }), 'a2613902623130' + '01')
})

test('value: numbers take their shortest form', () => {
  const forms: readonly (readonly [number, string])[] = [
    [0, '00'],
    [-0, '00'],
    [23, '17'],
    [24, '1818'],
    [255, '18ff'],
    [256, '190100'],
    [65_536, '1a00010000'],
    [2 ** 32, '1b0000000100000000'],
    [2 ** 53 - 1, '1b001fffffffffffff'],
    [2 ** 53, 'fa5a000000'],
    [-1, '20'],
    [-(2 ** 53) + 1, '3b001ffffffffffffe'],
    [-(2 ** 53), 'fada000000'],
    [1e300, 'fb7e37e43c8800759c'],
    [0.5, 'f93800'],
    [1.5, 'f93e00'],
    [0.1, 'fb3fb999999999999a'],
    [5e-324, 'fb0000000000000001'],
    [Number.MAX_VALUE, 'fb7fefffffffffffff']
  ]
  for (const [number, bytes] of forms) {
    assert.is(hex(number), bytes, `${number}`)
    assert.is(fromHex(bytes), number === 0 ? 0 : number)
  }
})

test('value: around every change of a head, text and numbers are written as another encoder does', () => {
  for (let i = 0; i <= 300; i++) {
    for (const value of [i, 'x'.repeat(i), 'é'.repeat(i), `${'x'.repeat(i)}é`]) {
      assert.is(hex(value), b4a.toString(encode(value), 'hex'))
      assert.equal(decodeValue(encodeValue(value)), value)
    }
  }
  for (const tooLong of ['1800', '1817', '7800', '781761']) assert.throws(() => fromHex(tooLong))
})

test('value: bytes come back as plain bytes of their own, a Buffer too', () => {
  const bytes = b4a.from(encodeValue([b4a.from([1, 2, 3]), '\uFEFF']))
  const decoded = decodeValue(bytes)
  assert.ok(Array.isArray(decoded) && decoded[0] instanceof Uint8Array)
  const [inner] = decoded
  assert.is(inner.constructor, Uint8Array)
  inner[0] = 9
  assert.equal(decodeValue(bytes), [Uint8Array.of(1, 2, 3), '\uFEFF'])
  const alone = b4a.from(encodeValue(Uint8Array.of(1, 2, 3)))
  const whole = decodeValue(alone)
  assert.ok(whole instanceof Uint8Array && whole.constructor === Uint8Array)
  whole[0] = 9
  assert.equal(decodeValue(alone), Uint8Array.of(1, 2, 3))
})

class Contact {
  readonly name = 'Ann'
}

const cyclic: { list: unknown[] } = { list: [] }
cyclic.list.push(cyclic)

function nested(levels: number): Value {
  let value: Value = 1
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value }
  return value
}

const refused: readonly (readonly [what: string, value: unknown, message: RegExp])[] = [
  ['undefined', undefined, /^The value is undefined/],
  ['NaN', { a: [1, NaN] }, /The field "a\.1" is NaN/],
  ['an infinity', { a: { b: -Infinity } }, /The field "a\.b" is -Infinity/],
  ['a BigInt', { big: 1n }, /The field "big" is a bigint/],
  ['a function', { f: () => 1 }, /The field "f" is a function/],
  ['a symbol', [Symbol('s')], /The field "0" is a symbol/],
  ['an undefined field', { a: { b: undefined } }, /The field "a\.b" is undefined/],
  // oxlint-disable-next-line no-sparse-arrays
  ['a hole', { list: [1, , 3] }, /The field "list\.1" is undefined/],
  ['a date', { when: new Date(0) }, /The field "when" is a Date instance/],
  ['a map', new Map([[1, 2]]), /^The value is a Map instance/],
  ['a set', [new Set()], /The field "0" is a Set instance/],
  ['a class instance', { ann: new Contact() }, /The field "ann" is a Contact instance/],
  ['other views of memory', { f: new Float64Array(1) }, /The field "f" is a Float64Array/],
  ['a lone surrogate', { a: 'x\uD800' }, /The field "a" is a string with a lone surrogate/],
  ['a lone surrogate in a name', { 'x\uDC00': 1 }, /a field name with a lone surrogate/],
  ['a field named __proto__', { a: JSON.parse('{"__proto__":1}') }, /"a\.__proto__"/],
  ['a field named by a symbol', { [Symbol('s')]: 1 }, /a field named by a symbol/],
  ['a cycle', cyclic, /The field "list\.0\..*" is data nested deeper than 100/]
]

for (const [what, value, message] of refused) {
  test(`value: ${what} is refused by name and place`, () => {
    assert.throws(
      () => encodeValue(value),
      (error: unknown) => isManyhandsError(error, 'VALUE_INVALID') && message.test(error.message)
    )
  })
}

test('value: the deepest data is stored, one level more is refused', () => {
  const deepest = nested(MAX_VALUE_DEPTH)
  assert.equal(decodeValue(encodeValue(deepest)), deepest)
  assert.throws(() => encodeValue(nested(MAX_VALUE_DEPTH + 1)), /nested deeper/)
})

test('value: the largest bytes are stored, one byte more is refused', () => {
  const fits = new Uint8Array(MAX_VALUE_BYTES - 5)
  assert.is(encodeValue(fits).byteLength, MAX_VALUE_BYTES)
  assert.throws(
    () => encodeValue(new Uint8Array(MAX_VALUE_BYTES - 4)),
    (error: unknown) => isManyhandsError(error, 'VALUE_TOO_LARGE')
  )
})

test('value: an object without a prototype is plain data', () => {
  const object: { a?: number } = Object.create(null)
  object.a = 1
  assert.is(hex(object), hex({ a: 1 }))
})

test('value: a remote field named __proto__ is refused and changes no prototype', () => {
  // { "__proto__": { "polluted": true } }, at the top and deeper.
  const proto = '695f5f70726f746f5f5f'
  const polluting = `a1${proto}a168706f6c6c75746564f5`
  for (const text of [polluting, `81${polluting}`, `a16161${polluting}`]) {
    assert.throws(() => fromHex(text), /__proto__/)
  }
  assert.is(Reflect.get({}, 'polluted'), undefined)
})

test('value: remote data nested too deep is refused at one depth on every device', () => {
  const arrays = (levels: number) => new Uint8Array(levels + 1).fill(0x81, 0, levels)
  assert.ok(decodeValue(arrays(MAX_VALUE_DEPTH)))
  for (const levels of [MAX_VALUE_DEPTH + 1, 1000, 1_000_000]) {
    assert.throws(() => decodeValue(arrays(levels)))
  }
})

test('value: every truncation is refused, any other byte is decoded or throws an error', () => {
  const whole = encodeValue({ a: [1, 2.5, 'text', null], b: { c: Uint8Array.of(1, 2) }, d: 1e300 })
  for (let length = 0; length < whole.byteLength; length++) {
    assert.throws(() => decodeValue(whole.subarray(0, length)))
  }
  for (let i = 0; i < whole.byteLength; i++) {
    for (let byte = 0; byte < 256; byte++) {
      const changed = new Uint8Array(whole)
      changed[i] = byte
      const value = decodedOrNothing(changed)
      // What can be read can be written.
      if (value !== NOTHING) encodeValue(value)
    }
  }
})

const NOTHING = Symbol('nothing')

function decodedOrNothing(bytes: Uint8Array): Value | typeof NOTHING {
  try {
    return decodeValue(bytes)
  } catch (error) {
    assert.instance(error, Error)
    return NOTHING
  }
}

const notValues: readonly (readonly [what: string, hex: string])[] = [
  ['nothing', ''],
  ['two values', '0102'],
  ['undefined', 'f7'],
  ['NaN', 'f97e00'],
  ['an infinity', 'f97c00'],
  ['a negative infinity', 'fbfff0000000000000'],
  ['an integer beyond 2^53', '1b0020000000000000'],
  ['a number that is not in its shortest form', '1801'],
  ['an array of unknown length', '9f01ff'],
  ['a string of unknown length', '7f6161ff'],
  ['a tag', 'c100'],
  ['a field that is no string', 'a10102'],
  ['a field twice', 'a2616101616102'],
  ['an array longer than its bytes', '9b001fffffffffffff01'],
  ['bytes longer than there are', '5affffffff01']
]

for (const [what, text] of notValues) {
  test(`value: remote bytes are refused: ${what}`, () => {
    assert.throws(() => fromHex(text))
  })
}

test('value: what another encoder makes of plain data is read alike', () => {
  const value = { name: 'Ann', numbers: [1, -1, 0.5], bytes: Uint8Array.of(255) }
  assert.equal(decodeValue(encode(value)), value)
})

test.run()
