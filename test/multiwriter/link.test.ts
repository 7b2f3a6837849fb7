/** Links made on one device and opened on another: what they lead to, and whether it is what was meant. */
import { readFile } from 'node:fs/promises'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { z } from 'zod'
import { decodeVersion, encodeVersion } from '../../clock/index.ts'
import { hash, type Hypercore } from '../../core/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import type { MultiBee, Space } from '../../multiwriter/index.ts'
import { linkHash } from '../../multiwriter/strong-link.ts'
import { encryptionOf } from '../support/encryption.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { connect, openTwoDevices, until } from '../support/devices.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { rejectsWith } from '../support/rejects.ts'
import { serve } from '../support/serve.ts'
import { openLogStore } from '../support/tree.ts'
import { haveMet } from '../support/shown.ts'
import { within } from '../support/within.ts'

test('a link made here leads there: to the space, a sub-database, a key', async () => {
  const two = await openTwoDevices()
  two.connect()
  await two.spaceA.db.put('contacts/ann', { phone: '1' })
  await two.spaceA.db.sub('photos').sub('2026').put('cat & dog', 'x')
  await haveMet(two)
  await until(async () => (await two.spaceB.db.sub('photos').sub('2026').get('cat & dog')) !== null)

  const toSpace = await two.b.openLink(await two.spaceA.link())
  assert.is(toSpace.space, two.spaceB)
  assert.equal([toSpace.version, toSpace.key, toSpace.entry], [null, null, null])
  assert.equal(await collectKeys(toSpace.db.createReadStream()), ['contacts/ann'])

  const text = await two.spaceA.link({ key: 'contacts/ann' })
  assert.is(text, `manyhands://${two.spaceA.address}/db/contacts/ann`)
  const toKey = await two.b.openLink(text)
  assert.is(toKey.key, 'contacts/ann')
  assert.equal(toKey.entry?.value, { phone: '1' })

  const nested = await two.spaceA.link({ sub: ['photos', '2026'], key: 'cat & dog' })
  assert.is(nested, `manyhands://${two.spaceA.address}/db:photos:2026/cat%20%26%20dog`)
  assert.is((await two.b.openLink(nested)).entry?.value, 'x')
  const toSub = await two.b.openLink(await two.spaceA.link({ sub: 'photos' }))
  assert.is((await toSub.db.sub('2026').get('cat & dog'))?.value, 'x')
  assert.is((await two.b.openLink(await two.spaceA.link({ key: 'nothing here' }))).entry, null)
  await two.close()
})

test('a live link follows what is written later, one with a version stays', async () => {
  const two = await openTwoDevices()
  two.connect()
  await two.spaceA.db.put('k', 'old')
  await haveMet(two)
  const live = await two.spaceA.link({ key: 'k' })
  const fixed = await two.spaceA.link({ key: 'k', version: true })
  const strong = await two.spaceA.link({ key: 'k', strong: true })
  const past = await two.spaceA.version()
  await two.spaceA.db.put('k', 'new')
  await haveMet(two)
  assert.is((await two.b.openLink(live)).entry?.value, 'new')
  for (const link of [fixed, strong, await two.spaceA.link({ key: 'k', version: past })]) {
    const target = await two.b.openLink(link)
    assert.is(target.entry?.value, 'old')
    assert.is(target.version, past)
    await rejectsWith('READ_ONLY', () => target.db.put('k', 1))
  }
  assert.is(await two.spaceA.link({ key: 'k', version: past, strong: true }), strong)
  assert.is(await two.spaceB.link({ key: 'k', version: past, strong: true }), strong)
  await two.close()
})

test('what a link leads to can be closed without closing the space', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('k', 1)
  for (const version of [true, false]) {
    const { db } = await two.a.openLink(await two.spaceA.link({ key: 'k', version }))
    await db.close()
    assert.is((await two.spaceA.db.get('k'))?.value, 1)
  }
  await two.close()
})

test('keys of any encoding have links', async () => {
  const two = await openTwoDevices()
  const encodings = { keyEncoding: 'binary', valueEncoding: 'binary' } as const
  const raw = two.spaceA.db.sub<Uint8Array, Uint8Array>('raw', encodings)
  const key = Uint8Array.from([0, 255, 47, 46, 46, 47, 128])
  await raw.put(key, Uint8Array.from([1, 2]))
  const link = await two.spaceA.link({ sub: 'raw', key })
  const target = await two.a.openLink<Uint8Array, Uint8Array>(link, encodings)
  assert.equal([...(target.key ?? [])], [...key])
  assert.equal([...(target.entry?.value ?? [])], [1, 2])
  await rejectsWith('KEY_INVALID', () => two.a.openLink(link), /keyEncoding/)
  await two.close()
})

test('a device that is not in the space is told so, and so is one that gets the link of another space', async () => {
  const two = await openTwoDevices()
  const other = await two.a.createSpace()
  const link = await other.link({ key: 'k' })
  await rejectsWith('SPACE_UNKNOWN', () => two.b.openLink(link), /not in.*lets nobody in/)
  await rejectsWith('SPACE_UNKNOWN', () => two.spaceA.openLink(link), new RegExp(other.address))
  await two.close()
})

test('a space that is not open is opened', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('k', 1)
  const link = await two.spaceA.link({ key: 'k', strong: true })
  await two.spaceA.close()
  const { space, entry } = await two.a.openLink(link)
  assert.is(entry?.value, 1)
  assert.is(space, await two.a.openSpace(two.spaceA.address))
  await two.close()
})

test('what is no link, and options that are none, are refused', async () => {
  const two = await openTwoDevices()
  const version = await two.spaceA.version()
  await rejectsWith('LINK_INVALID', () => two.a.openLink('contacts/ann'))
  await rejectsWith('LINK_INVALID', () => two.a.openLink(null as unknown as string))
  const bad: [object, string][] = [
    [{ keys: 'k' }, 'INVALID_ARGUMENT'],
    [{ key: 5 }, 'KEY_INVALID'],
    [{ key: '' }, 'KEY_INVALID'],
    [{ key: 'x'.repeat(5000) }, 'KEY_INVALID'],
    [{ sub: '' }, 'INVALID_ARGUMENT'],
    [{ sub: 5 }, 'INVALID_ARGUMENT'],
    [{ sub: ['a', 5] }, 'INVALID_ARGUMENT'],
    [{ strong: 1 }, 'INVALID_ARGUMENT'],
    [{ strong: true, version: false }, 'INVALID_ARGUMENT'],
    [{ version: 'garbage' }, 'VERSION_INVALID'],
    [{ version: 5 }, 'INVALID_ARGUMENT'],
    [{ timeout: -1 }, 'INVALID_ARGUMENT']
  ]
  for (const [options, code] of bad) {
    await rejectsWith(code as 'KEY_INVALID', () => two.spaceA.link(options))
  }
  const link = await two.spaceA.link({ version })
  for (const options of [{ timeout: 0 }, { timeout: 'x' }, { wait: true }, { keyEncoding: 'x' }]) {
    await rejectsWith('INVALID_ARGUMENT', () => two.a.openLink(link, options as {}))
  }
  await two.close()
})

test('VERSION_UNAVAILABLE names the log that is not here so far', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('k', 1)
  const link = await two.spaceA.link({ key: 'k', version: true })
  const strong = await two.spaceA.link({ key: 'k', strong: true })
  const toDatabase = await two.spaceA.link({ version: true })
  for (const url of [link, strong, toDatabase]) {
    await rejectsWith('VERSION_UNAVAILABLE', () => two.b.openLink(url), RegExp(two.spaceA.address))
  }
  two.connect()
  await haveMet(two)
  for (const url of [link, strong]) assert.is((await two.b.openLink(url)).entry?.value, 1)
  await two.close()
})

/** As texts were before versions named membership logs. */
function withoutMembership(text: string): string {
  const version = decodeVersion(text)
  if (version === null) throw new Error('no version')
  return encodeVersion({ ...version, acl: [] })
}

/** Both of one writer, as a backup that was restored gives them: alike at first, then each with a past of its own. */
async function openTwoPasts(space: Space) {
  const { data } = encryptionOf(space)
  const stores = [await openLogStore(7), await openLogStore(7)] as const
  const cores = [await stores[0].own('data', data), await stores[1].own('data', data)] as const
  const put = async (core: Hypercore, name: string) => {
    await new TreeWriter(core).append([{ key: dbKey(name), value: entryOf(name) }])
  }
  for (const n of [0, 1]) await put(cores[0], `both-${n}`)
  // What is written twice is encrypted otherwise each time, so it is copied.
  const cut = connect(cores[0], cores[1])
  for (let seq = 0; seq < cores[0].length; seq++) await cores[1].get(seq)
  cut()
  for (let n = 2; n < 6; n++) await put(cores[0], `one-${n}`)
  for (let n = 2; n < 10; n++) await put(cores[1], `other-${n}`)
  const close = () => Promise.all(stores.map((store) => store.close()))
  return { cores, close }
}

test('LINK_MISMATCH: a log that its writer restored and wrote anew is not what a strong link meant', async () => {
  const two = await openTwoDevices({ open: false })
  const { cores, close } = await openTwoPasts(two.spaceA)
  await two.spaceA.addWriter(cores[0].key)
  await two.spaceB.addWriter(cores[0].key)
  const peers = [await serve(two.spaceA, cores[0]), await serve(two.spaceB, cores[1])]
  await until(async () => (await two.spaceA.db.get('one-5')) !== null)
  await until(async () => (await two.spaceB.db.get('other-9')) !== null)
  // The two have not met: neither holds the other's membership log.
  const version = withoutMembership(await two.spaceA.version())
  const strong = await two.spaceA.link({ key: 'both-0', version, strong: true })
  const weak = await two.spaceA.link({ key: 'both-0', version })
  const { message } = await rejectsWith('LINK_MISMATCH', () => two.b.openLink(strong))
  assert.match(message, z32.encode(cores[0].key))
  // Nobody said which past was meant, and one of that length there is.
  assert.is((await two.b.openLink(weak)).entry?.value, 'both-0')
  assert.is((await two.a.openLink(strong)).entry?.value, 'both-0', 'who held the log still has it')

  // The part that both pasts have in common is what was meant.
  const core = cores[0].key
  const tag = decodeVersion(await two.spaceA.version())?.space ?? core
  const both = encodeVersion({ space: tag, acl: [], data: [{ core, length: 2 }] })
  const common = await two.spaceA.link({ key: 'both-1', version: both, strong: true })
  assert.is((await two.b.openLink(common)).entry?.value, 'both-1')
  for (const peer of peers) peer.close()
  await two.close()
  await close()
})

test('a strong link holds after its log was cut: whoever had it has it, whoever had not never takes what came instead', async () => {
  const two = await openTwoDevices({ open: false })
  const { cores, close } = await openTwoPasts(two.spaceA)
  const [core] = cores
  await two.spaceA.addWriter(core.key)
  const first = await serve(two.spaceA, core)
  await until(async () => (await two.spaceA.db.get('one-5')) !== null)
  const strong = await two.spaceA.link({ key: 'one-5', strong: true })
  await core.truncate(2)
  await new TreeWriter(core).append([{ key: dbKey('anew'), value: entryOf('anew') }])
  await two.spaceB.addWriter(core.key)
  const more = [await serve(two.spaceA, core), await serve(two.spaceB, core)]
  assert.is((await two.a.openLink(strong)).entry?.value, 'one-5')
  await rejectsWith('VERSION_UNAVAILABLE', () => two.b.openLink(strong))
  for (const peer of [first, ...more]) peer.close()
  await two.close()
  await close()
})

test('the hash of a strong link is made as docs/FORMAT.md says', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('a', 1)
  await two.spaceB.db.put('b', 1)
  two.connect()
  await haveMet(two)
  const parts: Uint8Array[] = []
  const logs = [...two.spaceA.wire.cores(), ...two.spaceA.wire.memberLogs()]
  const cores = logs
    .filter(({ length }) => length > 0)
    .toSorted((a, b) => b4a.compare(a.key, b.key))
  for (const core of cores) {
    const length = new Uint8Array(8)
    new DataView(length.buffer).setBigUint64(0, BigInt(core.length), true)
    parts.push(core.key, length, await core.treeHash())
  }
  const url = new URL(await two.spaceA.link({ strong: true }))
  assert.is(url.hash, `#${z32.encode(hash('manyhands/link', ...parts))}`)
  await two.close()
})

interface HexLog {
  readonly core: string
  readonly length: number
  readonly treeHash: string
}

test('the hash of a strong link is that of the golden vector, in whatever order its logs come', async () => {
  const vector: { acl: HexLog[]; data: HexLog[]; hash: string } = JSON.parse(
    await readFile(new URL('../vectors/link.json', import.meta.url), 'utf8')
  )
  const logs = [...vector.acl, ...vector.data].map(({ core, length, treeHash }) => ({
    core: b4a.from(core, 'hex'),
    length,
    treeHash: b4a.from(treeHash, 'hex')
  }))
  for (const all of [logs, logs.toReversed()])
    assert.is(b4a.toString(linkHash(all), 'hex'), vector.hash)
})

test('LINK_MISMATCH: a hash that was changed on the way', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('k', 1)
  const strong = await two.spaceA.link({ strong: true })
  await two.spaceA.db.put('k', 2)
  const other = await two.spaceA.link({ strong: true })
  const mixed = strong.slice(0, strong.indexOf('#')) + other.slice(other.indexOf('#'))
  await rejectsWith('LINK_MISMATCH', () => two.a.openLink(mixed))
  await two.close()
})

test('a strong link into a sparse space is proved with a peer, and alone ends within the time given', async () => {
  const two = await openTwoDevices({ sparse: true })
  const put = (name: string) =>
    Promise.all(
      Array.from({ length: 3000 }, (_, i) => two.spaceA.db.put(`${name}${i}`, 'x'.repeat(50)))
    )
  await put('a')
  const strong = await two.spaceA.link({ key: 'a7', strong: true })
  await put('z')
  const cut = two.connect()
  await until(async () => (await two.spaceB.db.get('z2999')) !== null)
  cut()
  await until(() => two.spaceB.peers().length === 0)
  await within(
    5000,
    rejectsWith('VERSION_UNAVAILABLE', () => two.b.openLink(strong, { timeout: 100 }))
  )
  two.connect()
  const { entry } = await two.b.openLink(strong)
  assert.is(entry?.value, 'x'.repeat(50))
  await two.close()
})

test('a live link into a sparse space that is alone ends within the time given', async () => {
  const two = await openTwoDevices({ sparse: true })
  const cut = two.connect()
  await Promise.all(
    Array.from({ length: 2000 }, (_, i) => two.spaceA.db.put(`k${i}`, 'x'.repeat(99)))
  )
  await until(async () => (await two.spaceB.db.get('k1')) !== null)
  cut()
  await until(() => two.spaceB.peers().length === 0)
  const link = await two.spaceA.link({ key: 'k1999' })
  await within(
    5000,
    rejectsWith('BLOCK_UNAVAILABLE', () => two.b.openLink(link, { timeout: 100 }))
  )
  await two.close()
})

test('what a link leads to has the schema and the indexes that it is opened with', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  const people = spaceA.db.sub('people', { schema: person, index: ['email'] })
  await people.put('ann', { email: 'ann@x' })
  await spaceA.db.sub('people').put('bad', 5)
  for (const version of [false, true]) {
    const url = await spaceA.link({ sub: 'people', version })
    const { db } = await spaceA.openLink(url, { schema: person, index: ['email'] })
    assert.equal(
      (await collect(db.by('email').createReadStream())).map(({ key, indexed }) => [key, indexed]),
      [['ann', 'ann@x']]
    )
    assert.is(await db.get('bad'), null)
    assert.equal(
      (await collect(db.misfits())).map(({ key }) => key),
      ['bad']
    )
    if (!version) await rejectsWith('VALUE_INVALID', () => db.put('ann', { email: 5 } as never))
  }
  const url = await spaceA.link({ sub: 'people' })
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.openLink(url, { schema: {} as never }))
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.openLink(url, { index: [''] }))
  await two.close()
})

const person = z.object({ email: z.string() })

test('what a link leads to reads like any database', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('k', 1)
  const { db }: { db: MultiBee } = await two.a.openLink(await two.spaceA.link({ key: 'k' }))
  await db.put('k', 2)
  assert.is((await two.spaceA.db.get('k'))?.value, 2)
  await two.close()
})

test.run()
