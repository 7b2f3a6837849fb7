/** Versions know their membership: what they show is what was seen, whoever is let in, widened, removed or brought back later. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { decodeVersion, encodeVersion, type Version } from '../../clock/index.ts'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { collect } from '../support/collect.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { exportDatabase, exportSpace } from '../support/export.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
const fresh = () => openDevice({ storage: join(folder.path, `device-${count++}`) })

test.after(() => folder.remove())

const decoded = (text: string): Version => {
  const version = decodeVersion(text)
  if (version === null) throw new Error('no version')
  return version
}

const SUBS = ['contacts']

const exported = (space: Space) => exportSpace(space, SUBS)
const exportedAt = (space: Space, version: string) =>
  exportDatabase(space.checkout(version).db, SUBS)

interface World {
  readonly founder: Space
  readonly other: Space
  readonly devices: readonly [Device, Device]
  /** Somebody who comes now, and how to part it from the founder. */
  readonly newcomer: () => Promise<{ readonly space: Space; readonly cut: () => void }>
}

/** A founder, and another who has met it and waits to be let in. */
async function withTwo(run: (world: World) => Promise<void>): Promise<void> {
  const all: Device[] = [await fresh(), await fresh()]
  const [one, two] = all as [Device, Device]
  const founder = await one.createSpace()
  const other = await two.openSpace(founder.ticket)
  try {
    await run({
      founder,
      other,
      devices: [one, two],
      async newcomer() {
        const device = await fresh()
        all.push(device)
        const space = await device.openSpace(founder.ticket)
        const cut = connect(founder, space)
        await founder.addWriter(space.writer)
        await until(async () => (await exported(space)) === (await exported(founder)))
        return { space, cut }
      }
    })
  } finally {
    for (const device of all) await device.close()
  }
}

/** The other has written within a prefix and outside it, and is let in for what is within. */
async function letInBelow({ founder, other }: Pick<World, 'founder' | 'other'>): Promise<void> {
  await other.db.put('out', 1)
  await other.db.sub('contacts').put('in', 1)
  connect(founder, other)
  await until(() => founder.members.asking().length === 1)
  await founder.members.admit(other.writer, 'writer', { prefixes: ['db:contacts'] })
  await until(async () => (await founder.db.sub('contacts').get('in')) !== null)
}

/** The writer may write everywhere from now on. */
async function widen({ members }: Space): Promise<void> {
  const { identity } = members.list().find(({ role }) => role === 'writer') ?? {}
  await members.setRole(identity ?? '', 'writer')
}

const seenAlike = (a: Space, b: Space) =>
  until(async () => (await exported(a)) === (await exported(b)))

/** What was seen at a version is seen there by all. */
async function seesAll(spaces: readonly Space[], version: string, expected: string): Promise<void> {
  for (const space of spaces) {
    await until(async () => (await space.version()) !== '' && (await isHere(space, version)))
    assert.is(await exportedAt(space, version), expected)
  }
}

const textAt = async (space: Space, version: string) =>
  textOf({ doc: await space.documents.checkout('note', version) })

const isHere = (space: Space, version: string) =>
  space
    .checkout(version)
    .db.ready()
    .then(
      () => true,
      () => false
    )

test('past: what a writer may write since does not show in a version from before; nor for who comes later, nor in other places of history', () =>
  withTwo(async ({ founder, other, newcomer }) => {
    await letInBelow({ founder, other })
    await seenAlike(founder, other)
    const narrow = await founder.version()
    const before = await exported(founder)
    const link = await founder.link({ key: 'out', version: narrow, strong: true })
    const snapshot = founder.db.snapshot()
    assert.is(await founder.db.get('out'), null)

    await widen(founder)
    await until(async () => (await founder.db.get('out'))?.value === 1)
    await seenAlike(founder, other)
    const wide = await founder.version()
    const after = await exported(founder)
    assert.is.not(before, after)
    assert.is.not(narrow, wide)

    const { space: late } = await newcomer()
    for (const space of [founder, other, late]) {
      await seesAll([space], narrow, before)
      await seesAll([space], wide, after)
      assert.is((await space.openLink(link)).entry, null)
      const then = space.checkout(narrow).db
      const history = await collect(then.createHistoryStream())
      assert.not.ok(history.some(({ key }) => key === 'out'))
      assert.is((await then.why('out'))?.entries[0]?.refusal, 'outside-prefixes')
      const changed = await collect(space.diff(narrow, wide))
      assert.equal(
        changed.map(({ key }) => key),
        ['out']
      )
    }
    assert.is(await snapshot.version(), narrow)
    assert.is(await snapshot.get('out'), null)
    assert.is(await founder.checkout(narrow).db.version(), narrow)
    await founder.restore(narrow)
    assert.is(await exported(founder).then((text) => text.includes('"out"')), false)
    assert.is(await founder.db.get('out'), null, 'what did not show then is taken away')
  }))

test('past: a version without membership logs is read by the membership of today', () =>
  withTwo(async ({ founder, other }) => {
    await letInBelow({ founder, other })
    const text = encodeVersion({ ...decoded(await founder.version()), acl: [] })
    assert.is(await founder.checkout(text).db.get('out'), null)
    await widen(founder)
    await until(async () => (await founder.db.get('out')) !== null)
    assert.is((await founder.checkout(text).db.get('out'))?.value, 1)
  }))

test('past: what a seal excluded since stays in versions from before, and is marked there; no version of later shows it', () =>
  withTwo(async ({ founder, other, devices: [, two], newcomer }) => {
    const { space: third, cut } = await newcomer()
    const cuts = [connect(founder, other), connect(third, other)]
    await founder.addWriter(other.writer)
    await until(() => third.members.list().length === 3 && other.members.list().length === 3)
    await other.db.put('early', 1)
    for (const space of [founder, third])
      await until(async () => (await space.db.get('early')) !== null)
    const before = await founder.version()
    cuts[0]?.()
    cut()
    await other.db.put('late', 2)
    await until(async () => (await third.db.get('late')) !== null)
    cuts[1]?.()
    const seen = await third.version()
    const shown = await exported(third)
    await founder.members.revoke(two.id)
    connect(founder, third)
    await until(async () => (await third.db.get('late')) === null)
    await until(async () => (await founder.members.excluded()).length === 1)
    const after = await founder.version()
    const { space: late } = await newcomer()

    for (const space of [founder, third, late]) {
      await seesAll([space], seen, shown)
      const then = space.checkout(seen).db
      const excluded = await then.get('late')
      assert.is(excluded?.value, 2)
      assert.is(excluded?.excludedSince, excluded?.seq)
      const history = await collect(then.createHistoryStream())
      const marked = [...(await collect(then.createReadStream())), ...history].filter(
        (entry) => 'excludedSince' in entry
      )
      assert.equal(
        marked.map(({ key }) => key),
        ['late', 'late']
      )
      assert.is((await space.checkout(before).db.get('early'))?.value, 1)
      // Of the time after it, nobody makes a version that shows more than counted then.
      const forged = encodeVersion({ ...decoded(after), data: decoded(seen).data })
      assert.is(await space.checkout(forged).db.get('late'), null)
      assert.is((await space.checkout(forged).db.get('early'))?.value, 1)
    }

    await founder.members.restore(two.id)
    for (const space of [founder, third, late]) {
      await until(async () => (await space.db.get('late')) !== null)
      assert.is(await space.checkout(after).db.get('late'), null)
      const again = await space.checkout(seen).db.get('late')
      assert.not.ok(again === null || 'excludedSince' in again)
    }
  }))

test('past: a document is at a version what it was then: with what a seal took out since, or without what it had taken out', () =>
  withTwo(async ({ founder, other, devices: [, two], newcomer }) => {
    const { space: third, cut } = await newcomer()
    const cuts = [connect(founder, other), connect(third, other)]
    await founder.addWriter(other.writer)
    await until(() => third.members.list().length === 3 && other.members.list().length === 3)
    const [ours, theirs, thirds] = await Promise.all(
      [founder, other, third].map((space) => space.documents.open('note'))
    )
    if (!ours || !theirs || !thirds) return assert.unreachable()
    type(theirs, 'early ')
    await until(() => textOf(ours) === 'early ' && textOf(thirds) === 'early ')
    await theirs.flush()
    for (const space of [founder, third])
      await until(async () => (await textAt(space, await space.version())) === 'early ')
    cuts[0]?.()
    cut()
    type(theirs, 'late ', 6)
    await theirs.flush()
    await until(() => textOf(thirds) === 'early late ')
    type(thirds, 'built ', 11)
    await thirds.flush()
    await until(async () => (await textAt(third, await third.version())) === 'early late built ')
    cuts[1]?.()
    const seen = await third.version()
    await founder.members.revoke(two.id)
    connect(founder, third)
    for (const note of [ours, thirds]) await until(() => textOf(note) === 'early built ')
    await until(async () => (await founder.members.excluded()).length === 1)
    const after = await founder.version()
    const { space: late } = await newcomer()
    for (const space of [founder, third, late]) {
      await until(() => isHere(space, seen))
      await until(() => isHere(space, after))
      assert.is(await textAt(space, seen), 'early late built ')
      await until(async () => (await textAt(space, after)) === 'early built ')
    }
    await founder.members.restore(two.id)
    for (const space of [founder, third, late]) {
      await until(async () => (await textAt(space, await space.version())) === 'early late built ')
      assert.is(await textAt(space, after), 'early built ')
      assert.is(await textAt(space, seen), 'early late built ')
    }
  }))

test('past: a membership log that is not here so far is named, and read once it has come', () =>
  withTwo(async ({ founder, other }) => {
    connect(founder, other)
    await founder.addWriter(other.writer)
    await founder.db.put('k', 1)
    await seenAlike(founder, other)
    await until(() => other.members.list().length === 2)
    const version = decoded(await founder.version())
    const longer = encodeVersion({
      ...version,
      acl: version.acl.map((log) =>
        z32.encode(log.core) === founder.address ? { ...log, length: log.length + 1 } : log
      )
    })
    const { db } = other.checkout(longer)
    await rejectsWith('VERSION_UNAVAILABLE', () => db.get('k'), RegExp(founder.address))
    await rejectsWith('VERSION_UNAVAILABLE', () => other.link({ version: longer, strong: true }))
    await other.db.put('more', 1)
    await until(async () => (await founder.db.get('more')) !== null)
    assert.ok(await founder.members.acknowledge())
    await founder.db.put('k', 2)
    const hashed = await founder.link({ version: true, strong: true })
    await until(() => isHere(other, longer))
    assert.is((await db.get('k'))?.value, 1)
    await until(async () => (await other.db.get('k'))?.value === 2)
    assert.is((await other.openLink(hashed)).version, hashed.split('+')[1]?.split('/')[0])
  }))

test('past: LINK_MISMATCH where a strong link is of other membership', () =>
  withTwo(async ({ founder, other }) => {
    connect(founder, other)
    await founder.addWriter(other.writer)
    await founder.db.put('k', 1)
    await seenAlike(founder, other)
    const link = await founder.link({ key: 'k', strong: true })
    const [, text = ''] = /\+([^/]+)/.exec(link) ?? []
    const version = decoded(text)
    const earlier = encodeVersion({
      ...version,
      acl: version.acl.map((log) => ({ ...log, length: log.length - 1 }))
    })
    await rejectsWith('LINK_MISMATCH', () => founder.openLink(link.replace(text, earlier)))
    assert.is((await founder.openLink(link)).entry?.value, 1)
  }))

test.run()
