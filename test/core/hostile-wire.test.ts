/** Bytes that no honest peer sends: the connection ends with an event, the process and the other connections go on. */
import { Duplex, PassThrough } from 'node:stream'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeTicket } from '../../multiwriter/ticket.ts'
import { connect, openTwoDevices, until, type TwoDevices } from '../support/devices.ts'
import { helloOf, RawPeer } from '../support/raw-peer.ts'
import { within } from '../support/within.ts'

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))
process.on('uncaughtException', (error) => failures.push(error))

interface Scene extends TwoDevices {
  /** Connection errors of the first device. */
  readonly errors: readonly Error[]
  readonly membershipKey: Uint8Array
}

/** One law; whatever it does, an honest connection beside it goes on. */
function law(title: string, body: (scene: Scene) => Promise<void>): void {
  test(title, async () => {
    const two = await openTwoDevices()
    const errors: Error[] = []
    two.a.on('connection-error', (error) => errors.push(error))
    const cut = connect(two.a, two.b)
    await two.spaceA.db.put('before', 1)
    await until(async () => (await two.spaceB.db.get('before')) !== null)
    const { membershipKey } = decodeTicket(two.spaceA.ticket)
    await within(15_000, body({ ...two, errors, membershipKey }))
    await two.spaceB.db.put('after', 1)
    await until(async () => (await two.spaceA.db.get('after')) !== null)
    cut()
    await two.close()
    assert.equal(failures, [])
  })
}

/** Deterministic noise. */
function noise(size: number, seed: number): Uint8Array {
  const bytes = b4a.alloc(size)
  let state = seed
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[i] = state >>> 16
  }
  return bytes
}

for (const size of [1, 48, 600]) {
  law(
    `a first frame of ${size} garbage bytes ends the connection, with an event`,
    async ({ a, errors }) => {
      for (const initiator of [true, false]) {
        const before = errors.length
        const peer = silentPeer()
        a.replicate(peer.stream, { initiator })
        peer.incoming.write(b4a.concat([b4a.from([size & 255, size >> 8, 0]), noise(size, size)]))
        await until(() => errors.length > before)
      }
    }
  )

  // A handshake that never ends is for the wire guard to time out; here it must only do no harm.
  law(`${size} bytes that promise more, and then an end, do no harm`, async ({ a }) => {
    for (const initiator of [true, false]) {
      const peer = silentPeer()
      a.replicate(peer.stream, { initiator })
      const arrived = new Promise((resolve) => peer.stream.once('end', resolve))
      peer.incoming.end(b4a.concat([b4a.from([0xff, 0xff, 0xff]), noise(size, size)]))
      await arrived
    }
  })
}

/** A plain duplex whose other end takes everything and says what the test writes. */
function silentPeer() {
  const incoming = new PassThrough()
  const stream = Duplex.from({ readable: incoming, writable: new PassThrough().resume() })
  stream.on('error', () => {})
  return { incoming, stream }
}

law('garbage frames on an open stream end it, with an event', async ({ a, errors }) => {
  for (let seed = 1; seed <= 20; seed++) {
    const before = errors.length
    const peer = new RawPeer(a, seed % 2 === 0)
    await peer.stream.opened
    peer.stream.write(b4a.concat([b4a.from([0, 1, 0xff]), noise(50, seed)]))
    await until(() => peer.isClosed && errors.length > before)
  }
})

law('random frames of a member do no harm', async ({ a, spaceA, membershipKey }) => {
  for (let seed = 1; seed <= 20; seed++) {
    const peer = new RawPeer(a)
    await peer.greet(membershipKey, () => helloOf(peer.proof(membershipKey)))
    await until(() => spaceA.peers().length === 2 || peer.isClosed)
    for (let i = 0; i < 20 && !peer.isClosed; i++)
      peer.stream.write(noise(1 + i * 7, seed * 100 + i))
    peer.stream.end(b4a.alloc(0))
    await until(() => spaceA.peers().length === 1)
    peer.close()
  }
})

law(
  'a hello cut short ends the connection, with an event',
  async ({ a, errors, membershipKey }) => {
    const peer = new RawPeer(a)
    await peer.greet(membershipKey, () => b4a.from([1, 2, 3]))
    await until(() => peer.isClosed && errors.length === 1)
  }
)

law('a frame of 15 MB is ignored or ends the connection', async ({ a }) => {
  const peer = new RawPeer(a)
  await peer.stream.opened
  peer.stream.write(b4a.alloc(15_000_000, 1))
  peer.stream.write(b4a.from([0, 1, 0xff]))
  await until(() => peer.isClosed)
})

law(
  'messages on channels that were never opened are ignored',
  async ({ a, spaceA, membershipKey }) => {
    const peer = new RawPeer(a)
    await peer.stream.opened
    for (let id = 1; id < 200; id++) peer.stream.write(b4a.from([id, 0, 1, 2, 3]))
    await peer.greet(membershipKey, () => helloOf(peer.proof(membershipKey)))
    await until(() => spaceA.peers().length === 2)
    peer.close()
  }
)

law(
  '10,000 channels of unknown protocols are refused one by one',
  async ({ a, spaceA, membershipKey }) => {
    const peer = new RawPeer(a)
    await peer.stream.opened
    for (let i = 0; i < 10_000; i++) {
      peer.mux
        .createChannel<Uint8Array>({
          protocol: 'no/such/thing',
          id: b4a.from([i >> 8, i & 255]),
          handshake: { preencode() {}, encode() {}, decode: () => b4a.alloc(0) },
          onopen: () => failures.push('opened'),
          onclose() {}
        })
        ?.open(b4a.alloc(0))
    }
    await peer.greet(membershipKey, () => helloOf(peer.proof(membershipKey)))
    await until(() => spaceA.peers().length === 2)
    peer.close()
  }
)

law('a peer that says nothing at all keeps nobody from closing', async ({ a }) => {
  a.replicate(new PassThrough(), { initiator: true })
  a.replicate(new PassThrough(), { initiator: false })
  a.replicate(true)
  a.replicate(false)
  await Promise.resolve()
})

test.run()
