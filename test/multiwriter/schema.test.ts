/** Values that fit a schema, from two libraries: checked on the way in, and on the way out, where others may have written. */
import { join } from 'node:path'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isManyhandsError } from '../../errors.ts'
import * as v from 'valibot'
import { z } from 'zod'
import { openDevice, type Value } from '../../index.ts'
import { SchemaMismatch } from '../../multiwriter/schema.ts'
import type { MultiBee } from '../../multiwriter/index.ts'
import { collect, collectKeys, ownLength } from '../support/collect.ts'
import { openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
const device = await openDevice({ storage: join(folder.path, 'one') })
const space = await device.createSpace()
let count = 0
const freshName = () => `schema-${count++}`

test.after(async () => {
  await device.close()
  await folder.remove()
})

const zodContact = z.object({
  name: z.string().trim().min(1),
  email: z.email().toLowerCase(),
  tags: z.array(z.string()).default([]),
  address: z.object({ city: z.string() }).optional()
})

const valibotContact = v.object({
  name: v.pipe(v.string(), v.trim(), v.minLength(1)),
  email: v.pipe(v.string(), v.email(), v.toLowerCase()),
  tags: v.optional(v.array(v.string()), []),
  address: v.optional(v.object({ city: v.string() }))
})

for (const [library, schema] of [
  ['zod', zodContact],
  ['valibot', valibotContact]
] as const) {
  const fresh = () => space.db.sub(freshName(), { schema })

  test(`${library}: what is stored is what the schema makes of the value`, async () => {
    const contacts = fresh()
    await contacts.put('ann', { name: ' Ann ', email: 'Ann@Example.org' })
    const entry = await contacts.get('ann')
    assert.equal(entry?.value, { name: 'Ann', email: 'ann@example.org', tags: [] })
  })

  test(`${library}: a patch, and an update, are checked by what they come to`, async () => {
    const contacts = fresh()
    await contacts.put('ann', { name: 'Ann', email: 'ann@example.org' })
    await contacts.patch('ann', { email: 'ANN@example.com', address: { city: 'Ulm' } })
    assert.equal((await contacts.get('ann'))?.value, {
      name: 'Ann',
      email: 'ann@example.com',
      tags: [],
      address: { city: 'Ulm' }
    })
    const length = ownLength(space)
    await rejectsWith('VALUE_INVALID', () => contacts.patch('ann', { email: 'nowhere' }), /email/)
    await rejectsWith('VALUE_INVALID', () => contacts.patch('ann', { name: undefined }), /name/)
    await rejectsWith('VALUE_INVALID', () => contacts.patch('bob', { name: 'Bob' }), /email/)
    await rejectsWith('VALUE_INVALID', () => contacts.counter('ann').add(1))
    const broken = contacts.update('ann', (ann) =>
      ann === null ? undefined : { ...ann, email: 'nowhere' }
    )
    await rejectsWith('VALUE_INVALID', () => broken, /email/)
    assert.is(ownLength(space), length)
    await contacts.update('ann', (ann) => (ann === null ? undefined : { ...ann, tags: ['x'] }))
    assert.equal((await contacts.get('ann'))?.value.tags, ['x'])
  })

  test(`${library}: what does not fit is refused at once, naming each place, and nothing is written`, async () => {
    const contacts = fresh()
    const length = ownLength(space)
    const bad = { name: 'Ann', email: 'nowhere', tags: ['a'], address: { city: 5 } }
    // @ts-expect-error the compiler refuses it as well
    const error = await rejectsWith('VALUE_INVALID', () => contacts.put('ann', bad))
    assert.match(error.message, /email: .*; address\.city: /)
    assert.instance(error.cause, SchemaMismatch)
    const { issues } = error.cause as SchemaMismatch
    assert.equal(
      issues.map(({ path }) => path),
      [['email'], ['address', 'city']]
    )
    // @ts-expect-error as above
    await rejectsWith('VALUE_INVALID', () => contacts.batch().put('ann', bad))
    // @ts-expect-error not even an object
    await rejectsWith('VALUE_INVALID', () => contacts.put('ann', 5), /does not fit its schema: /)
    assert.is(ownLength(space), length)
  })

  test(`${library}: the types follow from the schema`, async () => {
    const contacts = fresh()
    await contacts.put('ann', { name: 'Ann', email: 'a@b.example' }) // input: tags may be missing
    const entry = await contacts.get('ann')
    const tags: readonly string[] = entry?.value.tags ?? ['none'] // output: they are not
    const city: string | undefined = entry?.value.address?.city
    assert.equal([tags, city], [[], undefined])
  })
}

const isEven = (n: number) => n % 2 === 0
const laterZod = z.object({
  n: z.number().refine((n) => Promise.resolve(isEven(n)), 'must be even')
})
const laterValibot = v.objectAsync({
  n: v.pipeAsync(
    v.number(),
    v.checkAsync((n) => Promise.resolve(isEven(n)), 'must be even')
  )
})

for (const [library, schema] of [
  ['zod', laterZod],
  ['valibot', laterValibot]
] as const) {
  test(`${library}: a schema that answers later decides before anything is written`, async () => {
    const db = space.db.sub(freshName(), { schema })
    await db.put('a', { n: 2 })
    assert.equal((await db.get('a'))?.value, { n: 2 })
    const length = ownLength(space)
    await rejectsWith('VALUE_INVALID', () => db.put('b', { n: 3 }), /n: must be even/)
    const batch = db.batch().put('c', { n: 4 }).put('d', { n: 5 })
    await rejectsWith('VALUE_INVALID', () => batch.flush(), /n: must be even/)
    assert.is(ownLength(space), length)
    assert.equal(await collectKeys(db.createReadStream()), ['a'])
  })
}

/** A schema by hand, which answers all questions so far when it is told to. */
function slowSchema(): StandardSchemaV1<number, number> & { answer(): void } {
  const waiting: (() => void)[] = []
  return {
    answer: () => waiting.splice(0).forEach((answer) => answer()),
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        new Promise((resolve) => {
          waiting.push(() =>
            resolve(typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] })
          )
        })
    }
  }
}

test('writes keep their order while a schema thinks', async () => {
  const schema = slowSchema()
  const db = space.db.sub(freshName(), { schema })
  const first = db.put('a', 1)
  const second = db.put('a', 2)
  const gone = db.del('b')
  const last = db.batch().put('a', 3).flush()
  schema.answer()
  await Promise.all([first, second, gone, last])
  assert.is((await db.get('a'))?.value, 3)
  const put = db.put('a', 4)
  const deletion = db.del('a')
  schema.answer()
  await Promise.all([put, deletion])
  assert.is(await db.get('a'), null, 'a deletion, which needs no schema, does not overtake')
})

test('cas and batches see what the schema makes of a value', async () => {
  const contacts = space.db.sub(freshName(), { schema: zodContact })
  const seen: Value[] = []
  const written = await contacts.put(
    'ann',
    { name: ' Ann ', email: 'A@b.example' },
    {
      cas: (previous, next) => {
        seen.push(next.value?.name ?? null, next.value?.tags ?? null)
        return previous === null
      }
    }
  )
  assert.is(written, true)
  assert.equal(seen, ['Ann', []])
  const batch = contacts.batch().put('bob', { name: ' Bob ', email: 'b@b.example' })
  assert.is((await batch.get('bob'))?.value.name, 'Bob')
  batch.close()
})

test('a batch shows what a schema has answered for', async () => {
  const schema = slowSchema()
  const batch = space.db.sub(freshName(), { schema }).batch().put('a', 1)
  assert.is(await batch.get('a'), null)
  schema.answer()
  assert.is(await batch.flush(), true)
})

test('a refused write does not hold up those behind it', async () => {
  const schema = slowSchema()
  const db = space.db.sub(freshName(), { schema })
  // @ts-expect-error no number
  const bad = db.put('a', 'x')
  const good = db.put('a', 2)
  schema.answer()
  await rejectsWith('VALUE_INVALID', () => bad, /no number/)
  await good
  assert.is((await db.get('a'))?.value, 2)
})

test('what a schema still thinks about when the database closes is not written', async () => {
  const own = await openDevice({ storage: join(folder.path, 'closing') })
  const schema = slowSchema()
  const db = (await own.createSpace()).db.sub('a', { schema })
  const put = db.put('a', 1)
  put.catch(() => {})
  await own.close()
  schema.answer()
  await rejectsWith('BEE_CLOSED', () => put)
})

test('a schema that does not leave its own output alone is refused at put, where it can be mended', async () => {
  const measured = space.db.sub(freshName(), { schema: z.string().transform((s) => s.length) })
  await rejectsWith(
    'VALUE_INVALID',
    () => measured.put('a', 'abc'),
    /does not accept its own output/
  )
  const growing = space.db.sub(freshName(), { schema: z.string().transform((s) => `${s}!`) })
  await rejectsWith('VALUE_INVALID', () => growing.put('a', 'abc'), /changes its own output/)
})

test('a schema that changes its value in place is found out as well', async () => {
  const validate = (value: unknown) => {
    const counted = value as { count: number }
    counted.count++
    return { value: counted }
  }
  const schema: StandardSchemaV1<{ count: number }> = {
    '~standard': { version: 1, vendor: 'test', validate }
  }
  const counting = space.db.sub(freshName(), { schema })
  await rejectsWith(
    'VALUE_INVALID',
    () => counting.put('a', { count: 1 }),
    /changes its own output/
  )
  assert.is(await counting.get('a'), null)
})

test('a value encoding stands below the schema: dates in, dates out, texts on the log', async () => {
  const name = freshName()
  const days = space.db.sub(name, {
    schema: z.date().min(new Date('2000-01-01')),
    valueEncoding: {
      encode: (day: Date): Value => day.toISOString(),
      decode: (text): Date => new Date(typeof text === 'string' ? text : NaN)
    }
  })
  const day = new Date('2024-02-29')
  await days.put('leap', day)
  assert.equal((await days.get('leap'))?.value, day)
  assert.is((await space.db.sub(name).get('leap'))?.value, '2024-02-29T00:00:00.000Z')
  await rejectsWith('VALUE_INVALID', () => days.put('old', new Date('1999-12-31')))
})

test('a schema that throws refuses the value', async () => {
  const cause = new Error('inside')
  const schema = z.string().refine(() => {
    throw cause
  })
  const db = space.db.sub(freshName(), { schema })
  const error = await rejectsWith('VALUE_INVALID', () => db.put('a', 'x'))
  assert.is(error.cause, cause)
  const rejecting: StandardSchemaV1<string> = {
    '~standard': { version: 1, vendor: 'test', validate: () => Promise.reject(cause) }
  }
  const later = space.db.sub(freshName(), { schema: rejecting })
  assert.is((await rejectsWith('VALUE_INVALID', () => later.put('a', 'x'))).cause, cause)
})

test('what is no Standard Schema is refused', async () => {
  const version2 = { '~standard': { version: 2, vendor: 'x', validate: () => ({ value: 1 }) } }
  for (const schema of [null, 5, {}, 'zod', { '~standard': { version: 1 } }, version2]) {
    // @ts-expect-error bad on purpose
    await rejectsWith('INVALID_ARGUMENT', () => space.db.sub('x', { schema }), /"schema" expected/)
  }
})

test('an inner sub-database has the schema of the outer one, unless it says otherwise', async () => {
  const outer = space.db.sub(freshName(), { schema: z.number() })
  // @ts-expect-error a number
  await rejectsWith('VALUE_INVALID', () => outer.sub('inner').put('a', 'x'))
  const other = outer.sub('other', { schema: z.string() })
  await other.put('a', 'x')
  assert.is((await other.get('a'))?.value, 'x')
  const free = outer.sub<string, Value>('free', { valueEncoding: 'json' })
  await free.put('a', { anything: true })
  assert.equal((await free.get('a'))?.value, { anything: true })
})

/** What an older version of an application left, next to what fits today. */
async function withOldValues(): Promise<{ name: string; raw: MultiBee }> {
  const name = freshName()
  const raw = space.db.sub(name)
  await raw.put('a', { name: 'Ann', email: 'ann@example.org' })
  await raw.put('b', { fullName: 'Bob' })
  await raw.put('c', { name: 'Cleo', email: 'cleo@example.org', tags: ['work'] })
  return { name, raw }
}

test('values of an older version that fit are shown as the schema has them today', async () => {
  const { name } = await withOldValues()
  const contacts = space.db.sub(name, { schema: zodContact })
  assert.equal((await contacts.get('a'))?.value.tags, [], 'the default is filled in')
  assert.equal(await collectKeys(contacts.createReadStream()), ['a', 'c'])
})

test('values that do not fit are not shown as if they did: counted, listed, and readable without the schema', async () => {
  const { name, raw } = await withOldValues()
  const contacts = space.db.sub(name, { schema: zodContact })
  assert.is(await contacts.get('b'), null)
  assert.equal(await collectKeys(contacts.createReadStream({ limit: 2 })), ['a', 'c'])
  const refusal = space.refusals().find(({ reason }) => reason === 'schema-mismatch')
  assert.is(refusal?.writer, space.writer)
  const [misfit, ...more] = await collect(contacts.misfits())
  assert.equal(more, [])
  assert.is(misfit?.key, 'b')
  assert.equal(misfit?.value, { fullName: 'Bob' })
  assert.equal(
    misfit?.issues.map(({ path }) => path),
    [['name'], ['email']]
  )
  assert.equal((await raw.get('b'))?.value, { fullName: 'Bob' })
  await contacts.put('b', { name: 'Bob', email: 'bob@example.org' })
  assert.equal(await collect(contacts.misfits()), [])
  assert.is((await contacts.get('b'))?.value.name, 'Bob')
})

test('misfits: none without a schema', async () => {
  const { raw } = await withOldValues()
  assert.equal(await collect(raw.misfits()), [])
})

test('at reading, of a schema that answers later only what it can tell at once counts', async () => {
  const name = freshName()
  const raw = space.db.sub(name)
  await raw.put('odd', { n: 3 })
  await raw.put('text', { n: 'x' })
  for (let round = 0; round < 2; round++) {
    const byZod = space.db.sub(name, { schema: laterZod })
    assert.equal(await collectKeys(byZod.createReadStream()), ['odd'])
    assert.equal(await collectKeys(byZod.misfits()), ['text'])
    const byValibot = space.db.sub(name, { schema: laterValibot })
    assert.equal(await collectKeys(byValibot.createReadStream()), ['odd', 'text'])
  }
})

test('another device that writes what does not fit changes nothing here but a count', async () => {
  const two = await openTwoDevices()
  try {
    two.connect()
    const mine = two.spaceA.db.sub('contacts', { schema: zodContact })
    const theirs = two.spaceB.db.sub('contacts')
    const changes = mine.watch()
    await theirs.put('bad', { email: 5 })
    await theirs.put('good', { name: 'G', email: 'g@example.org' })
    const { value: change } = await changes.next()
    assert.is(change?.key, 'good')
    const refused = () => two.spaceA.refusals().filter(({ reason }) => reason === 'schema-mismatch')
    assert.is(await mine.get('bad'), null)
    assert.equal(
      refused().map(({ writer, count }) => [writer, count]),
      [[two.spaceB.writer, 1]]
    )
    await collect(mine.createReadStream())
    assert.is(refused()[0]?.count, 1, 'one place counts once')
    await changes.return?.()
  } finally {
    await two.close()
  }
})

test('a conflict that does not fit is left out of the conflicts', async () => {
  const two = await openTwoDevices()
  try {
    const cut = two.connect()
    await until(() => two.spaceA.writers().length === 2 && two.spaceB.writers().length === 2)
    cut()
    await two.spaceA.db.sub('n').put('k', 'text')
    await two.spaceB.db.sub('n').put('k', 1)
    two.connect()
    const raw = two.spaceA.db.sub('n')
    await until(async () => (await raw.get('k'))?.conflicts.length === 1)
    const numbers = await two.spaceA.db.sub('n', { schema: z.number() }).get('k')
    const texts = await two.spaceA.db.sub('n', { schema: z.string() }).get('k')
    const shown = [numbers, texts].filter((entry) => entry !== null)
    assert.is(shown.length, 1, 'only the winner is shown')
    assert.equal(shown[0]?.conflicts, [])
  } finally {
    await two.close()
  }
})

test('a schema that never answers holds up no closing: what waits for it is refused', async () => {
  const other = await device.createSpace()
  const schema = z.string().refine(() => new Promise<boolean>(() => {}))
  const db = other.db.sub('never', { schema })
  const waiting = db.put('a', 'x').catch((error: unknown) => error)
  const behind = db.put('b', 'y').catch((error: unknown) => error)
  await other.close()
  for (const outcome of [await waiting, await behind]) {
    assert.ok(isManyhandsError(outcome, 'BEE_CLOSED'))
  }
})

test.run()
