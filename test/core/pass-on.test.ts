/** Relays: a log goes on to a device that has no other way to it, whatever came to whom in which order. */
import b4a from 'b4a'
import type { default as Hypercore, ReplicaPeer } from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BlockLog } from '../../core/block-log.ts'
import type { BlockKeys, LogEncryption } from '../../core/block-keys.ts'
import { constantKeys } from '../../core/index.ts'
import { LogReader } from '../../core/tree/log.ts'
import { connect, until } from '../support/devices.ts'
import { openLogStore } from '../support/tree.ts'

const encryption = (keys: BlockKeys): LogEncryption => ({ space: b4a.alloc(32), keys })

/** As a mirror has them. */
const NO_KEYS: BlockKeys = {
  current: () => {
    throw new Error('Nothing is written here')
  },
  find: () => null,
  onchange: () => () => {}
}

/** Brings a copy to the writer's length, of which it fetches as many blocks. */
async function bring(copy: Hypercore, writer: Hypercore, blocks: number): Promise<void> {
  const cut = connect(writer, copy)
  await copy.update({ wait: true })
  for (let seq = 0; seq < blocks; seq++) await copy.get(seq, { raw: true })
  cut()
  await until(() => copy.peers.length === 0 && writer.peers.length === 0)
}

/**
 * The relay holds 2 blocks and knows of 4. Who holds 3 comes, and cannot be brought further: for that the relay would need the tree of
 * the last block. Then it is read there, as `read` says, with the writer at hand.
 */
async function passesOn(seed: number, read: (relay: Hypercore) => void): Promise<void> {
  const writing = await openLogStore(seed)
  const relaying = await openLogStore()
  const reading = await openLogStore()
  const writer = await writing.own('acl', encryption(constantKeys(b4a.alloc(32, 1))))
  const relay = await relaying.remote(writer.key, encryption(NO_KEYS))
  const last = await reading.remote(writer.key)
  await writer.append(['0', '1'].map((block) => b4a.from(block)))
  await bring(relay, writer, 2)
  await writer.append(b4a.from('2'))
  await bring(last, writer, 3)
  await writer.append(b4a.from('3'))
  await bring(relay, writer, 0)
  assert.equal([relay.length, relay.contiguousLength, last.length], [4, 2, 3])
  const cuts = [connect(relay, last)]
  await until(() => relay.peers.some(({ remoteLength }) => remoteLength === 3))
  cuts.push(connect(writer, relay))
  read(relay)
  await until(() => relay.contiguousLength === 4)
  await until(() => last.length === 4, { timeout: 5000 })
  for (const cut of cuts) cut()
  for (const store of [writing, relaying, reading]) await store.close()
}

test('passing on: who was told that a relay cannot bring it further is told when it can', () =>
  passesOn(1, (relay) => void new BlockLog(relay, false, () => {})))

test('passing on: so it is with a log that the relay keeps and cannot read', () =>
  passesOn(2, (relay) => void new LogReader(relay, () => {})))

test('passing on: so it is with a log of which the relay holds what it was asked for', () =>
  passesOn(3, (relay) => {
    new LogReader(relay, () => {}, { sparse: true })
    for (const seq of [2, 3]) void relay.get(seq, { raw: true })
  }))

test('passing on: who grows while a relay grows further lets it know, and is brought further', async () => {
  const writing = await openLogStore(4)
  const relaying = await openLogStore()
  const reading = await openLogStore()
  const writer = await writing.own('acl')
  const relay = await relaying.remote(writer.key)
  const last = await reading.remote(writer.key)
  await writer.append(b4a.from('0'))
  for (const copy of [relay, last]) await bring(copy, writer, 1)
  const logs = [relay, last].map((copy) => new BlockLog(copy, false, () => {}))
  const cuts = [connect(relay, last)]
  await until(() => last.peers[0]?.remoteLength === 1 && relay.peers[0]?.remoteLength === 1)
  const [peer] = last.peers as [ReplicaPeer]
  // It looks whether it can bring the relay further until the relay has told that it is further itself.
  const look = peer._canUpgrade.bind(peer)
  const told = until(() => peer.remoteLength === 3)
  peer._canUpgrade = async (...of) => (await told, look(...of))
  await writer.append(b4a.from('1'))
  const second = await writer.proof({ upgrade: { start: 1, length: 1 } })
  await last.applyProof(second) // as it comes from a connection that has just been cut
  assert.equal([last.length, relay.length], [2, 1])
  await writer.append(b4a.from('2'))
  cuts.push(connect(writer, relay))
  await until(() => last.contiguousLength === 3, { timeout: 5000 })
  for (const cut of cuts) cut()
  for (const log of logs) await log.close()
  for (const store of [writing, relaying, reading]) await store.close()
})

test.run()
