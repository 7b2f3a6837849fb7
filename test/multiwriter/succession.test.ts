/** A device goes on under new logs: when it is told to, after an unclean stop, in a copy; and nobody misses anything. */
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openStore, restoreBackup } from '../../core/native/index.ts'
import type { DeviceStore } from '../../core/index.ts'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
const newPath = () => join(folder.path, `device-${count++}`)
const openAt = (storage: string) => openDevice({ storage })
const fresh = () => openAt(newPath())

test.after(() => folder.remove())

async function closeAll(...devices: readonly Device[]): Promise<void> {
  for (const device of devices) await device.close()
}

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value
const lengthOf = (space: Space, writer: string) =>
  space.writers().find((each) => each.writer === writer)?.length
const rolesIn = (space: Space) =>
  space.members
    .list()
    .flatMap(({ role, devices }) => devices.map(({ device }) => `${device} ${role ?? '-'}`))
    .toSorted()

test('rotation: the founder keeps its place, the space its address, and everything its value', async () => {
  const [a, b] = await Promise.all([fresh(), fresh()])
  const before = await a.createSpace()
  const other = await b.openSpace(before.ticket)
  await before.addWriter(other.writer)
  const cut = connect(before, other)
  await before.db.put('old', 1)
  await before.db.put('both', 'old')
  await before.db.counter('hits').add(2)
  await before.db.set('tags').add('a')
  await until(async () => (await valueIn(other, 'old')) === 1)
  const oldLength = lengthOf(before, before.writer)
  cut()

  const space = await a.rotate(before.address)
  assert.is(space.address, before.address)
  assert.is.not(space.writer, before.writer)
  await rejectsWith('BEE_CLOSED', () => before.db.put('x', 1))
  assert.equal(rolesIn(space), [`${a.id} owner`, `${b.id} writer`].toSorted())
  await space.db.put('new', 2)
  await space.db.put('both', 'new')
  await space.db.counter('hits').add(3)
  await space.db.set('tags').add('b')
  assert.is(lengthOf(space, before.writer), oldLength)

  connect(space, other)
  await until(async () => (await valueIn(other, 'new')) === 2)
  for (const each of [space, other]) {
    assert.equal(rolesIn(each), [`${a.id} owner`, `${b.id} writer`].toSorted())
    assert.is(await valueIn(each, 'old'), 1)
    assert.is(await valueIn(each, 'both'), 'new')
    assert.equal((await each.db.get('both'))?.conflicts ?? [], [])
    assert.is(await valueIn(each, 'hits'), 5)
    assert.equal(await valueIn(each, 'tags'), ['a', 'b'])
  }
  const [mine] = space.members.list().flatMap(({ devices }) => devices)
  assert.equal(mine?.writers, [before.writer, space.writer])
  await space.members.setRole(b.id, 'admin')
  await until(() => rolesIn(other).includes(`${b.id} admin`))
  await closeAll(a, b)
})

test('rotation: a device that joins late finds the whole chain, from a peer that is no member of it', async () => {
  const [a, b, c] = await Promise.all([fresh(), fresh(), fresh()])
  const founded = await a.createSpace({ open: true })
  const { address, ticket } = founded
  let space = founded
  for (let i = 0; i < 5; i++) {
    await space.db.put(`key-${i}`, i)
    space = await a.rotate(address)
  }
  const other = await b.openSpace(ticket)
  const cut = connect(space, other)
  await until(
    async () => (await valueIn(other, 'key-4')) === 4 && other.members.list().length === 2
  )
  cut()
  await a.close()
  // The first ticket has the first key only.
  const late = await c.openSpace(other.ticket)
  connect(other, late)
  await until(async () => (await valueIn(late, 'key-4')) === 4)
  for (let i = 0; i < 5; i++) assert.is(await valueIn(late, `key-${i}`), i)
  await closeAll(b, c)
})

/** As if the machine had stopped while the store was open. */
const stopUncleanly = (storage: string) =>
  writeFile(join(storage, 'running'), JSON.stringify({ boot: 'another', durability: 'os' }))

test('an unclean stop: the device writes on at once, offline, in all its spaces, and says why', async () => {
  const storage = newPath()
  const first = await openAt(storage)
  const founded = [await first.createSpace(), await first.createSpace()]
  for (const space of founded) await space.db.put('before', 1)
  await first.close()
  await stopUncleanly(storage)

  const again = await openAt(storage)
  assert.match(again.rolledBack ?? '', /machine stopped/)
  for (const { address, writer } of founded) {
    const space = await again.openSpace(address)
    await space.db.put('after', 2)
    assert.is.not(space.writer, writer)
    assert.equal([await valueIn(space, 'before'), await valueIn(space, 'after')], [1, 2])
    assert.equal(rolesIn(space), [`${again.id} owner`])
  }
  await again.close()
  const third = await openAt(storage)
  assert.is(third.rolledBack, null)
  await third.close()
})

test('an unclean stop before a device was let in: it is let in with all its logs', async () => {
  const storage = newPath()
  const [a, first] = [await fresh(), await openAt(storage)]
  const space = await a.createSpace()
  const asking = await first.openSpace(space.ticket)
  await asking.db.put('before', 1)
  await first.close()
  await stopUncleanly(storage)
  const b = await openAt(storage)
  const other = await b.openSpace(space.address)
  await other.db.put('after', 2)
  connect(space, other)
  await until(() => space.members.asking().length === 1)
  await space.addWriter(other.writer)
  await until(
    async () => (await valueIn(space, 'before')) === 1 && (await valueIn(space, 'after')) === 2
  )
  assert.equal(rolesIn(space), [`${a.id} owner`, `${b.id} writer`].toSorted())
  await closeAll(a, b)
})

test('a copy of a store and its original both write on, and meet', async () => {
  const storage = newPath()
  const [first, b] = [await openAt(storage), await fresh()]
  const { address, ticket } = await first.createSpace({ open: true })
  const founded = await first.openSpace(address)
  await founded.db.put('shared', 1)
  await first.close()
  await cp(storage, `${storage}-copy`, { recursive: true, preserveTimestamps: true })
  const [original, copy] = [await openAt(storage), await openAt(`${storage}-copy`)]
  assert.equal([original.rolledBack, typeof copy.rolledBack], [null, 'string'])
  const spaces = [await original.openSpace(address), await copy.openSpace(address)] as const
  for (const [i, space] of spaces.entries()) await space.db.put(`from-${i}`, i)
  const other = await b.openSpace(ticket)
  for (const space of spaces) connect(space, other)
  await until(
    async () => (await valueIn(other, 'from-0')) === 0 && (await valueIn(other, 'from-1')) === 1
  )
  await until(async () => (await valueIn(spaces[0], 'from-1')) === 1)
  await closeAll(original, copy, b)
})

test('both copies go on from the same logs: one asks to be let in again, and what it writes from then on counts', async () => {
  const storage = newPath()
  const [b, c, first] = [await fresh(), await fresh(), await openAt(storage)]
  const space = await b.createSpace()
  const { address, ticket } = space
  const joined = await first.openSpace(ticket)
  await space.addWriter(joined.writer)
  const cut = connect(space, joined)
  await until(() => joined.members.list().length === 2)
  assert.ok(await joined.members.acknowledge())
  cut()
  await first.close()
  await cp(storage, `${storage}-copy`, { recursive: true, preserveTimestamps: true })
  const copy = await openAt(`${storage}-copy`)
  const copied = await copy.openSpace(address)
  await copied.db.put('copy', 1)
  connect(space, copied)
  await until(async () => (await valueIn(space, 'copy')) === 1)
  await space.members.acknowledge()

  const original = await openAt(storage)
  const rotated = await original.rotate(address)
  await rotated.db.put('offline', 'kept')
  connect(space, rotated)
  // Whoever acknowledged one of them decides.
  await until(() =>
    space.members.list().some(({ devices }) => devices[0]?.writers.includes(copied.writer) === true)
  )
  await until(() => rotated.writers().length > 2)
  await until(() => rejects(() => rotated.db.put('lost', 1)))
  await original.close()
  assert.is(await valueIn(space, 'copy'), 1)

  const again = await openAt(storage)
  const fresher = await again.openSpace(address)
  connect(space, fresher)
  await until(() => space.members.asking().some(({ device }) => device === again.id))
  await space.members.admit(fresher.writer, 'writer')
  await fresher.db.put('original', 2)
  await until(async () => (await valueIn(space, 'original')) === 2)
  await until(async () => (await valueIn(copied, 'original')) === 2)
  for (const each of [space, copied]) assert.is(await valueIn(each, 'offline'), 'kept')
  await closeAll(again, copy, b, c)
})

for (const joined of [null, 0, 1] as const) {
  const who = joined === null ? 'alone' : `that was alone, and copy ${joined} has let somebody in`
  test(`two copies of a founder ${who}, go on from the same logs: they come to one result, and nothing is lost`, async () => {
    const storages = [newPath(), newPath()] as const
    const first = await openAt(storages[0])
    const { address } = await first.createSpace()
    await (await first.openSpace(address)).db.put('before', 'both')
    await first.close()
    await cp(storages[0], storages[1], { recursive: true, preserveTimestamps: true })
    const copies = [await openAt(storages[0]), await openAt(storages[1])] as const
    const spaces = [await copies[0].rotate(address), await copies[1].rotate(address)] as const
    for (const [i, space] of spaces.entries()) await space.db.put(`copy-${i}`, i)
    const [friend, others] = [await fresh(), new Set<Space>()]
    if (joined !== null) {
      const theirs = await friend.openSpace(spaces[joined].ticket)
      others.add(theirs)
      await spaces[joined].addWriter(theirs.writer)
      connect(spaces[joined], theirs)
      await until(() => rolesIn(theirs).includes(`${friend.id} writer`))
      await theirs.db.put('friend', 'writes')
      assert.ok(await theirs.members.acknowledge())
      await until(async () => (await valueIn(spaces[joined], 'friend')) === 'writes')
    }

    const cut = connect(...spaces)
    const areIn = () =>
      Promise.all(spaces.map(async (space) => !(await rejects(() => space.db.put('late', 1)))))
    await until(async () => (await areIn()).filter((isIn) => isIn).length === 1)
    const kept = (await areIn())[0] ? 0 : 1
    if (joined !== null) assert.is(kept, joined)
    cut()
    const lost = 1 - kept
    await copies[lost]?.close()
    const again = await openAt(storages[lost] ?? '')
    const [winner, asking] = [spaces[kept], await again.openSpace(address)]
    connect(winner, asking)
    await until(() => winner.members.asking().some(({ device }) => device === again.id))
    await winner.members.admit(asking.writer, 'writer')
    await asking.db.put('again', 'in')
    await winner.db.put('winner', 'goes on')
    for (const space of [winner, asking, ...others])
      await until(async () => (await keysIn(space)) === (joined === null ? ALONE : WITH_FRIEND))
    await closeAll(copies[kept], again, friend)
  })
}

const ALONE = 'again,before,copy-0,copy-1,late,winner'
const WITH_FRIEND = 'again,before,copy-0,copy-1,friend,late,winner'

async function keysIn(space: Space): Promise<string> {
  const keys: string[] = []
  for await (const { key } of space.db.createReadStream()) keys.push(key)
  return keys.join()
}

async function rejects(task: () => Promise<unknown>): Promise<boolean> {
  return task().then(
    () => false,
    () => true
  )
}

test('a device whose rights have ended is not helped by new logs', async () => {
  const storage = newPath()
  const [a, b] = [await fresh(), await openAt(storage)]
  const space = await a.createSpace()
  const other = await b.openSpace(space.ticket)
  await space.addWriter(other.writer)
  connect(space, other)
  await until(() => other.members.list().length === 2)
  await other.db.put('kept', 1)
  await until(async () => (await valueIn(space, 'kept')) === 1)
  await space.members.revoke(b.id)
  await until(() => rejects(() => other.db.put('x', 1)))
  await rejectsWith('NOT_ALLOWED', () => b.rotate(space.address))
  await b.close()
  await stopUncleanly(storage)
  const again = await openAt(storage)
  const reopened = await again.openSpace(space.address)
  await rejectsWith('NOT_ALLOWED', () => reopened.db.put('x', 1))
  connect(space, reopened)
  assert.is(await valueIn(space, 'kept'), 1)
  assert.equal(rolesIn(space), [`${a.id} owner`, `${b.id} -`].toSorted())
  await closeAll(a, again)
})

test('rotation: logs that are written no more hold up no pruning', async () => {
  const [a, b] = await Promise.all([fresh(), fresh()])
  const before = await a.createSpace({ open: true, mode: 'stream' })
  const other = await b.openSpace(before.ticket)
  let cut = connect(before, other)
  for (let i = 0; i < 3; i++) await other.db.put(`key-${i}`, 'theirs')
  await until(async () => (await valueIn(before, 'key-2')) === 'theirs')
  cut()
  const space = await a.rotate(before.address)
  cut = connect(space, other)
  for (let i = 0; i < 3; i++) await space.db.put(`key-${i}`, 'ours')
  await until(async () => (await valueIn(other, 'key-2')) === 'ours')
  assert.is((await other.compact()).pruned, 3)
  for (const each of [space, other]) {
    for (let i = 0; i < 3; i++) assert.is(await valueIn(each, `key-${i}`), 'ours')
  }
  cut()
  await closeAll(a, b)
})

test('a seal below what new logs go on from ends them as well, and raising it brings them back', async () => {
  const [a, b] = await Promise.all([fresh(), fresh()])
  const space = await a.createSpace()
  const joined = await b.openSpace(space.ticket)
  await space.addWriter(joined.writer)
  let cut = connect(space, joined)
  await until(() => joined.members.list().length === 2)
  await joined.db.put('early', 1)
  await until(async () => (await valueIn(space, 'early')) === 1)
  cut()
  await joined.db.put('unheard', 2)
  const rotated = await b.rotate(space.address)
  await rotated.db.put('new', 3)
  await space.members.revoke(b.id)
  cut = connect(space, rotated)
  await until(() => rolesIn(rotated).includes(`${b.id} -`))
  await rejectsWith('NOT_ALLOWED', () => rotated.db.put('x', 1))
  assert.equal([await valueIn(space, 'early'), await valueIn(space, 'unheard')], [1, undefined])
  assert.is(await valueIn(space, 'new'), undefined)
  cut()
  await closeAll(a, b)
})

test('rotation: over connections that stay, and what is typed in open documents goes on arriving', async () => {
  const [a, b] = await Promise.all([fresh(), fresh()])
  const before = await a.createSpace({ open: true })
  const other = await b.openSpace(before.ticket)
  const cut = connect(a, b)
  const theirs = await other.documents.open('notes')
  const text = () => theirs.doc.getText('t').toJSON()
  const first = await before.documents.open('notes')
  first.doc.getText('t').insert(0, 'one ')
  await until(() => text() === 'one ')
  // Typed just now, and not on any log yet.
  first.doc.getText('t').insert(4, 'two ')
  const space = await a.rotate(before.address)
  const document = await space.documents.open('notes')
  assert.is(document.doc.getText('t').toJSON(), 'one two ')
  document.doc.getText('t').insert(8, 'three')
  await space.db.put('key', 'new')
  await until(async () => text() === 'one two three' && (await valueIn(other, 'key')) === 'new')
  await theirs.flush()
  theirs.doc.getText('t').insert(0, 'zero ')
  await until(() => document.doc.getText('t').toJSON() === 'zero one two three')
  cut()
  await closeAll(a, b)
})

test('rotation: a backup holds all logs, and what is restored of it is another device', async () => {
  const a = await fresh()
  let space = await a.createSpace({ open: true })
  const { address } = space
  for (let i = 0; i < 3; i++) {
    await space.db.put(`key-${i}`, i)
    space = await a.rotate(address)
  }
  await space.db.put('key-3', 3)
  const path = newPath()
  const report = await restoreBackup(path, a.backup(null))
  assert.is(report.logs, 8)
  const restored = await openAt(path)
  const same = await restored.openSpace(address)
  for (let i = 0; i < 4; i++) assert.is(await valueIn(same, `key-${i}`), i)
  assert.is.not(restored.id, a.id)
  assert.equal(rolesIn(same), [`${a.id} owner`])
  await same.db.put('restored', 1)
  connect(space, same)
  await until(async () => (await valueIn(space, 'restored')) === 1)
  await until(() => rolesIn(space).includes(`${restored.id} writer`))
  await closeAll(a, restored)
})

test('rotation: an owner goes on voting', async () => {
  const [a, b, c] = await Promise.all([fresh(), fresh(), fresh()])
  let space = await a.createSpace({ open: true })
  let second = await b.openSpace(space.ticket)
  const third = await c.openSpace(space.ticket)
  const cuts = [connect(a, b), connect(b, c)]
  const isEverywhere = (role: string, of: Device) =>
    until(() => [space, second, third].every((each) => rolesIn(each).includes(`${of.id} ${role}`)))
  await isEverywhere('writer', c)
  await space.members.setRole(b.id, 'owner')
  await isEverywhere('owner', b)
  space = await a.rotate(space.address)
  second = await b.rotate(space.address)
  await space.members.setRole(c.id, 'owner')
  await until(() => second.members.ballots().length === 1)
  await second.members.setRole(c.id, 'owner')
  await isEverywhere('owner', c)
  for (const cut of cuts) cut()
  await closeAll(a, b, c)
})

test('rotation: documents, versions, links and history go through all logs', async () => {
  const storage = newPath()
  const [a, b] = [await openAt(storage), await fresh()]
  let space = await a.createSpace({ open: true })
  const { address, ticket } = space
  const writers: string[] = []
  for (let i = 0; i < 3; i++) {
    writers.push(space.writer)
    const document = await space.documents.open('notes')
    document.doc.getText('t').insert(0, `${i} `)
    await document.flush()
    await document.close()
    await space.db.put('key', i)
    space = await a.rotate(address)
  }
  const versions: string[] = [await space.version()]
  const link = await space.link({ key: 'key', version: versions[0] ?? '' })
  space = await a.rotate(address)
  await space.db.put('key', 'last')
  const other = await b.openSpace(ticket)
  connect(space, other)
  await until(async () => (await valueIn(other, 'key')) === 'last')
  for (const each of [space, other]) {
    const document = await each.documents.open('notes')
    await until(() => document.doc.getText('t').toJSON().length === 6)
    assert.is(document.doc.getText('t').toJSON(), '2 1 0 ')
    assert.equal(
      document.authorship().map(({ writer, isProven }) => [writer, isProven]),
      writers.toReversed().map((writer) => [writer, true])
    )
    await document.close()
    assert.is((await each.checkout(versions[0] ?? '').db.get('key'))?.value, 2)
    const values: unknown[] = []
    for await (const { value } of each.db.createHistoryStream()) values.push(value)
    assert.equal(values, [0, 1, 2, 'last'])
    assert.is((await each.openLink(link)).key, 'key')
  }
  assert.equal(await space.check(), [])
  await closeAll(a, b)
})

test('crash points: whatever step a rotation ends at, the next opening finishes it', async () => {
  const storage = newPath()
  const first = await openAt(storage)
  const { address } = await first.createSpace()
  await (await first.openSpace(address)).db.put('before', 1)
  await first.close()
  const steps: ((path: string) => Promise<void>)[] = [
    // The salt is saved, and nothing else.
    (path) =>
      withRawStore(path, (store) => store.succeed(store.spaces[0]?.address ?? NO_KEY, null)),
    // Twice: what was begun was never used.
    (path) =>
      withRawStore(path, async (store) => {
        for (let i = 0; i < 2; i++) await store.succeed(store.spaces[0]?.address ?? NO_KEY, null)
      }),
    // The new logs are there, and empty.
    (path) =>
      withRawStore(path, async (store) => {
        await store.succeed(store.spaces[0]?.address ?? NO_KEY, null)
        const salt = store.secrets.spaces[0]?.later.at(-1) ?? NO_KEY
        for (const use of ['acl', 'data']) await (await store.ownLog(use, salt, null)).close()
      }),
    // The succession is written, and nothing else; then the machine stops.
    async (path) => {
      const device = await openAt(path)
      await device.rotate(address)
      await device.close()
      await stopUncleanly(path)
    }
  ]
  for (const [i, step] of steps.entries()) {
    const path = `${storage}-${i}`
    await cp(storage, path, { recursive: true })
    await step(path)
    const device = await openAt(path)
    const space = await device.openSpace(address)
    await space.db.put('after', i)
    assert.equal([await valueIn(space, 'before'), await valueIn(space, 'after')], [1, i])
    assert.equal(rolesIn(space), [`${device.id} owner`], `step ${i}`)
    assert.is(space.members.list()[0]?.devices[0]?.writers.at(-1), space.writer)
    await device.close()
    await rm(path, { recursive: true })
  }
})

const NO_KEY = new Uint8Array(32)

async function withRawStore(
  path: string,
  body: (store: DeviceStore) => Promise<void>
): Promise<void> {
  const store = await openStore(path)
  try {
    await body(store)
  } finally {
    await store.close()
  }
}

test.run()
