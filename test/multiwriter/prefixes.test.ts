/** Writers that may write below some prefixes only: how those are spelled, and that they bind everywhere. */
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, LiveDocument, Space } from '../../multiwriter/index.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { Keyspace, SECTION_DELETIONS, SECTION_METADATA } from '../../multiwriter/keyspace.ts'
import { ACKNOWLEDGED_KEY } from '../../multiwriter/log-section.ts'
import { isWithin, prefixesOf, prefixToText } from '../../multiwriter/prefixes.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
const fresh = () => openDevice({ storage: join(folder.path, `device-${count++}`) })

test.after(() => folder.remove())

const dbKey = (path: readonly string[], key: string) => new Keyspace(path).encode(b4a.from(key))
const update = (id: string) => new UpdateKeys(id).at(7)
const told = (section: number, id: string) => new Keyspace([], section).encode(b4a.from(id))

test('prefixes: what each spelling lets be written, and nothing beside it', () => {
  const keys = {
    root: dbKey([], 'a'),
    contact: dbKey(['contacts'], 'ann'),
    inner: dbKey(['contacts', 'work'], 'ann'),
    longer: dbKey(['contacts2'], 'ann'),
    todo: update('todo'),
    title: told(SECTION_METADATA, 'todo'),
    deletion: told(SECTION_DELETIONS, 'todo'),
    todos: update('todos'),
    otherTitle: told(SECTION_METADATA, 'todos')
  }
  const of = (...texts: readonly string[]) =>
    Object.entries(keys).flatMap(([name, key]) => (isWithin(key, prefixesOf(texts)) ? name : []))
  const document = ['todo', 'title', 'deletion']
  const both = [...document, 'todos', 'otherTitle']
  assert.equal(of('db'), ['root', 'contact', 'inner', 'longer'])
  assert.equal(of('db/'), ['root'])
  assert.equal(of('db:contacts'), ['contact', 'inner'])
  assert.equal(of('db:contacts/'), ['contact'])
  assert.equal(of('db:contacts/a'), ['contact'])
  assert.equal(of('db:contacts/b'), [])
  assert.equal(of('db:contacts:work'), ['inner'])
  assert.equal(of('documents:todo'), document)
  assert.equal(of('documents/todo'), both)
  assert.equal(of('documents'), both)
  assert.equal(of('db:contacts', 'documents:todo'), ['contact', 'inner', ...document])
  assert.equal(of(), [])
  assert.ok(isWithin(ACKNOWLEDGED_KEY, []), 'what a log says of itself is its own')
})

test('prefixes: what is spelled is told the same, and nothing else is taken', () => {
  for (const text of [
    'db',
    'db/',
    'db:a:b',
    'db:a%2Fb/c/d',
    'documents',
    'documents:a%2Fb',
    'documents/a/'
  ]) {
    assert.equal(prefixesOf([text])?.map(prefixToText), [text])
  }
  assert.equal(prefixesOf(['db:Öl/ä'])?.map(prefixToText), ['db:%C3%96l/%C3%A4'])
  for (const bytes of [[], [0x30, 1], [0x10, 3, 97], [0x20, 9, 97], [0x21, 1, 97], [1, 0]]) {
    assert.match(prefixToText(new Uint8Array(bytes)), /^0x/)
  }
  for (const bad of ['', 'contacts', 'db:', 'db:%zz', 'documents:a:b', 'documents:a/b', 7, null]) {
    assert.throws(() => prefixesOf([bad]), /prefixes/)
  }
  assert.throws(() => prefixesOf('db'), /prefixes/)
  assert.is(prefixesOf(undefined), null)
})

/** A founder, one who was let in below `db:contacts` and `documents:todo` after it had written offline, and a reader; all have met. */
async function withNarrow(
  run: (spaces: [Space, Space, Space], devices: [Device, Device, Device]) => Promise<void>,
  offline: (space: Space) => Promise<void>
): Promise<void> {
  const devices = [await fresh(), await fresh(), await fresh()] as const
  const [one, two, three] = devices
  const a = await one.createSpace()
  const b = await two.openSpace(a.ticket)
  const c = await three.openSpace(a.ticket)
  try {
    await offline(b)
    const cuts = [connect(a, b), connect(a, c)]
    await until(() => a.members.asking().length === 2)
    await a.members.admit(b.writer, 'writer', { prefixes: ['db:contacts', 'documents:todo'] })
    await a.members.admit(c.writer, 'reader')
    await until(async () => (await c.db.sub('contacts').get('in')) !== null)
    for (const space of [b, c]) await until(() => space.members.list().length === 3)
    await run([a, b, c], [...devices])
    for (const cut of cuts) cut()
  } finally {
    for (const device of devices) await device.close()
  }
}

const outside = (space: Space, writer: string) =>
  space.refusals().find((each) => each.writer === writer && each.reason === 'outside-prefixes')

test('prefixes: what its writer may not write counts on no device, is counted and shown, however it is read', () =>
  withNarrow(
    async ([a, b, c]) => {
      await a.db.put('shared', 'by a')
      await until(async () => (await c.db.get('shared')) !== null)
      const version = await a.version()
      for (const space of [a, b, c]) {
        assert.is(await space.db.get('out'), null)
        const keys = []
        for await (const { key } of space.db.createReadStream()) keys.push(key)
        assert.equal(
          keys.filter((key) => key === 'out'),
          []
        )
        assert.is((await space.db.sub('contacts').get('in'))?.value, 1)
        assert.ok((outside(space, b.writer)?.count ?? 0) > 0, 'counted')
        const why = await space.db.why('out')
        assert.equal(
          why?.entries.map(({ refusal }) => refusal),
          ['outside-prefixes']
        )
        for await (const { key } of space.db.createHistoryStream()) assert.is.not(key, 'out')
        assert.is(
          await space
            .checkout(version)
            .db.get('out')
            .catch(() => null),
          null
        )
      }
      assert.is((await a.db.get('shared'))?.value, 'by a')
      assert.equal(
        (await a.db.get('shared'))?.conflicts,
        [],
        'no conflict with what does not count'
      )
      assert.equal(a.members.list().find(({ role }) => role === 'writer')?.prefixes, [
        'db:contacts',
        'documents:todo'
      ])
    },
    async (b) => {
      await b.db.put('out', 1)
      await b.db.put('shared', 'by b')
      await b.db.sub('contacts').put('in', 1)
    }
  ))

test('prefixes: the writer is told at once, and nothing is written', () =>
  withNarrow(
    async ([, b], [, two]) => {
      await b.db.get('in')
      const length = b.writers().find(({ isOwn }) => isOwn)?.length
      await rejectsWith('NOT_ALLOWED', () => b.db.put('out', 1), /db:contacts, documents:todo/)
      const batch = b.db.batch()
      batch.put('out', 2)
      await rejectsWith('NOT_ALLOWED', () => batch.flush())
      assert.is(b.writers().find(({ isOwn }) => isOwn)?.length, length)
      const results = await Promise.allSettled([
        b.db.put('out', 3),
        b.db.sub('contacts').put('in', 2)
      ])
      assert.equal(
        results.map(({ status }) => status),
        ['rejected', 'fulfilled']
      )
      assert.is(b.members.list().find(({ isOwn }) => isOwn)?.devices[0]?.device, two.id)
    },
    async (b) => void (await b.db.sub('contacts').put('in', 1))
  ))

test('prefixes: documents outside of them do not show, those inside do, typed or saved', () =>
  withNarrow(
    async ([a, b, c]) => {
      const text = async (space: Space, id: string) => {
        const live = await space.documents.open(id)
        const now = live.doc.getText('text').toJSON()
        await live.close()
        return now
      }
      for (const space of [a, c]) {
        await until(async () => (await text(space, 'todo')) === 'mine')
        assert.is(await text(space, 'other'), '')
        const listed = []
        for await (const { id } of space.documents.list()) listed.push(id)
        assert.equal(listed, ['todo'])
      }
      const seen = await c.documents.open('other')
      const typed = await b.documents.open('other')
      typed.doc.getText('text').insert(0, 'more ')
      await rejectsWith('NOT_ALLOWED', () => typed.flush())
      assert.is(seen.doc.getText('text').toJSON(), '')
      await a.members.setRole(b.members.list().find(({ isOwn }) => isOwn)?.identity ?? '', 'writer')
      const shown = () => seen.doc.getText('text').toJSON()
      await until(() => shown().includes('others’') && shown().includes('more '))
      await seen.close()
      await typed.close()
    },
    async (b) => {
      await b.db.sub('contacts').put('in', 1)
      for (const [id, words] of [
        ['todo', 'mine'],
        ['other', 'others’']
      ] as const) {
        const live = await b.documents.open(id)
        live.doc.getText('text').insert(0, words)
        await live.close()
      }
    }
  ))

test('prefixes: what was read of a writer before its grant was known is taken out again, of open documents and closed ones', async () => {
  const devices = [await fresh(), await fresh(), await fresh()] as const
  const [one, two, three] = devices
  const a = await one.createSpace()
  const [b, c] = [await two.openSpace(a.ticket), await three.openSpace(a.ticket)]
  for (const id of ['other', 'closed']) {
    const typed = await b.documents.open(id)
    typed.doc.getText('text').insert(0, 'not theirs')
    await typed.flush()
  }
  await b.db.put('out', 1)
  await c.addWriter(b.writer)
  const cuts = [connect(b, c)]
  const text = ({ doc }: LiveDocument) => doc.getText('text').toJSON()
  const open = await c.documents.open('other')
  await until(() => text(open) === 'not theirs')
  open.doc.getText('text').insert(10, ', mine')
  const closed = await c.documents.open('closed')
  await until(() => text(closed) === 'not theirs')
  await closed.close()
  await until(async () => (await c.db.get('out'))?.value === 1)
  cuts.push(connect(a, b), connect(a, c))
  await until(() => a.members.asking().length === 2)
  const changes = c.db.watch()
  const change = changes.next()
  await a.members.admit(b.writer, 'writer', { prefixes: ['documents:todo'] })
  await until(() => text(open) === ', mine')
  const { value } = await change
  assert.equal([value?.key, value?.current, value?.previous?.value], ['out', null, 1])
  await changes.return?.()
  await open.close()
  assert.is(text(await c.documents.open('other')), ', mine')
  assert.is(text(await c.documents.open('closed')), '', 'it was kept as it was')
  for (const cut of cuts) cut()
  for (const device of devices) await device.close()
})

test('prefixes: what a narrowed writer had written elsewhere is told as it leaves the view, listed, and comes back when it is restored', async () => {
  const devices = [await fresh(), await fresh(), await fresh()] as const
  const [one, two, three] = devices
  const a = await one.createSpace()
  const [b, c] = [await two.openSpace(a.ticket), await three.openSpace(a.ticket)]
  await a.db.put('both', 'by a')
  await b.db.put('out', 1)
  await b.db.sub('contacts').put('in', 1)
  for (const id of ['todo', 'other']) {
    const live = await b.documents.open(id)
    live.doc.getText('text').insert(0, 'theirs')
    await live.close()
  }
  await c.addWriter(b.writer)
  const cuts = [connect(b, c)]
  const text = async (id: string) => {
    const live = await c.documents.open(id)
    const now = live.doc.getText('text').toJSON()
    await live.close()
    return now
  }
  await until(async () => (await c.db.get('out'))?.value === 1 && (await text('other')) !== '')
  const told = new Promise((resolve) => c.once('sealed', resolve))
  cuts.push(connect(a, b), connect(a, c))
  await until(() => a.members.asking().length === 2)
  await a.members.admit(b.writer, 'writer', { prefixes: ['db:contacts', 'documents:todo'] })
  const left = { documents: ['other'], writers: [b.writer] }
  assert.equal(await told, { ...left, left: [{ key: 'db/out', value: 1 }] })
  await until(async () => (await a.db.sub('contacts').get('in')) !== null)
  for (const space of [a, c]) {
    await until(async () => (await space.members.excluded())[0]?.documents.length === 1)
    const [work, ...others] = await space.members.excluded()
    assert.equal(others, [])
    assert.equal([work?.writer, work?.documents], [b.writer, ['other']])
    assert.equal(work?.entries, [{ key: 'db/out', value: 1 }])
  }
  await a.members.restore(two.id)
  for (const space of [a, c]) {
    await until(async () => (await space.db.get('out'))?.value === 1)
    await until(async () => (await space.members.excluded()).length === 0)
  }
  await until(async () => (await text('other')) === 'theirs')
  assert.equal(
    a.members
      .list()
      .find(({ prefixes }) => prefixes !== null)
      ?.prefixes?.toSorted(),
    ['db/out', 'db:contacts', 'documents:other', 'documents:todo']
  )
  await rejectsWith('NOT_ALLOWED', () => b.db.put('elsewhere', 1))
  for (const cut of cuts) cut()
  for (const device of devices) await device.close()
})

test('prefixes: of a writer that wrote in many places elsewhere, the sub-databases are let in', () =>
  withNarrow(
    async ([a, , c], [, two]) => {
      await a.members.restore(two.id)
      await until(async () => (await c.db.sub('many').get('key-69'))?.value === 69)
      const { prefixes } = a.members.list().find(({ role }) => role === 'writer') ?? {}
      assert.equal(prefixes?.toSorted(), ['db:contacts', 'db:many/', 'documents:todo'])
    },
    async (b) => {
      const many = b.db.sub('many')
      for (let i = 0; i < 70; i++) await many.put(`key-${i}`, i)
      await b.db.sub('contacts').put('in', 1)
    }
  ))

test('prefixes: let in elsewhere, too, all that a writer has written there counts, and whoever watches is told', () =>
  withNarrow(
    async ([a, b, c], [, two]) => {
      const watcher = c.db.watch()
      const next = watcher.next()
      await rejectsWith('INVALID_ARGUMENT', () =>
        a.members.setRole(two.id, 'admin', { prefixes: ['db'] })
      )
      await a.members.setRole(two.id, 'writer', { prefixes: ['db/o'] })
      const { value } = await next
      assert.equal([value?.key, value?.current?.value, value?.previous], ['out', 1, null])
      await watcher.return?.()
      for (const space of [a, b]) await until(async () => (await space.db.get('out'))?.value === 1)
      await rejectsWith('NOT_ALLOWED', () => b.db.put('elsewhere', 1))
      await b.db.put('o', 1)
      await rejectsWith('INVALID_ARGUMENT', () => a.members.setRole(two.id, 'reader'))
      await a.members.setRole(two.id, 'writer')
      await until(() => b.members.list().find(({ isOwn }) => isOwn)?.prefixes === null)
      await b.db.put('elsewhere', 1)
      await rejectsWith('INVALID_ARGUMENT', () =>
        a.members.setRole(two.id, 'writer', { prefixes: ['db'] })
      )
    },
    async (b) => {
      await b.db.put('out', 1)
      await b.db.sub('contacts').put('in', 1)
    }
  ))

test.run()
