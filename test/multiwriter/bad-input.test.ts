/** A caller's mistakes: each a clear error with a code at once, nothing written, and the next call works. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { join } from 'node:path'
import { openDevice, type ErrorCode, type OpenDeviceOptions, type Value } from '../../index.ts'
import type { MultiBee } from '../../multiwriter/index.ts'
import { collectKeys, ownLength } from '../support/collect.ts'
import { tempFolder } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
const device = await openDevice({ storage: join(folder.path, 'device') })
const space = await device.createSpace()
const { db } = space
await db.put('there', 1)

test.after(async () => {
  await device.close()
  await folder.remove()
})

/** What a caller without types, or with wrong ones, may pass. */
const wrong = (value: unknown): never => value as never

/** The call fails with this code, at once for a promise, writes nothing, and the next put works. */
async function refused(code: ErrorCode, call: () => unknown, message?: RegExp): Promise<void> {
  const before = ownLength(space)
  const error = await rejectsWith(code, call, message)
  assert.is(ownLength(space), before, 'nothing was written')
  assert.ok(error.message.length > 10 && error.next.length > 10)
  assert.not.match(error.message, /\[object Object\]\s*$/)
  await db.put('next', before)
  assert.is((await db.get('next'))?.value, before)
}

class Person {
  name = 'Ann'
}

const cyclicObject: Record<string, unknown> = {}
cyclicObject['self'] = { deeper: [cyclicObject] }
const cyclicArray: unknown[] = []
cyclicArray.push(cyclicArray)
const revoked = Proxy.revocable({}, {})
revoked.revoke()
const throwing = {
  get field(): string {
    throw new Error('from the getter')
  }
}
const hostileProxy = new Proxy(
  {},
  {
    ownKeys() {
      throw new Error('from the trap')
    }
  }
)
const deep = Array.from({ length: 150 }).reduce((inner: unknown) => [inner], 1)

const BAD_VALUES: Record<string, unknown> = {
  undefined,
  NaN,
  Infinity,
  '-Infinity': -Infinity,
  'a BigInt': 1n,
  'a symbol': Symbol('s'),
  'a function': () => 1,
  'a Date': new Date(0),
  'a Map': new Map(),
  'a Set': new Set(),
  'a RegExp': /x/,
  'an Error': new Error('x'),
  'a promise': Promise.resolve(1),
  'a class instance': new Person(),
  'a boxed number': Object(5),
  'an ArrayBuffer': new ArrayBuffer(2),
  'other typed arrays': new Uint16Array(2),
  'a lone high surrogate': 'x\ud83d',
  'a lone low surrogate': '\ude00x',
  'a field name with a lone surrogate': { '\ud800': 1 },
  'a cyclic object': cyclicObject,
  'a cyclic array': cyclicArray,
  'an array with holes': [1, , 3], // oxlint-disable-line no-sparse-arrays -- that is the case
  'a huge empty array': Object.assign([], { length: 2 ** 32 - 1 }),
  'a field that is undefined': { a: { b: undefined } },
  'NaN deep inside': { a: [{ b: [1, NaN] }] },
  'a field named by a symbol': { [Symbol('s')]: 1 },
  'a field named __proto__': JSON.parse('{ "__proto__": { "admin": true } }'),
  'a getter that throws': throwing,
  'a proxy whose trap throws': hostileProxy,
  'a revoked proxy': revoked.proxy,
  'too deep': deep
}

for (const [kind, value] of Object.entries(BAD_VALUES)) {
  test(`put: refuses ${kind} as a value`, async () => {
    await refused('VALUE_INVALID', () => db.put('bad', wrong(value)))
    await refused('VALUE_INVALID', () => db.put('bad', wrong({ in: [value] })))
    await refused('VALUE_INVALID', () => db.batch().put('bad', wrong(value)))
    assert.is(await db.get('bad'), null)
  })
}

test('put: the message says where in the value the mistake is', async () => {
  const value = { people: [{ name: 'Ann' }, { name: undefined }] }
  await refused('VALUE_INVALID', () => db.put('bad', wrong(value)), /people\.1\.name.*undefined/)
  await refused('VALUE_INVALID', () => db.put('bad', wrong({ at: new Person() })), /at.*Person/)
})

test('put: what a getter or a codec threw is the cause of the error', async () => {
  const error = await rejectsWith('VALUE_INVALID', () => db.put('bad', wrong(throwing)))
  assert.ok(error.cause instanceof Error && error.cause.message === 'from the getter')
  const codec = {
    encode(): never {
      throw new RangeError('from the codec')
    },
    decode: () => 'x'
  }
  const coded = db.sub<string, string>('coded', { keyEncoding: codec, valueEncoding: codec })
  const ofKey = await rejectsWith('KEY_INVALID', () => coded.put('k', 'v'))
  assert.ok(ofKey.cause instanceof RangeError)
  const plain = db.sub<string, string>('coded', { valueEncoding: codec })
  const ofValue = await rejectsWith('VALUE_INVALID', () => plain.put('k', 'v'))
  assert.ok(ofValue.cause instanceof RangeError)
})

test('put: a proxy that behaves is read like what it shows', async () => {
  await db.put('proxy', new Proxy({ a: [1] }, {}))
  assert.equal((await db.get('proxy'))?.value, { a: [1] })
  await db.del('proxy')
})

test('put: a getter is asked once, so it cannot pass one value by the checks and store another', async () => {
  let asked = 0
  const value = {
    get field() {
      return asked++ === 0 ? 'first' : wrong(undefined)
    }
  }
  await db.put('getter', value)
  assert.equal((await db.get('getter'))?.value, { field: 'first' })
})

test('put: refuses a value above the limit, naming the limit', async () => {
  const limit = /4194304/
  await refused('VALUE_TOO_LARGE', () => db.put('bad', 'x'.repeat(4 * 1024 * 1024)), limit)
  await refused('VALUE_TOO_LARGE', () => db.put('bad', new Uint8Array(5 * 1024 * 1024)), limit)
})

const BAD_KEYS: Record<string, unknown> = {
  'the empty string': '',
  'a string of more than 4096 bytes': 'é'.repeat(2049),
  'a lone surrogate': 'a\ud800',
  undefined,
  null: null,
  'a number': 5,
  'a symbol': Symbol('k'),
  'an object': { toString: () => 'k' },
  bytes: new Uint8Array([1])
}

for (const [kind, key] of Object.entries(BAD_KEYS)) {
  test(`every method refuses ${kind} as a key`, async () => {
    await refused('KEY_INVALID', () => db.put(wrong(key), 1))
    await refused('KEY_INVALID', () => db.get(wrong(key)))
    await refused('KEY_INVALID', () => db.del(wrong(key)))
    await refused('KEY_INVALID', () => db.batch().put(wrong(key), 1))
    await refused('KEY_INVALID', () => db.batch().del(wrong(key)))
  })
}

test('put: the longest key has 4096 bytes', async () => {
  const keys = ['k'.repeat(4096), 'é'.repeat(2048)]
  for (const key of keys) await db.put(key, key.length)
  for (const key of keys) assert.is((await db.get(key))?.value, key.length)
  for (const key of keys) await db.del(key)
})

test('binary keys: refuses no bytes, too many, and other things', async () => {
  const binary = db.sub<Uint8Array>('binary', { keyEncoding: 'binary' })
  for (const key of [new Uint8Array(0), new Uint8Array(4097), 'text', [1], new Uint16Array(1)]) {
    await refused('KEY_INVALID', () => binary.put(wrong(key), 1))
  }
})

test('a key codec that gives no bytes is refused', async () => {
  const codec = { encode: () => wrong('text'), decode: () => 'x' }
  const bad = db.sub<string>('bad-codec', { keyEncoding: codec })
  await refused('KEY_INVALID', () => bad.put('k', 1), /no Uint8Array/)
  await refused('KEY_INVALID', () => bad.createReadStream({ gte: 'k' }), /no Uint8Array/)
})

test('range bounds: what is no key is refused at the call; the empty string bounds nothing', async () => {
  for (const bound of [5, null, 'a\ud800', new Uint8Array(1)]) {
    await refused('KEY_INVALID', () => db.createReadStream({ gte: wrong(bound) }))
    await refused('KEY_INVALID', () => db.conflicts({ lt: wrong(bound) }))
    await refused('KEY_INVALID', () => db.peek({ gt: wrong(bound) }))
    await refused('KEY_INVALID', () => db.watch({ lte: wrong(bound) }))
  }
  assert.is((await db.peek({ gte: '' }))?.key, (await db.peek())?.key)
  assert.is(await db.peek({ lte: '' }), null)
})

type Call = (options: never) => unknown

/** Everything that takes options, with some that are wrong for it beside unknown ones. */
const OPTIONS: Record<string, [Call, Record<string, unknown>[]]> = {
  openDevice: [
    (options) => openDevice(options),
    [
      { storage: '' },
      { storage: 5 },
      { storage: 'a\0b' },
      {},
      { storage: 'x', name: '' },
      { storage: 'x', name: 5 },
      { storage: 'x', passphrase: '' },
      { storage: 'x', passphrase: 5 },
      { storage: 'x', durability: 'ram' },
      { storage: 'x', transport: {} },
      { storage: 'x', now: 5 },
      { storage: 'x', maxDrift: -1 },
      { storage: 'x', maxDrift: NaN },
      { storage: 'x', maxDrift: '5' }
    ]
  ],
  createSpace: [
    (options) => device.createSpace(options),
    [{ name: '' }, { name: 5 }, { name: 'x'.repeat(256) }, { open: 1 }, { open: null }]
  ],
  openSpace: [
    (options) => device.openSpace(space.address, options),
    [{ name: '' }, { name: null }, { sparse: 'yes' }]
  ],
  'device.replicate': [
    (options) => device.replicate(wrong(true), options),
    [{ initiator: 1 }, { initiator: 'yes' }]
  ],
  'space.replicate': [
    (options) => space.replicate(wrong(true), options),
    [{ initiator: 1 }, { initiator: null }]
  ],
  get: [
    (options) => db.get('there', options),
    [{ wait: 1 }, { timeout: -1 }, { timeout: NaN }, { timeout: '5' }]
  ],
  peek: [(options) => db.peek(options), [{ limit: 1 }, { reverse: 1 }, { wait: 0 }]],
  createReadStream: [
    (options) => db.createReadStream(options),
    [
      { limit: -1 },
      { limit: 1.5 },
      { limit: NaN },
      { limit: '5' },
      { limit: null },
      { reverse: 'yes' },
      { wait: 'no' },
      { timeout: Infinity }
    ]
  ],
  conflicts: [(options) => db.conflicts(options), [{ limit: -1 }, { reverse: null }]],
  watch: [(options) => db.watch(options), [{ reverse: true }, { limit: 1 }]],
  sub: [
    (options) => db.sub('sub', options),
    [
      { keyEncoding: 'utf8' },
      { keyEncoding: 'json' },
      { valueEncoding: 'utf8' },
      { valueEncoding: {} },
      { valueEncoding: { encode: 1, decode: String } },
      { valueEncoding: { encode: String, decode: 2 } },
      { valueEncoding: null }
    ]
  ]
}

for (const [method, [call, cases]] of Object.entries(OPTIONS)) {
  test(`${method}: refuses unknown options by name, and options of a wrong type`, async () => {
    await refused(
      'INVALID_ARGUMENT',
      () => call(wrong({ storage: 'x', lmit: 1 })),
      /"(lmit|storage)"/
    )
    for (const options of [null, 5, 'text', [], true]) {
      await refused('INVALID_ARGUMENT', () => call(wrong(options)), /options object/)
    }
    for (const options of cases) {
      await refused('INVALID_ARGUMENT', () => call(wrong(options)), nameOf(options))
    }
  })
}

/** The message names the option that is wrong: the last one of each case. */
function nameOf(options: Record<string, unknown>): RegExp {
  return new RegExp(`"${Object.keys(options).at(-1) ?? 'storage'}"`)
}

test('openDevice: a refused call leaves no folder behind', async () => {
  const storage = join(folder.path, 'never-made')
  await rejectsWith('INVALID_ARGUMENT', () =>
    openDevice({ storage, durability: wrong('ram') } satisfies OpenDeviceOptions)
  )
  await openDevice({ storage }).then((made) => made.close())
})

test('openDevice: a transport that cannot be made does not leave the store locked', async () => {
  const storage = join(folder.path, 'bad-transport')
  const transport = () => {
    throw new Error('no network')
  }
  try {
    await openDevice({ storage, transport })
    assert.unreachable()
  } catch (error) {
    assert.match(String(error), /no network/)
  }
  await openDevice({ storage }).then((made) => made.close())
})

test('openSpace: refuses what is no text', async () => {
  for (const which of [undefined, null, 5, {}, new Uint8Array(32)]) {
    await refused('INVALID_ARGUMENT', () => device.openSpace(wrong(which)), /address or a ticket/)
  }
  await refused('SPACE_UNKNOWN', () => device.openSpace(''))
})

test('replicate: refuses what is no stream, and a plain duplex without a side', async () => {
  for (const stream of [undefined, null, 5, 'text', {}, { pipe: 1, write: 2 }]) {
    await refused('INVALID_ARGUMENT', () => space.replicate(wrong(stream)), /"stream"/)
    await refused('INVALID_ARGUMENT', () => device.replicate(wrong(stream)), /"stream"/)
  }
})

test('a bad operation in a batch refuses that operation; the rest of the batch can be flushed', async () => {
  const sub: MultiBee = db.sub('batch')
  const batch = sub.batch().put('a', 1)
  await rejectsWith('VALUE_INVALID', () => batch.put('b', wrong(undefined)))
  await rejectsWith('KEY_INVALID', () => batch.del(''))
  await batch.put('c', 3).flush()
  assert.equal(await collectKeys(sub.createReadStream()), ['a', 'c'])
})

test('a bad put among good ones, issued together, rejects alone', async () => {
  const sub = db.sub('together')
  const values: Value[] = [1, wrong(NaN), 3, wrong(() => 1), 5]
  const outcomes = await Promise.allSettled(values.map((value, i) => sub.put(`k${i}`, value)))
  assert.equal(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']
  )
  assert.equal(await collectKeys(sub.createReadStream()), ['k0', 'k2', 'k4'])
})

test('nothing of all this was seen by the prototypes', () => {
  assert.is(Reflect.get({}, 'admin'), undefined)
})

test.run()
