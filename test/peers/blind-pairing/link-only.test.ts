/** What the real blind-pairing gives to somebody who has the link, and nothing else: the evidence of decision 015. */
import b4a from 'b4a'
import { CandidateRequest, createInvite, MemberRequest } from 'blind-pairing-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deriveKeyPair, randomBytes } from '../../../core/index.ts'
import { encodeAdmission, openAdmission } from '../../../multiwriter/members/invite-message.ts'
import { Bearer, keysOf } from './bearer.ts'

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

test.run()
