/** What an application on automerge-repo sees of a space: documents that merge, are found again, and that nobody can break. */
import type { DocHandle, PeerId } from '@automerge/automerge-repo'
import { encode } from 'cborg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeGreeting, encodeMessage } from '../../../adapters/automerge-repo/messages.ts'
import { until } from '../../support/devices.ts'
import { end, inStep, lines, sites, type Notes } from '../../support/repos.ts'

function add(handle: DocHandle<Notes>, line: string): void {
  handle.change((notes) => void notes.lines.push(line))
}

test('repos on two devices edit one document live, and offline, and are equal when they meet', async () => {
  const { cable, site, close } = await sites()
  const [a, b] = [await site('a'), await site('b')]
  const one = a.repo.create<Notes>({ lines: ['first'] })
  const other = await b.repo.find<Notes>(one.url)
  add(one, 'live')
  await until(() => lines(other).length === 2)
  cable.cut()
  await until(() => a.repo.peers.length === 0 && b.repo.peers.length === 0)
  add(one, 'offline a')
  add(other, 'offline b')
  cable.heal()
  await until(() => lines(one).length === 4 && lines(other).length === 4)
  assert.equal(lines(one), lines(other))
  assert.equal([a.network.refused, b.network.refused], [0, 0])
  assert.equal([a.space.refusals(), b.space.refusals()], [[], []])
  await Promise.all([a, b].map(end))
  await close()
})

test('a repo that is opened again on the same space finds its documents', async () => {
  const { site, close } = await sites()
  const a = await site('a')
  const handle = a.repo.create<Notes>({ lines: ['one'] })
  add(handle, 'two')
  await a.repo.flush()
  const id = await a.repo.storageSubsystem?.id()
  await end(a)
  const again = await site('a', false)
  assert.equal(lines(await again.repo.find<Notes>(handle.url)), ['one', 'two'])
  assert.is(await again.repo.storageSubsystem?.id(), id)
  await end(again)
  await close()
})

test('a device that has the space reads the documents of repos that are offline, and edits on', async () => {
  const { device, site, close } = await sites()
  const a = await site('a')
  const handle = a.repo.create<Notes>({ lines: ['from a'] })
  await a.repo.flush()
  // No repo runs there: it only holds the space.
  const keeper = await device('keeper')
  await inStep(a.space, keeper.space)
  await end(a)
  const b = await site('b', false)
  await inStep(keeper.space, b.space)
  const found = await b.repo.find<Notes>(handle.url)
  add(found, 'from b')
  await b.repo.flush()
  await inStep(keeper.space, b.space)
  await end(b)
  const again = await site('a', false)
  await inStep(keeper.space, again.space)
  assert.equal(lines(await again.repo.find<Notes>(handle.url)), ['from a', 'from b'])
  await end(again)
  await close()
})

test('hostile: garbage on the channel and in the storage is refused, and the repo goes on', async () => {
  const { device, site, close } = await sites()
  const failures: unknown[] = []
  const onfailure = (error: unknown) => failures.push(error)
  process.on('unhandledRejection', onfailure)
  const a = await site('a')
  const handle = a.repo.create<Notes>({ lines: ['kept'] })
  const { device: evil, space } = await device('evil')
  const channel = space.channel('automerge-repo')
  await until(() => channel.peers().length === 1)
  const greet = (peerId: string) =>
    encodeGreeting({ kind: 'greeting', peerId: peerId as PeerId, metadata: {} })
  const message = (fields: object) =>
    new Uint8Array([
      2,
      ...encode({ senderId: 'evil', targetId: 'a-repo', documentId: handle.documentId, ...fields })
    ])
  const say = (bytes: Uint8Array) => channel.send(a.device.id, bytes)
  const refused = [
    new Uint8Array(0),
    new Uint8Array([0]),
    new Uint8Array([9, 1]),
    new Uint8Array([0, 0xff, 0xff]),
    new Uint8Array([0, ...encode(['x'])]),
    new Uint8Array([0, ...encode([5, {}])]),
    new Uint8Array([0, ...encode(['x', { storageId: 5 }])]),
    message({ type: 'sync', data: new Uint8Array(1) }),
    greet('a-repo')
  ]
  for (const bytes of refused) await say(bytes)
  await until(() => a.network.refused === refused.length)
  assert.equal(a.repo.peers, [])
  await say(greet('evil'))
  await until(() => a.repo.peers.length === 1)
  const later = [
    message({ type: 'sync', data: 'text' }),
    message({ type: 'sync' }),
    message({ type: 'sync', data: new Uint8Array(1), documentId: 5 }),
    message({ type: 'sync', data: new Uint8Array(1), senderId: 'somebody' }),
    message({ type: 'sync', data: new Uint8Array(1), targetId: 'somebody' }),
    message({ type: 'ephemeral', data: new Uint8Array(1), count: 'x', sessionId: 's' }),
    message({ type: 'remote-heads-changed', newHeads: { x: 5 } }),
    message({ type: 'remote-subscription-change', add: 5 })
  ]
  for (const bytes of later) await say(bytes)
  await until(() => a.network.refused === refused.length + later.length)
  // Of the right shape, but no sync message: for automerge-repo to refuse.
  const { log } = console
  console.log = () => {}
  await say(message({ type: 'sync', data: new Uint8Array([1, 2, 3]) }))
  await say(message({ type: 'request', data: new Uint8Array([66, 255]), documentId: 'nonsense' }))
  const b = await site('b')
  const found = await b.repo.find<Notes>(handle.url)
  console.log = log
  add(found, 'more')
  await until(() => lines(handle).length === 2)
  assert.ok(a.space.peers().includes(evil.id), 'its connection stands')
  assert.equal(failures, [])
  process.off('unhandledRejection', onfailure)
  await Promise.all([a, b].map(end))
  await close()
})

test('hostile: nobody becomes a peer under the id of another device', async () => {
  const { device, site, close } = await sites()
  const [a, b] = [await site('a'), await site('b')]
  await until(() => a.repo.peers.length === 1)
  const channel = (await device('evil')).space.channel('automerge-repo')
  await until(() => channel.peers().length === 2)
  const stolen = 'b-repo' as PeerId
  await channel.send(
    a.device.id,
    encodeGreeting({ kind: 'greeting', peerId: stolen, metadata: {} })
  )
  await until(() => a.network.refused === 1)
  const handle = a.repo.create<Notes>({ lines: ['x'] })
  assert.equal(lines(await b.repo.find<Notes>(handle.url)), ['x'])
  await Promise.all([a, b].map(end))
  await close()
})

test('a space that closes ends the adapter, and a repo without anybody is told that nobody has a document', async () => {
  const { site, close } = await sites()
  const a = await site('a')
  let isClosed = false
  a.network.on('close', () => (isClosed = true))
  await a.network.whenReady()
  const { url } = a.repo.create<Notes>({ lines: [] })
  await a.repo.flush()
  await a.space.close()
  assert.ok(isClosed)
  a.network.send({
    type: 'sync',
    senderId: 'a-repo' as PeerId,
    targetId: 'x' as PeerId,
    data: new Uint8Array()
  })
  await end(a)
  const b = await site('b')
  const error = await b.repo.find(url).catch((e: unknown) => e)
  assert.match(String(error), /unavailable/)
  b.network.disconnect()
  await close()
})

test('what a repo says is written as docs/FORMAT.md says', () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const peerId = 'p' as PeerId
  assert.is(hex(encodeGreeting({ kind: 'greeting', peerId, metadata: {} })), '00826170a0')
  const metadata = { isEphemeral: true }
  assert.is(
    hex(encodeGreeting({ kind: 'answer', peerId, metadata })),
    '01826170a16b6973457068656d6572616cf5'
  )
  const message = { type: 't', senderId: peerId, targetId: peerId, data: new Uint8Array([7]) }
  assert.is(
    hex(encodeMessage(message)),
    '02a464646174614107647479706561746873656e64657249646170687461726765744964' + '6170'
  )
})

test.run()
