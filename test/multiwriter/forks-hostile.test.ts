/** Who lies about histories: with proofs that prove nothing, with a log that was cut, with another history of a sealed log. */
import b4a from 'b4a'
import c from 'compact-encoding'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { encodeRecord, type AclRecord } from '../../acl/index.ts'
import { openStore } from '../../core/native/store.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import type { Space } from '../../multiwriter/index.ts'
import { encryptionOf } from '../support/encryption.ts'
import { until } from '../support/devices.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { contentsOf, openWorld, untilAgreed, valueIn, type World } from '../support/fork-world.ts'

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

test.after(() => assert.equal(failures, []))

const reasonsIn = (space: Space) => space.refusals().map(({ reason }) => reason)

/** Does something with a device's logs that no device does. */
async function tamper(
  world: World,
  name: 'one' | 'two',
  task: (logs: {
    readonly data: Awaited<ReturnType<Awaited<ReturnType<typeof openStore>>['ownLog']>>
    readonly acl: Awaited<ReturnType<Awaited<ReturnType<typeof openStore>>['ownLog']>>
  }) => Promise<void>
): Promise<void> {
  const encryption = encryptionOf(world.space(name))
  await world.closeOne(name)
  const store = await openStore(world.folderOf(name))
  const [secrets] = store.secrets.spaces
  if (secrets === undefined) throw new Error('The device is in no space')
  const data = await store.ownLog('data', secrets.salt, encryption.data)
  const acl = await store.ownLog('acl', secrets.salt, encryption.acl)
  await task({ data, acl })
  await data.close()
  await acl.close()
  await store.close()
  await world.open(name)
}

test('a proof of a fork that proves none is counted, and nothing comes of it', async () => {
  const world = await openWorld()
  const victim = b4a.toString(z32.decode(world.space('other').writer), 'hex')
  const proofs = [b4a.alloc(0), b4a.alloc(300, 7), c.encode(c.uint, 1_000_000)]
  await tamper(world, 'one', async ({ acl }) => {
    for (const proof of proofs) {
      const record: AclRecord = { kind: 'fork', heads: [], core: victim, common: 0, proof }
      await acl.appendBlock(encodeRecord(record))
    }
  })
  await world.space('other').db.put('a', 1)
  world.connect(['founder', 'one'], ['founder', 'other'])
  await until(() => reasonsIn(world.space('founder')).includes('fork-unproved'))
  const refusal = world
    .space('founder')
    .refusals()
    .find(({ reason }) => reason === 'fork-unproved')
  assert.is(refusal?.count, proofs.length)
  assert.equal(world.space('founder').members.forks(), [])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 1)
  await world.close()
})

test('a writer that cuts its log and writes it anew has written two histories: the first one counts', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'first')
  world.connect(['founder', 'one'])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'first')
  world.cut()
  await tamper(world, 'one', async ({ data: { core } }) => {
    await core.truncate(core.length - 1)
    const writer = new TreeWriter(core)
    for (const value of ['second', 'third'])
      await writer.append([{ key: dbKey('a'), value: entryOf(value) }])
    assert.is(core.fork, 1)
  })
  world.connect(['founder', 'one'], ['founder', 'other'], ['other', 'one'])
  await untilAgreed(world, ['founder', 'other', 'one'])
  for (const name of ['founder', 'other', 'one'] as const)
    assert.is(await valueIn(world.space(name), 'a'), 'first', name)
  await world.close()
})

test('a removed writer shows another history to who comes later: that one ends with what was sealed', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'sealed')
  await world.space('two').db.put('a', 'forged')
  await world.space('two').db.put('b', 'forged')
  world.connect(['founder', 'one'])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'sealed')
  await world.space('founder').members.revoke(world.device('one').id)
  world.cut()
  await world.open('late')
  const late = world.space('late')
  await late.addWriter(world.space('two').writer)
  world.connect(['two', 'late'])
  await until(async () => (await valueIn(late, 'b')) === 'forged')
  world.connect(['founder', 'late'])
  await until(async () => (await valueIn(late, 'a')) === 'sealed')
  assert.is(await valueIn(late, 'b'), undefined)
  assert.ok(reasonsIn(late).includes('sealed-other-history'))
  assert.equal(await contentsOf(late), await contentsOf(world.space('founder')))
  await untilAgreed(world, ['founder', 'late'])
  await world.close()
})

test('a sealed log is read by who comes later from its archive, when nobody has the log itself', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'sealed')
  await world.space('two').db.put('a', 'forged')
  world.connect(['founder', 'one'], ['other', 'two'])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'sealed')
  await until(async () => (await valueIn(world.space('other'), 'a')) === 'forged')
  await world.space('founder').members.revoke(world.device('one').id)
  world.connect(['founder', 'other'])
  await untilAgreed(world, ['founder', 'other'])
  assert.is(await valueIn(world.space('other'), 'a'), 'sealed')
  world.cut()
  for (const name of ['founder', 'one', 'two'] as const) await world.closeOne(name)
  // What is left of it is another history, and the archive.
  await world.open('other', 'late')
  world.connect(['other', 'late'])
  await until(async () => (await valueIn(world.space('late'), 'a')) === 'sealed')
  await world.close()
})

test('who keeps a sealed log in one history goes on as before, and is asked for nothing', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 1)
  world.connect(['founder', 'one'], ['other', 'one'])
  for (const name of ['founder', 'other'] as const)
    await until(async () => (await valueIn(world.space(name), 'a')) === 1)
  world.connect(['founder', 'other'])
  await world.space('founder').members.revoke(world.device('one').id)
  await until(() =>
    world
      .space('other')
      .members.list()
      .some(({ role }) => role === null)
  )
  for (const name of ['founder', 'other'] as const) {
    assert.equal(world.space(name).members.forks(), [])
    assert.not.ok(reasonsIn(world.space(name)).includes('sealed-other-history'))
    assert.is(await valueIn(world.space(name), 'a'), 1)
  }
  await world.close()
})

test.run()
