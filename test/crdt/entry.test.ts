import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tagOf } from '../../clock/index.ts'
import {
  decodeEntry,
  encodeEntry,
  MAX_SEEN,
  type Position,
  type Register
} from '../../crdt/index.ts'

interface RegisterText {
  readonly position: { readonly core: string; readonly seq: number } | null
  readonly stamp: { readonly ms: number; readonly counter: number; readonly tag: string }
  readonly seen: readonly { readonly core: string; readonly seq: number }[]
  readonly value: string | null
}

interface Vector {
  readonly name: string
  readonly hex: string
  readonly refusal?: string
  readonly decoded?: {
    readonly kind: string
    readonly type?: number
    readonly register: RegisterText
  }
}

const file: { readonly core: string; readonly entries: readonly Vector[] } = JSON.parse(
  readFileSync(new URL('../vectors/entry.json', import.meta.url), 'utf8')
)
const vectors = file.entries

/** The core that the entries stand in. */
const CORE = bytesOf(file.core)

function hex(bytes: Uint8Array): string {
  return b4a.toString(bytes, 'hex')
}

function bytesOf(text: string): Uint8Array {
  return b4a.from(text, 'hex')
}

function positionToText({ core, seq }: Position) {
  return { core: hex(core), seq }
}

function registerToText({ position, stamp, seen, value }: Register): RegisterText {
  return {
    position: position === null ? null : positionToText(position),
    stamp: { ms: stamp.ms, counter: stamp.counter, tag: hex(stamp.tag) },
    seen: seen.map(positionToText),
    value: value === null ? null : hex(value)
  }
}

function textToRegister({ position, stamp, seen, value }: RegisterText): Register {
  const place = ({ core, seq }: { core: string; seq: number }) => ({ core: bytesOf(core), seq })
  return {
    position: position === null ? null : place(position),
    stamp: { ...stamp, tag: bytesOf(stamp.tag) },
    seen: seen.map(place),
    value: value === null ? null : bytesOf(value)
  }
}

function decodedToText(bytes: Uint8Array) {
  const decoded = decodeEntry(bytes, CORE)
  if (!decoded.ok) return decoded.reason
  const { register, ...rest } = decoded.entry
  return { ...rest, register: registerToText(register) }
}

const valid = vectors.filter(({ decoded }) => decoded !== undefined)

test('entry vectors: there are accepted and refused ones', () => {
  assert.ok(valid.length >= 8)
  assert.ok(vectors.length - valid.length >= 15)
})

for (const { name, hex: text, refusal, decoded } of vectors) {
  test(`entry vector: ${name}`, () => {
    assert.equal(decodedToText(bytesOf(text)), refusal ?? decoded)
    if (decoded?.kind === 'register')
      assert.is(hex(encodeEntry(textToRegister(decoded.register))), text)
  })
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const seq = fc.oneof(fc.nat(70_000), fc.maxSafeNat())
const anyPosition = fc.record({ core: fc.oneof(fc.constant(new Uint8Array(0)), bytes(32)), seq })
const anySeen = fc
  .uniqueArray(fc.record({ core: bytes(32), seq }), {
    maxLength: 8,
    selector: ({ core }) => hex(core)
  })
  .map((items) => items.sort((a, b) => b4a.compare(a.core, b.core)))

const anyRegister: fc.Arbitrary<Register> = fc
  .record({
    position: fc.option(anyPosition),
    stamp: fc.record({ ms: fc.nat(2 ** 31), counter: fc.nat(65_535) }),
    seen: anySeen,
    value: fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }))
  })
  .map(({ stamp, ...rest }) => ({ ...rest, stamp: { ...stamp, tag: impliedTag(rest.position) } }))

/** A tag is not written: it follows from the core in which the register was first written. */
function impliedTag(position: Position | null): Uint8Array {
  return tagOf(position !== null && position.core.byteLength > 0 ? position.core : CORE)
}

test('entry: what was encoded is decoded', () => {
  fc.assert(
    fc.property(anyRegister, (register) => {
      const decoded = decodeEntry(encodeEntry(register), CORE)
      assert.ok(decoded.ok && decoded.entry.kind === 'register')
      assert.equal(registerToText(decoded.entry.register), registerToText(register))
    }),
    { numRuns: 1000 }
  )
})

test('entry: the longest list of seen items is read, one more is refused', () => {
  const seen = Array.from({ length: MAX_SEEN + 1 }, (_, i) => {
    const core = new Uint8Array(32)
    core[0] = i >> 8
    core[1] = i & 255
    return { core, seq: i }
  })
  const register = {
    position: null,
    stamp: { ms: 0, counter: 0, tag: new Uint8Array(8) },
    value: null
  }
  assert.ok(decodeEntry(encodeEntry({ ...register, seen: seen.slice(0, MAX_SEEN) }), CORE).ok)
  const tooLong = decodeEntry(encodeEntry({ ...register, seen }), CORE)
  assert.equal(tooLong, { ok: false, reason: 'entry-malformed' })
})

test('entry: every truncation of a value entry is refused', () => {
  for (const { name, hex: text, decoded } of valid) {
    if (decoded?.kind !== 'register') continue
    const whole = bytesOf(text)
    for (let length = 0; length < whole.byteLength; length++) {
      assert.not(decodeEntry(whole.subarray(0, length), CORE).ok, `${name}, ${length} bytes`)
    }
  }
})

test('entry: every change of one byte is decoded or refused, and a decoded one is what it says', () => {
  for (const { hex: text } of vectors) {
    const whole = bytesOf(text)
    for (let i = 0; i < whole.byteLength; i++) {
      for (let value = 0; value < 256; value++) {
        const changed = new Uint8Array(whole)
        changed[i] = value
        checkDecoded(changed)
      }
    }
  }
})

test('entry: any bytes are decoded or refused', () => {
  const prefix = fc.constantFrom([], [1], [1, 1], [1, 1, 7], [1, 2])
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 120 }), (start, rest) =>
      checkDecoded(Uint8Array.from([...start, ...rest]))
    ),
    { numRuns: 5000 }
  )
})

/** Never throws; and a decoded value entry survives being encoded again. */
function checkDecoded(changed: Uint8Array): void {
  const decoded = decodeEntry(changed, CORE)
  if (!decoded.ok) {
    assert.ok(['entry-malformed', 'entry-unsupported'].includes(decoded.reason))
    return
  }
  const { entry } = decoded
  if (entry.kind !== 'register') return
  assert.equal(decodedToText(encodeEntry(entry.register)), decodedToText(changed))
}

test('entry: bytes behind a part of a larger buffer are not read', () => {
  const [vector] = valid
  assert.ok(vector)
  const text = vector.hex
  const large = bytesOf(`ffff${text}ffff`)
  const part = large.subarray(2, large.byteLength - 2)
  assert.equal(decodedToText(part), decodedToText(bytesOf(text)))
  assert.not(decodeEntry(large.subarray(2, large.byteLength - 3), CORE).ok)
})

test.run()
