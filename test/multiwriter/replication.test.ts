import net from 'node:net'
import { join } from 'node:path'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Hypercore } from '../../core/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { dbKey } from '../support/forge.ts'
import { minimumOfBlocks } from '../support/minimum.ts'
import { within } from '../support/within.ts'

const valueOf = async (space: Space, key: string) => (await space.db.get(key))?.value

async function meets(spaceA: Space, spaceB: Space): Promise<void> {
  await spaceA.db.put('from-a', 1)
  await spaceB.db.put('from-b', 2)
  await until(async () => (await valueOf(spaceB, 'from-a')) === 1)
  await until(async () => (await valueOf(spaceA, 'from-b')) === 2)
}

test('two devices meet over streams that are piped by hand', async () => {
  const two = await openTwoDevices()
  two.connect()
  await meets(two.spaceA, two.spaceB)
  await two.close()
})

test('two devices meet over a plain duplex: TCP, one side the initiator', async () => {
  const two = await openTwoDevices()
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => {
    sockets.push(socket)
    two.spaceA.replicate(socket, { initiator: false })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('A TCP server has a port')
  const socket = net.connect(address.port, '127.0.0.1')
  sockets.push(socket)
  two.spaceB.replicate(socket, { initiator: true })
  await meets(two.spaceA, two.spaceB)
  for (const each of sockets) each.destroy()
  server.close()
  await two.close()
})

test('two devices meet over Noise streams that somebody else made; twice the same stream is once', async () => {
  const two = await openTwoDevices()
  const one = new NoiseSecretStream(true, null)
  const other = new NoiseSecretStream(false, null)
  one.rawStream.pipe(other.rawStream).pipe(one.rawStream)
  two.spaceA.replicate(one)
  two.spaceA.replicate(one)
  two.spaceB.replicate(other)
  two.b.replicate(other)
  await meets(two.spaceA, two.spaceB)
  assert.is(two.spaceA.peers().length, 1)
  one.destroy()
  await until(() => two.spaceA.peers().length === 0 && two.spaceB.peers().length === 0)
  await two.close()
})

test('many spaces run over one connection, those opened later included, whoever opens first', async () => {
  const two = await openTwoDevices()
  const cut = connect(two.a, two.b)
  await meets(two.spaceA, two.spaceB)
  for (let i = 0; i < 4; i++) {
    const [first, second] = i % 2 === 0 ? [two.a, two.b] : [two.b, two.a]
    const here = await first.createSpace({ open: true })
    await here.db.put('alone', i)
    const there = await second.openSpace(here.ticket)
    await until(async () => (await valueOf(there, 'alone')) === i)
    await meets(here, there)
  }
  cut()
  await two.close()
})

test('a space closed and opened again meets its peer over the same connection', async () => {
  const two = await openTwoDevices()
  const cut = connect(two.a, two.b)
  await meets(two.spaceA, two.spaceB)
  await two.spaceB.close()
  await until(() => two.spaceA.peers().length === 0)
  await two.spaceA.db.put('meanwhile', 3)
  const again = await two.b.openSpace(two.spaceB.address)
  await until(async () => (await valueOf(again, 'meanwhile')) === 3)
  await again.db.put('back', 4)
  await until(async () => (await valueOf(two.spaceA, 'back')) === 4)
  cut()
  await two.close()
})

test('a space that the other does not have stays its own; the shared one goes on', async () => {
  const two = await openTwoDevices()
  const secret = await two.a.createSpace({ open: true })
  await secret.db.put('secret', 1)
  const cut = connect(two.a, two.b)
  await meets(two.spaceA, two.spaceB)
  assert.is(secret.peers().length, 0)
  assert.is(two.b.spaces().length, 1)
  cut()
  await two.close()
})

test('in a space that is not open, only writers added by hand are read', async () => {
  const two = await openTwoDevices({ open: false })
  two.connect()
  await two.spaceA.db.put('from-a', 1)
  await until(() => two.spaceB.peers().length === 1)
  assert.is(await valueOf(two.spaceB, 'from-a'), undefined)
  assert.is(two.spaceB.writers().length, 1)
  await two.spaceB.addWriter(two.spaceA.writer)
  await until(async () => (await valueOf(two.spaceB, 'from-a')) === 1)
  await two.spaceB.db.put('from-b', 2)
  assert.is(two.spaceA.writers().length, 1)
  await two.spaceA.addWriter(two.spaceB.writer)
  await until(async () => (await valueOf(two.spaceA, 'from-b')) === 2)
  await two.close()
})

test('a put is seen by a watch on the other side within a second, through a relay too', async () => {
  const two = await openTwoDevices()
  const folder = await tempFolder()
  const c = await openDevice({ storage: join(folder.path, 'c') })
  const spaceC = await c.openSpace(two.spaceA.ticket)
  two.connect()
  const cut = connect(two.spaceB, spaceC)
  await meets(two.spaceA, two.spaceB)
  await meets(two.spaceB, spaceC)
  await until(() => spaceC.writers().length === 3 && two.spaceA.writers().length === 3)
  for (const space of [two.spaceB, spaceC]) {
    const key = `live/${space.writer}`
    const changes = space.db.watch({ gte: key, lte: key })
    const next = changes.next()
    await until(async () => (await valueOf(space, 'from-a')) === 1)
    await two.spaceA.db.put(key, 'now')
    const { value } = await within(1000, next)
    assert.is(value?.key, key)
    assert.is(value?.writer, two.spaceA.writer)
    await changes.return?.()
  }
  cut()
  await c.close()
  await folder.remove()
  await two.close()
})

test('after a cut, what was written on both sides meanwhile arrives at the next connection', async () => {
  const two = await openTwoDevices()
  for (let round = 0; round < 3; round++) {
    const cut = two.connect()
    await until(() => two.spaceA.peers().length === 1 && two.spaceB.peers().length === 1)
    await until(async () => round === 0 || (await valueOf(two.spaceA, `b-${round - 1}`)) === round)
    await until(async () => round === 0 || (await valueOf(two.spaceB, `a-${round - 1}`)) === round)
    cut()
    await until(() => two.spaceA.peers().length === 0 && two.spaceB.peers().length === 0)
    await two.spaceA.db.put(`a-${round}`, round + 1)
    await two.spaceB.db.put(`b-${round}`, round + 1)
  }
  await two.close()
})

test('puts on both sides while both replicate all arrive', async () => {
  const two = await openTwoDevices()
  two.connect()
  const total = 400
  const write = async (space: Space, name: string) => {
    for (let i = 0; i < total; i++) await space.db.put(`${name}-${i}`, i)
  }
  await Promise.all([write(two.spaceA, 'a'), write(two.spaceB, 'b')])
  for (const space of [two.spaceA, two.spaceB]) {
    await until(async () => (await keysOf(space)).length === 2 * total)
  }
  assert.equal(await keysOf(two.spaceA), await keysOf(two.spaceB))
  await two.close()
})

async function keysOf(space: Space): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of space.db.createReadStream()) keys.push(key)
  return keys
}

test('a device that closes in the middle of replication harms nobody', async () => {
  const two = await openTwoDevices()
  const failures: unknown[] = []
  const onfailure = (error: unknown) => failures.push(error)
  process.on('unhandledRejection', onfailure)
  const batch = two.spaceA.db.batch()
  for (let i = 0; i < 5000; i++) batch.put(`key-${i}`, 'x'.repeat(200))
  await batch.flush()
  two.connect()
  await until(() => two.spaceB.writers().length === 2)
  await two.b.close()
  await until(() => two.spaceA.peers().length === 0)
  await two.spaceA.db.put('still', 'here')
  assert.is(await valueOf(two.spaceA, 'still'), 'here')
  await two.close()
  process.off('unhandledRejection', onfailure)
  assert.equal(failures, [])
})

/** A writer of 10,000 keys in batches of 500, and a sparse reader that is connected and has fetched nothing. */
async function openSparse(order: (i: number) => number) {
  const two = await openTwoDevices({ sparse: true })
  const value = 'v'.repeat(60)
  for (let i = 0; i < 10_000; i += 500) {
    const batch = two.spaceA.db.batch()
    for (let n = i; n < i + 500; n++) batch.put(keyNumber(order(n)), value)
    await batch.flush()
  }
  two.connect()
  const local = two.spaceA.wire.cores().find((core) => core.length > 0)
  if (local === undefined) throw new Error('The writer has a log')
  const copy = () => two.spaceB.wire.cores().find((core) => b4a.equals(core.key, local.key))
  await until(() => copy()?.length === local.length)
  const remote = copy()
  if (remote === undefined) throw new Error('The reader has a copy')
  assert.is(await blocksHeld(remote), 0, 'nothing is fetched ahead')
  return { two, remote, local }
}

const keyNumber = (n: number) => `key-${String(n).padStart(5, '0')}`

/** 7919 is prime: every key once, and each node of the tree holds keys of many batches. */
const scattered = (n: number) => (n * 7919) % 10_000
const inOrder = (n: number) => n

async function blocksHeld(core: Hypercore): Promise<number> {
  let held = 0
  for (let seq = 0; seq < core.length; seq++) if (await core.has(seq)) held++
  return held
}

for (const [name, order] of [
  ['in order', inOrder],
  ['scattered', scattered]
] as const) {
  test(`a page of 20 of a remote space of 10,000 keys written ${name} fetches at most twice the minimum`, async () => {
    const { two, remote, local } = await openSparse(order)
    const keys: string[] = []
    const page = two.spaceB.db.createReadStream({ gte: keyNumber(5000), limit: 20 })
    for await (const { key } of page) keys.push(key)
    assert.equal(
      keys,
      Array.from({ length: 20 }, (_, i) => keyNumber(5000 + i))
    )
    const minimum = await minimumOfBlocks(local, dbKey(keyNumber(5000)), 20)
    checkFetched(await blocksHeld(remote), minimum)
    await two.close()
  })

  test(`a get from a remote space of 10,000 keys written ${name} fetches at most twice the minimum`, async () => {
    const { two, remote, local } = await openSparse(order)
    assert.is((await two.spaceB.db.get(keyNumber(7701)))?.key, keyNumber(7701))
    const minimum = await minimumOfBlocks(local, dbKey(keyNumber(7701)), 1)
    checkFetched(await blocksHeld(remote), minimum)
    await two.close()
  })
}

function checkFetched(fetched: number, minimum: number): void {
  assert.ok(fetched > 0 && fetched <= 2 * minimum, `${fetched} fetched, ${minimum} needed`)
  if (process.env['SHOW_FIGURES'] !== undefined) console.log(`${fetched} of ${minimum}`)
}

test.run()
