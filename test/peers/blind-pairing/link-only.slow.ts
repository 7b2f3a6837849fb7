/** The same where it is used: over a swarm, and over streams that others made. */
import { EventEmitter } from 'node:events'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import b4a from 'b4a'
import BlindPairing from 'blind-pairing'
import { createInvite } from 'blind-pairing-core'
import crypto from 'hypercore-crypto'
import HyperDHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import Hyperswarm from 'hyperswarm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair, randomBytes } from '../../../core/index.ts'
import { until } from '../../support/devices.ts'
import { Bearer, keysOf, NAMESPACES } from './bearer.ts'

test('blind-pairing: over a real swarm, who has the link finds request and answer in the DHT, and the key in it', async () => {
  // Who has paired takes its request back: where it is faster than the bearer, that has the next one.
  for (let turn = 0; turn < 10; turn++) if (await isReadInSwarm()) return
  assert.unreachable('Nothing was left in the DHT')
})

async function isReadInSwarm(): Promise<boolean> {
  const host = '127.0.0.1'
  const testnet = await createTestnet(4, { host })
  const node = () => new HyperDHT({ bootstrap: testnet.bootstrap, host, firewalled: false })
  const newSwarm = () =>
    new Hyperswarm({ keyPair: deriveKeyPair(randomBytes(32), 'test/swarm'), dht: node() })
  const [phones, members, watching] = [newSwarm(), newSwarm(), node()]
  const [phone, member] = [phones, members].map((each) => new BlindPairing(each, { poll: 500 }))
  assert.ok(phone && member)
  try {
    const address = randomBytes(32)
    const { invite, publicKey, discoveryKey } = createInvite(address)
    const keys = keysOf(address)
    // It comes while nobody is there who lets in: that is what the mailbox is for.
    const candidate = phone.addCandidate({ invite, userData: b4a.from('the phone') })
    await new Promise<void>((resolve) => candidate.once('announce', resolve))
    const bearer = new Bearer(invite)
    const finding = left(watching, bearer)
    member.addMember({
      discoveryKey,
      onadd(request) {
        request.open(publicKey)
        request.confirm(keys)
      }
    })
    await until(() => candidate.paired !== null, { timeout: 30_000 })
    const found = await finding
    if (found === null) return false
    const { encryptionKey } = bearer.read(found.request, found.response) ?? {}
    assert.equal(b4a.from(encryptionKey ?? []), keys.encryptionKey)
    return true
  } finally {
    await Promise.all([phone.close(), member.close()])
    await Promise.all([phones.destroy(), members.destroy(), watching.destroy()])
    await testnet.destroy()
  }
}

/** What lies in the DHT for the bearer of a link. */
async function left(dht: HyperDHT, bearer: Bearer) {
  for (const until = performance.now() + 5000; performance.now() < until;) {
    for await (const { peers } of dht.lookup(bearer.mailbox)) {
      for (const { publicKey } of peers) {
        const request = (await dht.mutableGet(publicKey, { latest: false }))?.value
        if (request === undefined) continue
        const { token } = bearer.remake(request)
        const reply = crypto.keyPair(crypto.hash([NAMESPACES.reply, token]))
        const response = (await dht.mutableGet(reply.publicKey, { latest: false }))?.value
        if (response !== undefined) return { request, response }
      }
    }
  }
  return null
}

/** As much of a swarm as it takes: connections that somebody else made. */
class Connected extends EventEmitter {
  readonly connections = new Set<NoiseSecretStream>()
  readonly dht = Object.assign(new EventEmitter(), {
    lookup: () => ({ closestNodes: [], destroy() {}, async *[Symbol.asyncIterator]() {} }),
    mutableGet: () => Promise.resolve(null),
    mutablePut: () => Promise.resolve(),
    announce: () => ({ finished: () => Promise.resolve() }),
    unannounce: () => Promise.resolve()
  })

  join() {
    return { isServer: true, isClient: true, destroy: () => Promise.resolve() }
  }

  connect(stream: NoiseSecretStream): void {
    stream.on('error', () => {})
    this.connections.add(stream)
    this.emit('connection', stream)
  }
}

/** How often a member is asked in three seconds by a candidate with a channel to it; it would ask one peer a second. */
async function askedOver(rtt: number | undefined): Promise<number> {
  const [one, other] = [new Connected(), new Connected()]
  const [phone, member] = [new BlindPairing(one), new BlindPairing(other)]
  const [mine, theirs] = [new NoiseSecretStream(true, null), new NoiseSecretStream(false, null)]
  if (rtt !== undefined) Object.assign(mine.rawStream, { rtt })
  mine.rawStream.pipe(theirs.rawStream).pipe(mine.rawStream)
  try {
    const { invite, discoveryKey } = createInvite(randomBytes(32))
    let asked = 0
    member.addMember({ discoveryKey, onadd: () => void asked++ })
    const candidate = phone.addCandidate({ invite, userData: b4a.from('the phone') })
    one.connect(mine)
    other.connect(theirs)
    await until(() => candidate.ref.channels.size > 0)
    await new Promise((resolve) => setTimeout(resolve, 3000))
    return asked
  } finally {
    mine.destroy()
    theirs.destroy()
    await Promise.all([phone.close(), member.close()])
  }
}

test('blind-pairing: over a stream that knows no round trip, as UDX does, it has a channel, and never asks', async () => {
  assert.is(await askedOver(undefined), 0)
  assert.ok((await askedOver(1)) > 0)
})

test.run()
