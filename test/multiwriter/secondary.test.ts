/** Secondary indexes: what they order, and that they show what the view shows, by a scan as by the stored index. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { openDevice, type Value } from '../../index.ts'
import { MAX_INDEXED_VALUES } from '../../multiwriter/index-path.ts'
import type { Change, MultiBee } from '../../multiwriter/index.ts'
import { collect } from '../support/collect.ts'
import { openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
const device = await openDevice({ storage: join(folder.path, 'one') })
const spaces = {
  stream: await device.createSpace({ mode: 'stream' }),
  index: await device.createSpace({ mode: 'index' })
}
/** Of the test that runs now. */
let space = spaces.stream
let count = 0

function inBothModes(title: string, body: () => Promise<void>): void {
  for (const mode of ['stream', 'index'] as const) {
    test(`${mode}: ${title}`, () => {
      space = spaces[mode]
      return body()
    })
  }
}

test.after(async () => {
  await device.close()
  await folder.remove()
})

const INDEX = ['email', 'tags[]', 'address.city', 'phones[].number', 'age']

function fresh(): MultiBee {
  return space.db.sub(`index-${count++}`, { index: INDEX })
}

async function people(): Promise<MultiBee> {
  const db = fresh()
  await Promise.all([
    db.put('ann', { email: 'z@example.org', tags: ['work', 'family'], address: { city: 'Ulm' } }),
    db.put('bob', { email: 'b@example.org', tags: ['work', 'work'], age: 41 }),
    db.put('cleo', { email: 'c@example.org', tags: 'work', phones: [{ number: '2' }, {}] }),
    db.put('dan', { email: 'b@example.org', address: 'Ulm', age: 7, phones: [{ number: '1' }] }),
    db.put('eve', 'no object at all'),
    db.put('fay', { email: null, tags: [], age: '41', phones: { number: '3' } })
  ])
  return db
}

type Found = [indexed: unknown, key: string]

async function read(db: MultiBee, path: string, options = {}): Promise<Found[]> {
  const entries = await collect(db.by(path).createReadStream(options))
  return entries.map(({ indexed, key }): Found => [indexed, key])
}

inBothModes('entries come by value, then by key; those without a value do not come', async () => {
  assert.equal(await read(await people(), 'email'), [
    [null, 'fay'],
    ['b@example.org', 'bob'],
    ['b@example.org', 'dan'],
    ['c@example.org', 'cleo'],
    ['z@example.org', 'ann']
  ])
})

inBothModes(
  'an array is indexed by each of its elements, each once; what is no array is not',
  async () => {
    const db = await people()
    const expected: Found[] = [
      ['family', 'ann'],
      ['work', 'ann'],
      ['work', 'bob']
    ]
    assert.equal(await read(db, 'tags[]'), expected)
    assert.equal(await read(db, 'tags'), expected, 'by its short name')
  }
)

inBothModes('a path leads through objects, and through arrays of objects', async () => {
  const db = await people()
  assert.equal(await read(db, 'address.city'), [['Ulm', 'ann']])
  assert.equal(await read(db, 'phones[].number'), [
    ['1', 'dan'],
    ['2', 'cleo']
  ])
})

inBothModes('numbers come before texts, whatever the texts are', async () => {
  assert.equal(await read(await people(), 'age'), [
    [7, 'dan'],
    [41, 'bob'],
    ['41', 'fay']
  ])
  assert.equal(await read(await people(), 'age', { gt: 7, lte: Infinity }), [[41, 'bob']])
})

inBothModes('ranges, reverse and limit are of values', async () => {
  const db = await people()
  const keys = async (options: object) => (await read(db, 'email', options)).map(([, key]) => key)
  assert.equal(await keys({ gte: 'b@example.org', lt: 'z' }), ['bob', 'dan', 'cleo'])
  assert.equal(await keys({ gt: 'b@example.org' }), ['cleo', 'ann'])
  assert.equal(await keys({ lte: 'b@example.org', reverse: true }), ['dan', 'bob', 'fay'])
  assert.equal(await keys({ gt: null, limit: 2 }), ['bob', 'dan'])
  assert.equal(await keys({ reverse: true, limit: 1 }), ['ann'])
  assert.equal(await keys({ limit: 0 }), [])
  assert.equal(await keys({ gt: 'z', lt: 'a' }), [])
})

inBothModes('get: all entries with exactly one value, as whole entries', async () => {
  const db = await people()
  const found = await db.by('email').get('b@example.org')
  assert.equal(
    found.map(({ key }) => key),
    ['bob', 'dan']
  )
  const [bob] = found
  const { indexed, ...entry } = bob ?? {}
  assert.is(indexed, 'b@example.org')
  assert.equal(entry, await db.get('bob'))
  assert.equal(await db.by('email').get('nobody@example.org'), [])
  assert.equal(await db.by('email').get('b@example.or'), [], 'not by a part of it')
})

inBothModes('an index follows each put and deletion at once', async () => {
  const db = await people()
  await db.put('bob', { email: 'new@example.org' })
  await db.del('cleo')
  assert.equal(await db.by('email').get('c@example.org'), [])
  assert.equal(
    (await read(db, 'email', { gte: 'a' })).map(([indexed]) => indexed),
    ['b@example.org', 'new@example.org', 'z@example.org']
  )
  assert.equal(await read(db, 'tags', { gte: 'work' }), [['work', 'ann']])
})

inBothModes('a stream shows the moment of its call', async () => {
  const db = await people()
  const stream = db.by('age').createReadStream()
  await db.put('bob', { age: 1000 })
  await db.del('dan')
  assert.equal(
    (await collect(stream)).map(({ indexed }) => indexed),
    [7, 41, '41']
  )
})

inBothModes('a snapshot and a checkout have the indexes of their moment', async () => {
  const db = await people()
  const version = await db.version()
  const snapshot = db.snapshot()
  await db.put('bob', { age: 1000 })
  for (const past of [snapshot, db.checkout(version)]) {
    assert.equal(await read(past, 'age'), [
      [7, 'dan'],
      [41, 'bob'],
      ['41', 'fay']
    ])
    await rejectsWith('READ_ONLY', () => past.by('age').watch())
  }
  assert.equal((await read(db, 'age'))[1], [1000, 'bob'])
})

inBothModes('an index sees its own sub-database only', async () => {
  const db = await people()
  const inner = db.sub('inner', { index: INDEX })
  await inner.put('gus', { email: 'gus@example.org' })
  assert.equal(await db.by('email').get('gus@example.org'), [])
  assert.is((await inner.by('email').get('gus@example.org')).length, 1)
})

inBothModes('an index is over what is stored, with any encodings and a schema', async () => {
  const schema = z.object({ email: z.email().toLowerCase(), at: z.string().optional() })
  const db = space.db.sub(`index-${count++}`, { schema, keyEncoding: 'binary', index: ['email'] })
  const key = new Uint8Array([0, 255])
  await db.put(key, { email: 'Ann@Example.org' })
  const [ann] = await db.by('email').get('ann@example.org')
  assert.equal([...(ann?.key ?? [])], [0, 255])
  assert.is(ann?.value.email, 'ann@example.org')
})

inBothModes('what is not shown by its key is not shown by an index', async () => {
  const name = `index-${count++}`
  await space.db.sub(name).put('a', { email: 'a', n: 1 })
  await space.db.sub(name).put('b', { email: 'b' })
  const db = space.db.sub(name, {
    schema: z.object({ email: z.string(), n: z.number() }),
    index: ['email']
  })
  assert.equal(
    (await collect(db.by('email').createReadStream({ reverse: true, limit: 1 }))).map(
      ({ key }) => key
    ),
    ['a'],
    'nor does it count for the limit'
  )
})

inBothModes('of a long array the first values are indexed', async () => {
  const db = fresh()
  await db.put('many', { tags: Array.from({ length: 5000 }, (_, i) => i) })
  const found = await read(db, 'tags')
  assert.is(found.length, MAX_INDEXED_VALUES)
  assert.equal(found.at(-1), [MAX_INDEXED_VALUES - 1, 'many'])
})

inBothModes('bad declarations and questions are refused at once', async () => {
  const bad = [
    '',
    '.',
    'a.',
    'a..b',
    'a[',
    '[]',
    'a[]b',
    'a[0]',
    'a[][]',
    'x'.repeat(256),
    '\ud800',
    5
  ]
  for (const path of bad) {
    // @ts-expect-error a number among them
    await rejectsWith('INVALID_ARGUMENT', () => space.db.sub('x', { index: [path] }), /"index"/)
  }
  // @ts-expect-error no list
  await rejectsWith('INVALID_ARGUMENT', () => space.db.sub('x', { index: 'email' }), /"index"/)
  const db = fresh()
  await rejectsWith(
    'INVALID_ARGUMENT',
    () => db.by('name'),
    /no index by "name"; declared are email,/
  )
  await rejectsWith('INVALID_ARGUMENT', () => space.db.by('a'), /none is declared/)
  const email = db.by('email')
  const options = [
    { gt: NaN },
    { gte: {} },
    { lt: '\ud800' },
    { gt: 1, gte: 1 },
    { lt: 1, lte: 1 },
    { limit: -1 },
    { reverse: 1 },
    { wait: 'no' },
    { from: 1 }
  ]
  for (const each of options) {
    // @ts-expect-error bad on purpose
    await rejectsWith('INVALID_ARGUMENT', () => email.createReadStream(each))
  }
  await rejectsWith('INVALID_ARGUMENT', () => email.watch({ gt: NaN }))
  // @ts-expect-error bad on purpose
  await rejectsWith('INVALID_ARGUMENT', () => email.get({}))
})

async function next(changes: AsyncIterator<Change<string, Value>>) {
  const { value, done } = await changes.next()
  if (done === true) throw new Error('The watch ended')
  const { key, current, previous } = value
  return [key, previous?.value ?? null, current?.value ?? null]
}

inBothModes('watch: what comes into the range, changes in it, and leaves it', async () => {
  const db = fresh()
  const changes = db.by('age').watch({ gte: 18, lt: 65 })
  const step = async (value: Value | undefined) => {
    await (value === undefined ? db.del('ann') : db.put('ann', value))
    return next(changes)
  }
  await db.put('zoe', { age: 3 })
  await db.put('ann', { age: 17 })
  await db.put('bob', { name: 'ageless' })
  assert.equal(await step({ age: 18 }), ['ann', null, { age: 18 }])
  assert.equal(await step({ age: 64 }), ['ann', { age: 18 }, { age: 64 }])
  assert.equal(await step({ age: 65 }), ['ann', { age: 64 }, null])
  assert.equal(await step({ age: 20, tags: [] }), ['ann', null, { age: 20, tags: [] }])
  assert.equal(await step(undefined), ['ann', { age: 20, tags: [] }, null])
  await changes.return?.()
  assert.equal(await changes.next(), { done: true, value: undefined })
})

inBothModes('watch: an entry with several values in the range is one change', async () => {
  const db = fresh()
  const changes = db.by('tags').watch()
  await db.put('a', { tags: ['x', 'y'] })
  await db.put('b', { tags: ['z'] })
  assert.equal([(await next(changes))[0], (await next(changes))[0]], ['a', 'b'])
  await changes.return?.()
})

test('two devices: an index shows winners, follows the merge, and says who wrote', async () => {
  const two = await openTwoDevices()
  try {
    const cut = two.connect()
    await until(() => two.spaceA.writers().length === 2 && two.spaceB.writers().length === 2)
    cut()
    const a = two.spaceA.db.sub('contacts', { index: ['email'] })
    const b = two.spaceB.db.sub('contacts', { index: ['email'] })
    await a.put('ann', { email: 'old@example.org' })
    await b.put('ann', { email: 'new@example.org' })
    await b.put('bob', { email: 'bob@example.org' })
    const changes = a.by('email').watch({ gte: 'bob', lt: 'boc' })
    two.connect()
    assert.equal(await next(changes), ['bob', null, { email: 'bob@example.org' }])
    await changes.return?.()
    await until(async () => (await b.get('ann'))?.conflicts.length === 1)
    const [fromA, fromB] = await Promise.all(
      [a, b].map((db) => collect(db.by('email').createReadStream()))
    )
    assert.equal(fromA, fromB)
    const winner = (await a.get('ann'))?.value
    assert.equal(
      fromA?.map(({ key, value, conflicts }) => [key, value, conflicts.length]),
      [
        ['bob', { email: 'bob@example.org' }, 0],
        ['ann', winner, 1]
      ].sort((x, y) => (JSON.stringify(x[1]) < JSON.stringify(y[1]) ? -1 : 1))
    )
  } finally {
    await two.close()
  }
})

test('after close: what was asked before and after ends with BEE_CLOSED', async () => {
  const own = await openDevice({ storage: join(folder.path, 'closing') })
  const db = (await own.createSpace()).db.sub('a', { index: ['x'] })
  await db.put('a', { x: 1 })
  const index = db.by('x')
  const changes = index.watch()
  await own.close()
  await rejectsWith('BEE_CLOSED', () => collect(index.createReadStream()))
  await rejectsWith('BEE_CLOSED', () => index.get(1))
  assert.is((await changes.next()).done, true)
})

test.run()
