import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryNetwork, openDevice } from '../../index.ts'
import { parseFrame, Sealer } from '../../multiwriter/presence/message.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'
import type { Device, PresenceTopic, Space } from '../../multiwriter/index.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { SimKeys } from '../support/presence.ts'

/** Names by which the test calls the writers that a topic shows. */
function shown(topic: PresenceTopic): string {
  return [...topic.states().values()].map(String).sort().join()
}

async function threeDevices(each: (device: Device, space: Space, name: string) => void) {
  const folder = await tempFolder()
  const network = new MemoryNetwork()
  const devices: Device[] = []
  let ticket: string | null = null
  for (const name of ['a', 'b', 'c']) {
    const { transport } = network
    const device = await openDevice({ storage: join(folder.path, name), name, transport })
    const space: Space =
      ticket === null ? await device.createSpace({ open: true }) : await device.openSpace(ticket)
    ticket = space.ticket
    devices.push(device)
    each(device, space, name)
  }
  const close = async () => {
    for (const device of devices) await device.close()
    await folder.remove()
  }
  return { network, devices, close }
}

/** What comes to a space of presence, and of what is typed ahead of logs. */
function framesTo({ wire }: Space): Uint8Array[] {
  const frames: Uint8Array[] = []
  const onpresence = wire.onpresence.bind(wire)
  wire.onpresence = (peer, message) => {
    frames.push(Uint8Array.from(message))
    onpresence(peer, message)
  }
  return frames
}

/** What somebody with a device's keys makes of a message. */
function readableBy({ ticket }: Space, bytes: Uint8Array): string {
  const { address, membershipKey, epoch } = decodeTicket(ticket)
  const sealer = new Sealer(membershipKey, address, epoch === null ? null : new SimKeys(epoch))
  const frame = parseFrame(bytes)
  if (typeof frame === 'string' || !('box' in frame)) return 'nothing'
  if (frame.type === 'ahead') return sealer.openAhead(frame.box) === null ? 'sealed' : 'ahead'
  const message = sealer.open(frame.box)
  if (typeof message === 'string' || message.saying.kind !== 'state') return 'nothing'
  return message.read() === null ? 'sealed' : 'said'
}

test('devices of a space see each other, lose each other when the cable is cut, and find each other again', async () => {
  const topics: PresenceTopic[] = []
  const { network, devices, close } = await threeDevices((_, space, name) => {
    const topic = space.presence.topic('documents/notes/todo')
    topic.set(name)
    topics.push(topic)
  })
  const isAll = () => topics.map(shown).join(' ') === 'b,c a,c a,b'
  await until(isAll)
  network.cut()
  await until(() => topics.map(shown).join('') === '')
  network.heal()
  await until(isAll)
  await devices[0]?.close()
  await until(() => topics.map(shown).join(' ') === ' c b', { timeout: 3000 })
  await close()
})

test('two ends of a chain see each other, also when nobody knew the other before', async () => {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  const spaceA = await a.createSpace({ open: true })
  const [spaceB, spaceC] = [await b.openSpace(spaceA.ticket), await c.openSpace(spaceA.ticket)]
  const topics = [spaceA, spaceB, spaceC].map((space) => space.presence.topic('t'))
  topics[0]?.set('a')
  topics[2]?.set('c')
  const cuts = [connect(spaceA, spaceB), connect(spaceB, spaceC)]
  await until(() => topics.map(shown).join(' ') === 'c a,c a')
  await spaceC.close()
  await until(() => topics.slice(0, 2).map(shown).join(' ') === ' a', { timeout: 3000 })
  for (const cut of cuts) cut()
  for (const device of [a, b, c]) await device.close()
  await folder.remove()
})

test('in a space that is not open, a device is heard once its log is added', async () => {
  const two = await openTwoDevices({ open: false })
  const { spaceA, spaceB } = two
  spaceB.presence.topic('t').set('b')
  two.connect()
  await until(() => spaceA.presence.stats().refused.length > 0)
  assert.equal(shown(spaceA.presence.topic('t')), '')
  assert.equal(spaceA.refusals(), [], 'that is no offence')
  await spaceA.addWriter(spaceB.writer)
  await until(() => shown(spaceA.presence.topic('t')) === 'b')
  await two.close()
})

test('what is said and typed after a removal is sealed under a key that who was removed does not have', async () => {
  const folder = await tempFolder()
  const open = (name: string) => openDevice({ storage: join(folder.path, name) })
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  const spaceA = await a.createSpace()
  const [spaceB, spaceC] = [await b.openSpace(spaceA.ticket), await c.openSpace(spaceA.ticket)]
  for (const { writer } of [spaceB, spaceC]) await spaceA.addWriter(writer)
  const [, cutB] = [connect(spaceA, spaceC), connect(spaceA, spaceB)]
  for (const space of [spaceB, spaceC])
    await until(() => space.members.keys()[0]?.devices.length === 3)
  const heard = framesTo(spaceC)
  const typed = await spaceA.documents.open('d')
  const shownThere = await spaceC.documents.open('d')
  const say = async (text: string) => {
    spaceA.presence.topic('t').set(text)
    typed.doc.getText('t').insert(0, text)
    await until(() => shown(spaceC.presence.topic('t')) === text)
    await until(() => shownThere.doc.getText('t').toJSON().startsWith(text))
    return heard.splice(0).map((bytes) => readableBy(spaceB, bytes))
  }
  const before = await say('before')
  assert.ok(before.includes('said') && before.includes('ahead'), before.join())
  assert.not(before.includes('sealed'))
  cutB()
  await spaceA.members.revoke(b.id)
  const key = spaceA.members.keys()[0]?.id
  await until(() => spaceC.members.keys().some(({ id, isHere }) => id === key && isHere))
  await say('between') // what was on its way before has come
  const after = await say('after')
  assert.ok(after.length >= 2)
  assert.equal(new Set(after), new Set(['sealed']))
  for (const device of [a, b, c]) await device.close()
  await folder.remove()
})

test('nothing of presence is stored', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  two.connect()
  await until(() => spaceA.writers().length === 2)
  const topic = spaceA.presence.topic('t')
  for (let i = 0; i < 20; i++) topic.set(i)
  await until(() => shown(spaceB.presence.topic('t')) === '19')
  for (const space of [spaceA, spaceB])
    for (const { length } of space.writers()) assert.is(length, 0)
  await two.close()
})

test.run()
