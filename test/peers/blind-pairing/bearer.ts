/** Somebody who has the link of an invite of blind-pairing, and nothing else: nobody has let it in, and it says nothing to who is in. */
import b4a from 'b4a'
import { CandidateRequest, decodeInvite, MemberRequest, type Paired } from 'blind-pairing-core'
import crypto from 'hypercore-crypto'
import * as assert from 'uvu/assert'
import { randomBytes } from '../../../core/index.ts'

const [, NS_REPLY, NS_DISCOVERY] = crypto.namespace('blind-pairing/dht', 3)
if (NS_REPLY === undefined || NS_DISCOVERY === undefined) throw new Error('no namespaces')

export const NAMESPACES = { reply: NS_REPLY, discovery: NS_DISCOVERY }

export const keysOf = (address: Uint8Array) => ({ key: address, encryptionKey: randomBytes(32) })

export class Bearer {
  readonly #link: Uint8Array

  constructor(link: Uint8Array) {
    this.#link = link
  }

  /** Where candidates and members leave what they have to say. */
  get mailbox(): Uint8Array {
    return crypto.hash([NAMESPACES.discovery, decodeInvite(this.#link).discoveryKey])
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
