/** The contract of Transport, for every network: what a device may rely on, whatever brings the streams. */
import b4a from 'b4a'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type NoiseSecretStream from '@hyperswarm/secret-stream'
import { deriveKeyPair, randomBytes } from '../../core/crypto.ts'
import type { Transport, TransportFactory } from '../../core/net/transport.ts'
import { isManyhandsError } from '../../errors.ts'
import { until } from '../support/devices.ts'

export interface NetworkUnderTest {
  readonly transport: TransportFactory
  /** Stops what is left of the network itself. */
  close(): Promise<void>
}

/** A transport, its key, and the streams it brought. */
interface Member {
  readonly key: Uint8Array
  readonly transport: Transport
  readonly streams: NoiseSecretStream[]
}

/** @param make a network that nobody has joined yet */
export function testTransport(name: string, make: () => Promise<NetworkUnderTest>): void {
  const test = suite(`transport contract: ${name}`)

  /** One law, on a new network. */
  function law(title: string, body: (join: () => Member) => Promise<void>): void {
    test(title, async () => {
      const network = await make()
      const members: Member[] = []
      const newMember = () => {
        const member = memberOf(network.transport)
        members.push(member)
        return member
      }
      try {
        await body(newMember)
      } finally {
        for (const { transport } of members) await transport.close()
        await network.close()
      }
    })
  }

  law('two that join a topic meet, and each knows the key of the other', async (newMember) => {
    const topic = randomBytes(32)
    const [a, b] = [newMember(), newMember()]
    a.transport.join(topic)
    b.transport.join(topic)
    await haveMet(a, b)
    assert.equal(await heard(a, b, 'hello'), 'hello')
    assert.equal(await heard(b, a, 'hello yourself'), 'hello yourself')
  })

  law('who joins later is found too; joining again changes nothing', async (newMember) => {
    const topic = randomBytes(32)
    const [a, b, c] = [newMember(), newMember(), newMember()]
    a.transport.join(topic)
    a.transport.join(topic)
    b.transport.join(topic)
    await haveMet(a, b)
    c.transport.join(topic)
    await haveMet(a, c)
    await haveMet(b, c)
    assert.is(openStreams(a).length, 2)
  })

  law('those of different topics do not meet', async (newMember) => {
    const [topic, other] = [randomBytes(32), randomBytes(32)]
    const [a, b, c] = [newMember(), newMember(), newMember()]
    c.transport.join(other)
    a.transport.join(topic)
    b.transport.join(topic)
    await haveMet(a, b)
    assert.is(c.streams.length, 0)
  })

  law(
    'closing drops the streams, ends the other side without harm, and is idempotent',
    async (newMember) => {
      const topic = randomBytes(32)
      const [a, b] = [newMember(), newMember()]
      a.transport.join(topic)
      b.transport.join(topic)
      await haveMet(a, b)
      await Promise.all([a.transport.close(), a.transport.close()])
      await a.transport.close()
      await until(() => openStreams(a).length === 0 && openStreams(b).length === 0)
      await b.transport.leave(topic)
    }
  )

  law('leaving is idempotent, also for a topic that was never joined', async (newMember) => {
    const topic = randomBytes(32)
    const { transport } = newMember()
    await transport.leave(topic)
    transport.join(topic)
    await transport.leave(topic)
    await transport.leave(topic)
  })

  law('after close, join throws TRANSPORT_CLOSED and leave does nothing', async (newMember) => {
    const { transport } = newMember()
    transport.join(randomBytes(32))
    await transport.close()
    let thrown: unknown = null
    try {
      transport.join(randomBytes(32))
    } catch (error) {
      thrown = error
    }
    assert.ok(isManyhandsError(thrown, 'TRANSPORT_CLOSED'), String(thrown))
    await transport.leave(randomBytes(32))
  })

  law('closing at once after joining leaves nothing behind', async (newMember) => {
    const { transport } = newMember()
    transport.join(randomBytes(32))
    await transport.close()
  })

  test.run()
}

function memberOf(factory: TransportFactory): Member {
  const keyPair = deriveKeyPair(randomBytes(32), 'test/transport')
  const transport = factory(keyPair)
  const streams: NoiseSecretStream[] = []
  transport.events.on('connection', (stream) => {
    streams.push(stream)
    stream.on('error', () => {})
    stream.on('data', () => {})
  })
  return { key: keyPair.publicKey, transport, streams }
}

function openStreams({ streams }: Member): readonly NoiseSecretStream[] {
  return streams.filter((stream) => !stream.destroyed)
}

function streamTo(from: Member, to: Member): NoiseSecretStream | undefined {
  return openStreams(from).find(
    ({ remotePublicKey }) => remotePublicKey !== null && b4a.equals(remotePublicKey, to.key)
  )
}

async function haveMet(a: Member, b: Member): Promise<void> {
  await until(() => streamTo(a, b) !== undefined && streamTo(b, a) !== undefined, {
    timeout: 20_000
  })
}

/** What arrives of a message. */
async function heard(from: Member, to: Member, message: string): Promise<string> {
  let text = ''
  streamTo(to, from)?.on('data', (bytes) => {
    if (bytes instanceof Uint8Array) text += b4a.toString(bytes)
  })
  streamTo(from, to)?.write(b4a.from(message))
  await until(() => text.length >= message.length)
  return text
}
