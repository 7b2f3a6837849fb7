/**
 * What the real blind-pairing gives to somebody who has the link, and nothing else: the evidence of decision 015. `Bearer` is that
 * somebody: nobody has let it in, and it says nothing to anybody who is in.
 */
import { EventEmitter } from 'node:events'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import b4a from 'b4a'
import BlindPairing from 'blind-pairing'
import {
  CandidateRequest,
  createInvite,
  decodeInvite,
  MemberRequest,
  type Paired
} from 'blind-pairing-core'
import crypto from 'hypercore-crypto'
import HyperDHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import Hyperswarm from 'hyperswarm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair, randomBytes } from '../../../core/index.ts'
import { encodeAdmission, openAdmission } from '../../../multiwriter/members/invite-message.ts'
import { until } from '../../support/devices.ts'

const [, NS_REPLY, NS_DISCOVERY] = crypto.namespace('blind-pairing/dht', 3)
if (NS_REPLY === undefined || NS_DISCOVERY === undefined) throw new Error('no namespaces')

const keysOf = (address: Uint8Array) => ({ key: address, encryptionKey: randomBytes(32) })

/** Has the link. */
class Bearer {
  readonly #link: Uint8Array

  constructor(link: Uint8Array) {
    this.#link = link
  }

  /** Where candidates and members leave what they have to say. */
  get mailbox(): Uint8Array {
    return crypto.hash([NS_DISCOVERY ?? b4a.alloc(0), decodeInvite(this.#link).discoveryKey])
  }

  /** The very request that the device made whose request was seen: nothing in it is that device's secret. */
  remake(request: Uint8Array): CandidateRequest {
    const { publicKey } = crypto.keyPair(decodeInvite(this.#link).seed)
    const userData = MemberRequest.from(request).open(publicKey)
    const remade = new CandidateRequest(this.#link, userData)
    assert.equal(b4a.from(remade.encode()), b4a.from(request))
    return remade
  }

  /** What one is told, out of what passed by. */
  read(request: Uint8Array, response: Uint8Array): Paired | null {
    return this.remake(request).handleResponse(response)
  }
}

test('blind-pairing: who has the link, and sees a request and its answer, has the key that is given', () => {
  const { invite, publicKey } = createInvite(randomBytes(32))
  const address = randomBytes(32)
  const made = createInvite(address)
  const candidate = new CandidateRequest(made.invite, b4a.from('the phone'))
  const request = candidate.encode()
  const member = MemberRequest.from(request)
  member.open(made.publicKey)
  const keys = keysOf(address)
  member.confirm(keys)
  assert.equal(
    new Bearer(made.invite).read(request, member.response)?.encryptionKey,
    keys.encryptionKey
  )
  // Not who has another link.
  const other = new CandidateRequest(invite, b4a.from('the phone'))
  other.on('rejected', () => {})
  assert.is(other.handleResponse(member.response), null)
  assert.throws(() => MemberRequest.from(request).open(publicKey))
})

test('ours: who has the link, and sees a request and its answer, cannot open it', () => {
  const phone = deriveKeyPair(randomBytes(32), 'test/phone')
  const entrance = { membershipKey: randomBytes(32), epoch: null, open: false, encrypted: true }
  const answer = encodeAdmission(phone.publicKey, entrance)?.subarray(2) ?? new Uint8Array(0)
  assert.equal(openAdmission(phone, answer)?.membershipKey, entrance.membershipKey)
  // The link has keys; none of them is the phone's.
  for (let i = 0; i < 10; i++)
    assert.is(openAdmission(deriveKeyPair(randomBytes(32), 'test/bearer'), answer), null)
})

test('blind-pairing: over a real swarm, who has the link finds request and answer in the DHT, and the key in it', async () => {
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
    member.addMember({
      discoveryKey,
      onadd(request) {
        request.open(publicKey)
        request.confirm(keys)
      }
    })
    await until(() => candidate.paired !== null, { timeout: 30_000 })

    const bearer = new Bearer(invite)
    const { request, response } = await left(watching, bearer)
    assert.equal(b4a.from(bearer.read(request, response)?.encryptionKey ?? []), keys.encryptionKey)
  } finally {
    await Promise.all([phone.close(), member.close()])
    await Promise.all([phones.destroy(), members.destroy(), watching.destroy()])
    await testnet.destroy()
  }
})

/** What lies in the DHT for the bearer of a link. */
async function left(dht: HyperDHT, bearer: Bearer) {
  for (const until = performance.now() + 30_000; performance.now() < until;) {
    for await (const { peers } of dht.lookup(bearer.mailbox)) {
      for (const { publicKey } of peers) {
        const request = (await dht.mutableGet(publicKey, { latest: false }))?.value
        if (request === undefined) continue
        const { token } = bearer.remake(request)
        const reply = crypto.keyPair(crypto.hash([NS_REPLY ?? b4a.alloc(0), token]))
        const response = (await dht.mutableGet(reply.publicKey, { latest: false }))?.value
        if (response !== undefined) return { request, response }
      }
    }
  }
  throw new Error('Nothing was left in the DHT')
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
