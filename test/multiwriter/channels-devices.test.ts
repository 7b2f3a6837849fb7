/** Channels over real connections: what they carry, who hears it, and what is left when a cable is cut. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryNetwork, openDevice } from '../../index.ts'
import type { Channel } from '../../multiwriter/index.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

const MiB = 1024 * 1024

function numbered(bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, i) => i % 251)
}

/** The next message of a channel. */
function next(channel: Channel): Promise<Uint8Array> {
  return within(20_000, new Promise((resolve) => channel.once('message', resolve)))
}

test('the largest message arrives as it was sent, while the database and presence go on', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB, a, b } = two
  const [one, other] = [spaceA.channel('files'), spaceB.channel('files')]
  two.connect()
  await until(() => one.peers().length === 1 && other.peers().length === 1)
  assert.equal([one.peers(), other.peers()], [[b.id], [a.id]])
  const arrived = next(other)
  const large = numbered(64 * MiB)
  const sent = one.send(b.id, large)
  let isSent = false
  void sent.then(() => (isSent = true))
  spaceA.presence.topic('t').set('there')
  await spaceA.db.put('a', 1)
  await until(async () => (await spaceB.db.get('a')) !== null)
  await until(() => spaceB.presence.topic('t').states().size === 1)
  assert.is(isSent, false, 'they did not wait for it')
  await sent
  const message = await arrived
  assert.is(Object.getPrototypeOf(message), Uint8Array.prototype)
  assert.is(Buffer.compare(message, large), 0)
  assert.equal([spaceA.refusals(), spaceB.refusals()], [[], []])
  await two.close()
})

test('a message goes to the device it is sent to, and not through others', async () => {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  const spaceA = await a.createSpace({ open: true })
  const [spaceB, spaceC] = [await b.openSpace(spaceA.ticket), await c.openSpace(spaceA.ticket)]
  const [one, middle, end] = [spaceA, spaceB, spaceC].map((space) => space.channel('c'))
  assert.ok(one && middle && end)
  const cuts = [connect(spaceA, spaceB), connect(spaceB, spaceC)]
  await until(() => middle.peers().length === 2)
  assert.equal([one.peers(), end.peers()], [[b.id], [b.id]])
  await rejectsWith('CHANNEL_PEER_GONE', () => one.send(c.id, numbered(1)))
  let stray = false
  end.on('message', () => (stray = true))
  const heard = next(middle)
  await one.send(b.id, numbered(5))
  assert.equal(await heard, numbered(5))
  assert.is(stray, false)
  for (const cut of cuts) cut()
  for (const device of [a, b, c]) await device.close()
  await folder.remove()
})

test('devices meet in a channel again after a cut, and after a restart', async () => {
  const folder = await tempFolder()
  const network = new MemoryNetwork()
  const { transport } = network
  const open = (name: string) => openDevice({ storage: join(folder.path, name), transport })
  const [a, b] = [await open('a'), await open('b')]
  const spaceA = await a.createSpace({ open: true })
  const spaceB = await b.openSpace(spaceA.ticket)
  const [one, other] = [spaceA.channel('c'), spaceB.channel('c')]
  await until(() => one.peers().length === 1)
  network.cut()
  await until(() => one.peers().length === 0 && other.peers().length === 0)
  network.heal()
  await until(() => one.peers().length === 1)
  let isClosed = false
  other.on('close', () => (isClosed = true))
  await b.close()
  await until(() => one.peers().length === 0)
  assert.ok(isClosed)
  await rejectsWith('CHANNEL_CLOSED', () => other.send(a.id, numbered(1)))
  const again = await open('b')
  const channel = (await again.openSpace(spaceA.address)).channel('c')
  const heard = next(channel)
  await until(() => one.peers().length === 1)
  await one.send(again.id, numbered(3))
  assert.equal(await heard, numbered(3))
  await a.close()
  await again.close()
  await folder.remove()
})

test('nothing of a channel is stored', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB, b } = two
  two.connect()
  const [one, other] = [spaceA.channel('c'), spaceB.channel('c')]
  await until(() => one.peers().length === 1)
  const heard = next(other)
  await one.send(b.id, numbered(MiB))
  await heard
  for (const space of [spaceA, spaceB])
    for (const { length } of space.writers()) assert.is(length, 0)
  await two.close()
})

test('who has a ticket, and was let in by nobody, hears of no channel; nor does a mirror, ever', async () => {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const [a, m] = [await open('a'), await open('m')]
  const space = await a.createSpace()
  const mirror = await m.openSpace(space.mirrorTicket)
  const told: Uint8Array[] = []
  const onchannels = mirror.wire.onchannels.bind(mirror.wire)
  mirror.wire.onchannels = (peer, message) => {
    told.push(message)
    onchannels(peer, message)
  }
  const [one, other] = [space.channel('before'), mirror.channel('before')]
  const cut = connect(space, mirror)
  await until(() => space.members.asking().length === 1)
  await rejectsWith('CHANNEL_PEER_GONE', () => one.send(m.id, numbered(1)))
  assert.equal([one.peers(), other.peers(), told], [[], [], []])
  await space.members.admit(mirror.writer, 'mirror')
  const later = space.channel('later')
  mirror.channel('later')
  await space.db.put('k', 1)
  const log = () => mirror.syncState().logs.find(({ writer }) => writer === space.writer)
  await until(() => log()?.here === 1)
  assert.equal([later.peers(), told], [[], []])
  cut()
  await until(() => space.peers().length === 0)
  connect(space, mirror)
  await until(() => space.peers().length === 1)
  await space.db.put('k', 2)
  await until(() => log()?.here === 2)
  assert.equal([later.peers(), told], [[], []])
  for (const device of [a, m]) await device.close()
  await folder.remove()
})

test('who is let in hears of channels from then on, on the same connection, on both sides', async () => {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const [a, b] = [await open('a'), await open('b')]
  const space = await a.createSpace()
  const theirs = await b.openSpace(space.ticket)
  const [one, other] = [space.channel('room'), theirs.channel('room')]
  const heard: number[] = []
  other.on('message', (message) => heard.push(message[0] ?? 0))
  connect(space, theirs)
  await until(() => space.members.asking().length === 1)
  assert.equal([one.peers(), other.peers()], [[], []])
  await space.members.admit(theirs.writer, 'reader')
  await until(() => one.peers().length === 1 && other.peers().length === 1)
  await one.send(b.id, Uint8Array.of(7))
  await until(() => heard.length === 1)
  assert.equal(heard, [7])
  for (const device of [a, b]) await device.close()
  await folder.remove()
})

test.run()
