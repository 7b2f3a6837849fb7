/** Who has a link, or only knows where those meet who do, and sends what it likes; on both sides. */
import b4a from 'b4a'
import c from 'compact-encoding'
import { join } from 'node:path'
import { secretsOf } from '../support/secrets.ts'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Message } from 'protomux'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { deriveKeyPair, ownLogKey } from '../../core/index.ts'
import { decodeInviteLink, inviteKeyPair, meetingTopic } from '../../multiwriter/invite-link.ts'
import { ownCredentials } from '../../multiwriter/members/credentials.ts'
import {
  decodeInviteAnswer,
  encodeAdmission,
  encodeDenial,
  encodeInviteRequest,
  openAdmission
} from '../../multiwriter/members/invite-message.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0

test.after(() => folder.remove())

const open = () => openDevice({ storage: join(folder.path, `device-${count++}`) })

/** One end of the channel, by hand. */
class Stranger {
  readonly heard: Uint8Array[] = []
  readonly peer: RawPeer
  readonly #topic: Uint8Array
  readonly #number: 0 | 1
  #messages: readonly Message<Uint8Array>[] = []

  /** @param number of the message that it says */
  constructor(other: Device, topic: Uint8Array, number: 0 | 1) {
    this.peer = new RawPeer(other)
    this.#topic = topic
    this.#number = number
  }

  async start(): Promise<void> {
    await this.peer.stream.opened
    const options = { protocol: 'manyhands/invite/1', id: this.#topic }
    const channel = this.peer.mux.createChannel(options)
    if (channel === null) throw new Error('The stream is closed')
    const onmessage = (message: Uint8Array) => void this.heard.push(b4a.from(message))
    this.#messages = [0, 1].map(() => channel.addMessage({ encoding: c.raw, onmessage }))
    channel.open()
  }

  say(bytes: Uint8Array): void {
    this.#messages[this.#number]?.send(bytes)
  }

  close(): void {
    this.peer.close()
  }
}

async function withSpace(run: (ann: Device, space: Space, link: string) => Promise<void>) {
  const ann = await open()
  try {
    const space = await ann.createSpace()
    const { link } = await space.invite({ uses: 2 })
    await run(ann, space, link)
  } finally {
    await ann.close()
  }
}

const topicIn = (link: string) => meetingTopic(decodeInviteLink(link).meeting)

/** A request of a device that is somebody's own making. */
function requestWith(link: string, seed: Uint8Array, secret = decodeInviteLink(link).secret) {
  const { address } = decodeInviteLink(link)
  const keyPair = deriveKeyPair(seed, 'test/device')
  const pair = {
    salt: seed,
    acl: ownLogKey(seed, 'acl', seed),
    data: ownLogKey(seed, 'data', seed)
  }
  const secrets = secretsOf(seed, keyPair.publicKey)
  const credentials = ownCredentials({ keyPair, secrets }, address, [pair])
  return { keyPair, request: encodeInviteRequest(inviteKeyPair(secret), address, credentials) }
}

const countOf = (space: Space, reason: string) =>
  space.refusals().reduce((sum, each) => sum + (each.reason === reason ? each.count : 0), 0)

test('hostile: what is no request, or forged, is counted and gets no answer; the space goes on', async () => {
  await withSpace(async (ann, space, link) => {
    const stranger = new Stranger(ann, topicIn(link), 0)
    await stranger.start()
    const { request } = requestWith(link, b4a.alloc(32, 1))
    const forged = b4a.from(request)
    forged[40] = (forged[40] ?? 0) ^ 1 // in the proof
    for (const bytes of [b4a.alloc(0), b4a.alloc(9000, 1), request.subarray(0, 300), forged])
      stranger.say(bytes)
    await until(() => countOf(space, 'invite-malformed') === 3)
    await until(() => countOf(space, 'invite-forged') === 1)
    assert.equal(stranger.heard, [])
    assert.is(space.members.list().length, 1)
    stranger.say(request)
    await until(() => stranger.heard.length === 1)
    assert.is(space.members.list().length, 2)
    stranger.close()
  })
})

test('hostile: a key that no invite has is unknown, and nothing is granted', async () => {
  await withSpace(async (ann, space, link) => {
    const stranger = new Stranger(ann, topicIn(link), 0)
    await stranger.start()
    stranger.say(requestWith(link, b4a.alloc(32, 1), b4a.alloc(16, 9)).request)
    await until(() => stranger.heard.length === 1)
    assert.equal(decodeInviteAnswer(stranger.heard[0] ?? b4a.alloc(0)), { denial: 'unknown' })
    assert.is(space.members.list().length, 1)
    stranger.close()
  })
})

test('hostile: a flood is cut off before any signature is checked, and others are answered all the same', async () => {
  await withSpace(async (ann, space, link) => {
    const stranger = new Stranger(ann, topicIn(link), 0)
    await stranger.start()
    for (let i = 0; i < 500; i++) stranger.say(b4a.from([i & 255]))
    await until(() => countOf(space, 'invite-flood') >= 480)
    assert.ok(countOf(space, 'invite-malformed') <= 15)
    const ben = await open()
    const cut = connect(ann, ben)
    await ben.join(link)
    cut()
    await ben.close()
    stranger.close()
  })
})

test('hostile: a request that somebody else sends again brings that one nothing', async () => {
  await withSpace(async (ann, space, link) => {
    const { request } = requestWith(link, b4a.alloc(32, 1))
    const thief = deriveKeyPair(b4a.alloc(32, 2), 'test/device')
    const stranger = new Stranger(ann, topicIn(link), 0)
    await stranger.start()
    for (let i = 0; i < 3; i++) stranger.say(request)
    await until(() => stranger.heard.length === 3)
    assert.is(space.invites()[0]?.devices.length, 1, 'one device is one use')
    for (const answer of stranger.heard) {
      const read = decodeInviteAnswer(answer)
      assert.ok(read !== null && 'sealed' in read)
      assert.is(openAdmission(thief, read.sealed), null)
    }
    stranger.close()
  })
})

test('hostile: who only has the link can let nobody in, and its refusals do not keep out whom others let in', async () => {
  await withSpace(async (ann, space, link) => {
    const ben = await open()
    const liar = new Stranger(ben, topicIn(link), 1)
    await liar.start()
    const joining = ben.join(link)
    await until(() => liar.heard.length > 0)
    const mine = { membershipKey: b4a.alloc(32, 5), epoch: null, open: true, encrypted: true }
    const admission = encodeAdmission(b4a.from(liar.peer.stream.remotePublicKey), mine)
    liar.say(admission ?? b4a.alloc(0))
    liar.say(b4a.alloc(0))
    liar.say(encodeDenial('revoked'))
    const cut = connect(ann, ben)
    const same = await joining
    assert.is(same.address, space.address)
    cut()
    liar.close()
    await ben.close()
  })
})

test('hostile: a refusal by who only has the link ends it with nothing written', async () => {
  await withSpace(async (_, __, link) => {
    const ben = await open()
    const liar = new Stranger(ben, topicIn(link), 1)
    await liar.start()
    const joining = ben.join(link)
    await until(() => liar.heard.length > 0)
    liar.say(encodeDenial('expired'))
    await rejectsWith('INVITE_EXPIRED', () => joining)
    assert.equal(ben.spaces(), [])
    liar.close()
    await ben.close()
  })
})

test('hostile: of a space in which it may let nobody in, a device opens no channel', async () => {
  await withSpace(async (ann, space, link) => {
    const ben = await open()
    const cut = connect(ann, ben)
    await ben.join(link)
    cut()
    const stranger = new Stranger(ben, topicIn(link), 0)
    await stranger.start()
    stranger.say(requestWith(link, b4a.alloc(32, 1)).request)
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(stranger.heard, [])
    assert.is(space.members.list().length, 2)
    stranger.close()
    await ben.close()
  })
})

test('restart: who let in and was stopped before the answer was heard gives it when it is asked again', async () => {
  const storage = join(folder.path, `device-${count++}`)
  const before = await openDevice({ storage })
  const space = await before.createSpace()
  const { link } = await space.invite()
  const { keyPair, request } = requestWith(link, b4a.alloc(32, 1))
  const first = new Stranger(before, topicIn(link), 0)
  await first.start()
  first.say(request)
  await until(() => space.members.list().length === 2)
  first.close()
  await before.close()
  const after = await openDevice({ storage })
  const again = await after.openSpace(space.address)
  const second = new Stranger(after, topicIn(link), 0)
  await second.start()
  second.say(request)
  await until(() => second.heard.length === 1)
  const answer = decodeInviteAnswer(second.heard[0] ?? b4a.alloc(0))
  assert.ok(answer !== null && 'sealed' in answer)
  assert.ok(openAdmission(keyPair, answer.sealed) !== null)
  assert.is(again.invites()[0]?.devices.length, 1)
  second.close()
  await after.close()
})

test.run()
