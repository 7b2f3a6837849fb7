import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import {
  compareStamps,
  decodeStamp,
  decodeTime,
  encodeStamp,
  encodeStampInto,
  encodeTimeInto,
  MAX_COUNTER,
  MAX_MS,
  STAMP_BYTES,
  stampToText,
  TAG_BYTES,
  textToStamp,
  TIME_BYTES,
  type Stamp
} from '../../clock/index.ts'

/** Edges of the fields and of their bytes: where a wrong width, sign or byte order shows. */
const EDGE_MS = [
  [0, 1, 255, 256, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, 2 ** 47],
  [Date.UTC(2026, 1, 28), Date.UTC(9999, 11, 31, 23, 59, 59, 999), Date.UTC(10000, 0, 1)],
  [MAX_MS - 1, MAX_MS]
].flat()
const EDGE_COUNTERS = [0, 1, 255, 256, 0x7fff, 0x8000, MAX_COUNTER]
const EDGE_TAGS = [
  '0000000000000000',
  '0000000000000001',
  '0100000000000000',
  '7fffffffffffffff',
  '8000000000000000',
  'ffffffffffffffff'
].map((hex) => bytesOf(hex))

const ms = fc.oneof(
  fc.constantFrom(...EDGE_MS),
  fc.maxSafeNat().map((n) => n % (MAX_MS + 1))
)
const counter = fc.oneof(fc.constantFrom(...EDGE_COUNTERS), fc.nat({ max: MAX_COUNTER }))
const tag = fc.oneof(
  fc.constantFrom(...EDGE_TAGS),
  fc.uint8Array({ minLength: TAG_BYTES, maxLength: TAG_BYTES })
)
const stamp: fc.Arbitrary<Stamp> = fc.record({ ms, counter, tag }, { noNullPrototype: true })

/** Two stamps that often share their leading fields, so that every tie-break is reached. */
const stampPair = fc
  .tuple(stamp, stamp, fc.nat({ max: 3 }))
  .map(([a, b, shared]): [Stamp, Stamp] => [
    a,
    {
      ms: shared > 0 ? a.ms : b.ms,
      counter: shared > 1 ? a.counter : b.counter,
      tag: shared > 2 ? Uint8Array.from(a.tag) : b.tag
    }
  ])

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function edgeStamps(): Stamp[] {
  return EDGE_MS.flatMap((ms) =>
    EDGE_COUNTERS.flatMap((counter) => EDGE_TAGS.map((tag) => ({ ms, counter, tag })))
  )
}

function sameOrderEverywhere(a: Stamp, b: Stamp): void {
  const order = compareStamps(a, b)
  assert.is(order, Buffer.compare(encodeStamp(a), encodeStamp(b)), 'byte order')
  assert.is(order, compareTexts(stampToText(a), stampToText(b)), 'text order')
  assert.is(order + compareStamps(b, a), 0, 'antisymmetry')
}

test('stamp: the encoding is ms, counter, tag, big endian (golden bytes)', () => {
  const golden: [Stamp, string][] = [
    [
      { ms: 0x010203040506, counter: 0x0708, tag: bytesOf('090a0b0c0d0e0f10') },
      '0102030405060708090a0b0c0d0e0f10'
    ],
    [
      { ms: Date.UTC(2026, 10, 22, 17, 30, 0, 123), counter: 1, tag: bytesOf('0123456789abcdef') },
      '01a2044ec23b00010123456789abcdef'
    ],
    [{ ms: 0, counter: 0, tag: bytesOf('0000000000000000') }, '0'.repeat(32)],
    [{ ms: MAX_MS, counter: MAX_COUNTER, tag: bytesOf('ffffffffffffffff') }, 'f'.repeat(32)]
  ]
  for (const [stamp, hex] of golden) {
    assert.is(hexOf(encodeStamp(stamp)), hex)
    assert.equal(decodeStamp(bytesOf(hex)), stamp)
  }
})

test('stamp: the text form is a five-digit-year date, the counter and the tag (golden texts)', () => {
  const golden: [Stamp, string][] = [
    [
      { ms: Date.UTC(2026, 10, 22, 17, 30, 0, 123), counter: 1, tag: bytesOf('0123456789abcdef') },
      '02026-11-22T17:30:00.123Z-0001-0123456789abcdef'
    ],
    [
      { ms: 0, counter: 0, tag: bytesOf('0000000000000000') },
      '01970-01-01T00:00:00.000Z-0000-0000000000000000'
    ],
    [
      { ms: Date.UTC(10000, 0, 1), counter: 0xabc, tag: bytesOf('00ff000000000001') },
      '10000-01-01T00:00:00.000Z-0abc-00ff000000000001'
    ],
    [
      { ms: MAX_MS, counter: MAX_COUNTER, tag: bytesOf('ffffffffffffffff') },
      '10889-08-02T05:31:50.655Z-ffff-ffffffffffffffff'
    ]
  ]
  for (const [stamp, text] of golden) {
    assert.is(stampToText(stamp), text)
    assert.equal(textToStamp(text), stamp)
  }
})

test('stamp: decoding what was encoded, as bytes or text, gives the same stamp', () => {
  fc.assert(
    fc.property(stamp, (stamp) => {
      assert.equal(decodeStamp(encodeStamp(stamp)), stamp)
      assert.equal(textToStamp(stampToText(stamp)), stamp)
    }),
    { numRuns: 2000 }
  )
})

test('stamp: any 16 bytes are a stamp, and encode to the same bytes again', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: STAMP_BYTES, maxLength: STAMP_BYTES }), (bytes) => {
      assert.equal(encodeStamp(decodeStamp(bytes)), bytes)
    }),
    { numRuns: 2000 }
  )
})

test('stamp: time order, byte order and text order are one order', () => {
  fc.assert(
    fc.property(stampPair, ([a, b]) => sameOrderEverywhere(a, b)),
    { numRuns: 5000 }
  )
})

test('stamp: the three orders agree between all edges of the fields', () => {
  const sorted = edgeStamps().sort(compareStamps)
  const byBytes = edgeStamps()
    .map(encodeStamp)
    .sort((a, b) => Buffer.compare(a, b))
  const byText = edgeStamps().map(stampToText).sort()
  assert.equal(sorted.map(encodeStamp), byBytes)
  assert.equal(sorted.map(stampToText), byText)
  assert.is(new Set(byText).size, EDGE_MS.length * EDGE_COUNTERS.length * EDGE_TAGS.length)
})

test('stamp: ms outweighs the counter, the counter outweighs the tag', () => {
  const low = bytesOf('0000000000000000')
  const high = bytesOf('ffffffffffffffff')
  const rising: Stamp[] = [
    { ms: 1, counter: 0, tag: low },
    { ms: 1, counter: 0, tag: high },
    { ms: 1, counter: 1, tag: low },
    { ms: 2, counter: 0, tag: low }
  ]
  for (const [i, a] of rising.entries()) {
    for (const [j, b] of rising.entries()) assert.is(compareStamps(a, b), Math.sign(i - j))
  }
})

test('stamp: encoding into a larger array touches its 16 bytes only', () => {
  fc.assert(
    fc.property(stamp, fc.nat({ max: 8 }), fc.nat({ max: 8 }), (stamp, before, after) => {
      const target = new Uint8Array(before + STAMP_BYTES + after).fill(0xa5)
      encodeStampInto(stamp, target, before)
      assert.equal(decodeStamp(target, before), stamp)
      assert.ok(target.subarray(0, before).every((byte) => byte === 0xa5))
      assert.ok(target.subarray(before + STAMP_BYTES).every((byte) => byte === 0xa5))
    })
  )
})

test('stamp: a subarray is read and written at its own start and not past its own end', () => {
  const stamp = { ms: 7, counter: 8, tag: bytesOf('0102030405060708') }
  const whole = new Uint8Array(64)
  encodeStampInto(stamp, whole.subarray(5, 40), 3)
  assert.equal(whole.subarray(8, 24), encodeStamp(stamp))
  assert.equal(decodeStamp(whole.subarray(5, 40), 3), stamp)
  assert.throws(() => decodeStamp(whole.subarray(8, 23)), isRangeError)
  assert.throws(() => encodeStampInto(stamp, whole.subarray(8, 23)), isRangeError)
})

test('stamp: too little room is a RangeError, and nothing is written', () => {
  const stamp = { ms: 7, counter: 8, tag: bytesOf('0102030405060708') }
  for (let length = 0; length < STAMP_BYTES; length++) {
    assert.throws(() => decodeStamp(new Uint8Array(length)), isRangeError)
  }
  const target = new Uint8Array(20)
  for (const offset of [5, 20, -1, 0.5, NaN, Infinity]) {
    assert.throws(() => decodeStamp(target, offset), isRangeError)
    assert.throws(() => encodeStampInto(stamp, target, offset), isRangeError)
  }
  assert.ok(target.every((byte) => byte === 0))
})

test('stamp: a decoded stamp keeps its tag when the input is reused, a Node Buffer included', () => {
  for (const input of [new Uint8Array(STAMP_BYTES), Buffer.alloc(STAMP_BYTES)]) {
    const stamp = decodeStamp(input.fill(1))
    input.fill(2)
    assert.is(hexOf(stamp.tag), '0101010101010101')
    assert.is(Object.getPrototypeOf(stamp.tag), Uint8Array.prototype)
  }
})

test('stamp: a field out of its range is a TypeError naming it, never another time', () => {
  const good = { ms: 1, counter: 1, tag: new Uint8Array(TAG_BYTES) }
  const bad: [Stamp, RegExp][] = [
    ...[-1, 0.5, NaN, Infinity, MAX_MS + 1].map((ms): [Stamp, RegExp] => [
      { ...good, ms },
      /"ms" expected/
    ]),
    ...[-1, 0.5, NaN, MAX_COUNTER + 1].map((counter): [Stamp, RegExp] => [
      { ...good, counter },
      /"counter" expected/
    ]),
    ...[0, 7, 9].map((length): [Stamp, RegExp] => [
      { ...good, tag: new Uint8Array(length) },
      /"tag" expected/
    ])
  ]
  for (const [stamp, message] of bad) {
    const isNamed = (error: Error) => error instanceof TypeError && message.test(error.message)
    assert.throws(() => encodeStamp(stamp), isNamed)
    assert.throws(() => stampToText(stamp), isNamed)
  }
})

test('stamp: a text that would not be printed is a TypeError naming it', () => {
  const bad = [
    '',
    'yesterday',
    '2026-11-22T17:30:00.123Z-0001-0123456789abcdef', // a four-digit year
    '+02026-11-22T17:30:00.123Z-0001-0123456789abcdef',
    ' 02026-11-22T17:30:00.123Z-0001-0123456789abcdef',
    '02026-11-22T17:30:00.123Z-0001-0123456789abcdef\n',
    '02026-11-22T17:30:00.123Z-0001-0123456789ABCDEF',
    '02026-11-22t17:30:00.123z-0001-0123456789abcdef',
    '02026-11-22T17:30:00.123Z-001-0123456789abcdef',
    '02026-11-22T17:30:00.123Z-00001-0123456789abcdef',
    '02026-11-22T17:30:00.123Z-0001-0123456789abcde',
    '02026-11-22T17:30:00.123Z-0001-0123456789abcdef0',
    '02026-11-22T17:30:00Z-0001-0123456789abcdef',
    '02026-11-22T17:30:00.123+01:00-0001-0123456789abcdef',
    '02026-02-30T17:30:00.123Z-0001-0123456789abcdef', // no such day
    '02026-13-01T17:30:00.123Z-0001-0123456789abcdef',
    '02026-11-22T24:00:00.000Z-0001-0123456789abcdef', // a second name for midnight
    '02026-11-22T17:60:00.123Z-0001-0123456789abcdef',
    '01969-12-31T23:59:59.999Z-0001-0123456789abcdef', // before 1970
    '10889-08-02T05:31:50.656Z-0001-0123456789abcdef', // one past the 48 bits
    '99999-01-01T00:00:00.000Z-0001-0123456789abcdef'
  ]
  for (const text of bad) {
    const namesIt = (error: Error) =>
      error instanceof TypeError && error.message.includes(JSON.stringify(text))
    assert.throws(() => textToStamp(text), namesIt, text)
  }
})

test('stamp: a text with one character changed is refused or is another stamp', () => {
  const characters = fc.constantFrom(...Array.from('0123456789abcdefABCDEFTZ:.- +g'))
  fc.assert(
    fc.property(stamp, fc.nat({ max: 46 }), characters, (stamp, at, character) => {
      const text = stampToText(stamp)
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      assert.is(text.length, 47)
      try {
        assert.is(stampToText(textToStamp(changed)), changed)
      } catch (error) {
        assert.ok(error instanceof TypeError, String(error))
      }
    }),
    { numRuns: 3000 }
  )
})

test('stamp: the time alone is the first bytes, and comes back with its tag', () => {
  fc.assert(
    fc.property(stamp, fc.nat({ max: 5 }), (each, offset) => {
      const bytes = new Uint8Array(TIME_BYTES + 10)
      encodeTimeInto(each, bytes, offset)
      const time = bytes.subarray(offset, offset + TIME_BYTES)
      assert.is(hexOf(time), hexOf(encodeStamp(each).subarray(0, TIME_BYTES)))
      assert.equal(bytes.subarray(0, offset), new Uint8Array(offset), 'nothing else is touched')
      assert.equal(decodeTime(bytes, offset, each.tag), each)
    })
  )
})

function isRangeError(error: unknown): boolean {
  return error instanceof RangeError
}

test.run()
