/** The bytes of invites: the link, the request, the answer; golden, and hostile. */
import b4a from 'b4a'
import { readFileSync } from 'node:fs'
import { secretsOf } from '../support/secrets.ts'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair, ownLogKey, sealTo } from '../../core/index.ts'
import {
  decodeInviteLink,
  encodeInviteLink,
  inviteKeyPair,
  meetingOf,
  meetingTopic
} from '../../multiwriter/invite-link.ts'
import { ownCredentials } from '../../multiwriter/members/credentials.ts'
import {
  decodeInviteAnswer,
  decodeInviteRequest,
  encodeAdmission,
  encodeDenial,
  encodeInviteRequest,
  isProven,
  openAdmission,
  type Denial
} from '../../multiwriter/members/invite-message.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'

interface Golden {
  readonly address: string
  readonly secret: string
  readonly membershipKey: string
  readonly seed: string
  readonly salt: string
  readonly meeting: string
  readonly topic: string
  readonly inviteKey: string
  readonly link: string
  readonly request: string
  readonly denials: Readonly<Record<Denial, string>>
}

const golden = JSON.parse(
  readFileSync(new URL('../vectors/invite.json', import.meta.url), 'utf8')
) as Golden

const hex = (bytes: Uint8Array) => b4a.toString(bytes, 'hex')
const bytes = (text: string) => b4a.from(text, 'hex')

const [address, secret, membershipKey] = [golden.address, golden.secret, golden.membershipKey].map(
  bytes
) as [Uint8Array, Uint8Array, Uint8Array]

/** A device with this seed. */
function deviceOf(seed: Uint8Array) {
  const salt = bytes(golden.salt)
  const keyPair = deriveKeyPair(seed, 'test/device')
  const pair = { salt, acl: ownLogKey(seed, 'acl', salt), data: ownLogKey(seed, 'data', salt) }
  return {
    keyPair,
    credentials: ownCredentials({ keyPair, secrets: secretsOf(seed, keyPair.publicKey) }, address, [
      pair
    ])
  }
}

const { keyPair, credentials } = deviceOf(bytes(golden.seed))

test('invite bytes: link, keys, topic, request and denials are the golden ones', () => {
  const meeting = meetingOf(membershipKey)
  assert.is(hex(meeting), golden.meeting)
  assert.is(hex(meetingTopic(meeting)), golden.topic)
  assert.is(hex(inviteKeyPair(secret).publicKey), golden.inviteKey)
  assert.is(encodeInviteLink({ address, secret, meeting }), golden.link)
  assert.equal(decodeInviteLink(golden.link), { address, secret, meeting })
  const request = encodeInviteRequest(inviteKeyPair(secret), address, credentials)
  assert.is(hex(request), golden.request)
  for (const denial of Object.keys(golden.denials) as Denial[]) {
    assert.is(hex(encodeDenial(denial)), golden.denials[denial])
    assert.equal(decodeInviteAnswer(bytes(golden.denials[denial])), { denial })
  }
})

test('invite bytes: every link that is cut, longer or has one other character is refused', async () => {
  const { link } = golden
  const start = 'manyhands://join/'.length
  for (let at = start; at < link.length; at++) {
    await rejectsWith('INVITE_INVALID', () => decodeInviteLink(link.slice(0, at)))
    const other = link[at] === 'y' ? 'b' : 'y'
    await rejectsWith('INVITE_INVALID', () =>
      decodeInviteLink(link.slice(0, at) + other + link.slice(at + 1))
    )
  }
  await rejectsWith('INVITE_INVALID', () => decodeInviteLink(`${link}y`))
  assert.equal(
    decodeInviteLink(`\n ${link.slice(0, 60)}\r\n${link.slice(60).toUpperCase()} `),
    decodeInviteLink(link)
  )
})

test('invite bytes: a request proves the invite, for this space and this device', () => {
  const request = decodeInviteRequest(bytes(golden.request))
  assert.ok(request !== null && isProven(request, address))
  assert.not(isProven(request, b4a.alloc(32, 9)))
  const mallory = deviceOf(b4a.alloc(32, 7))
  assert.not(isProven({ ...request, credentials: mallory.credentials }, address))
  assert.not(isProven({ ...request, key: inviteKeyPair(b4a.alloc(16, 7)).publicKey }, address))
  const cores = credentials.cores.slice(0, 1)
  assert.not(isProven({ ...request, credentials: { ...credentials, cores } }, address))
})

test('invite bytes: no request and no answer that is cut, longer or turned is taken, and none makes reading throw', () => {
  const request = bytes(golden.request)
  for (let length = 0; length < request.byteLength; length++)
    assert.is(decodeInviteRequest(request.subarray(0, length)), null)
  assert.is(decodeInviteRequest(b4a.concat([request, b4a.alloc(1)])), null)
  assert.is(decodeInviteRequest(b4a.concat([request, b4a.alloc(5000)])), null)
  const random = seededRandom(5)
  for (let round = 0; round < 300; round++) {
    const turned = b4a.from(request)
    const at = random.below(turned.byteLength)
    turned[at] = (turned[at] ?? 0) ^ (1 << random.below(8))
    const read = decodeInviteRequest(turned)
    assert.ok(read === null || !isProven(read, address), `bit at ${at}`)
  }
  for (const answer of [[], [1], [2, 1], [1, 6], [1, 255], [1, 1, 0]])
    assert.is(decodeInviteAnswer(b4a.from(answer)), null, String(answer))
})

const entrance = { membershipKey, epoch: b4a.alloc(32, 8), open: true, encrypted: false }

test('invite bytes: an admission opens for the device that it is for alone', () => {
  const bytes = encodeAdmission(keyPair.publicKey, entrance)
  const answer = bytes === null ? null : decodeInviteAnswer(bytes)
  assert.ok(answer !== null && 'sealed' in answer)
  assert.equal(openAdmission(keyPair, answer.sealed), entrance)
  assert.is(openAdmission(deviceOf(b4a.alloc(32, 7)).keyPair, answer.sealed), null)
  for (let length = 0; length < answer.sealed.byteLength; length++)
    assert.is(openAdmission(keyPair, answer.sealed.subarray(0, length)), null)
  // What is sealed to it and is no admission.
  for (const plain of [
    [],
    [0],
    [8, ...membershipKey],
    [4, ...membershipKey],
    [0, ...membershipKey, 0]
  ]) {
    const sealed = sealTo(b4a.from(plain), keyPair.publicKey)
    assert.ok(sealed !== null && openAdmission(keyPair, sealed) === null)
  }
})

test('invite bytes: nothing is sealed to what is no key', () => {
  assert.is(encodeAdmission(b4a.alloc(32, 255), entrance), null)
  assert.is(openAdmission(keyPair, b4a.alloc(10)), null)
})

test.run()
