/**
 * A link that was made, and answering whoever comes by it. The first device that proves to have it is the only one that is heard; it becomes
 * this person's once a person has compared the codes that both show, and has confirmed it. A link that lets several try would give
 * whoever caught it several guesses. It is kept in memory alone, so that it ends with the process at the latest.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { attestNext, type DeviceStore, type Meeting } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { encodeDenial, type Denial } from '../members/invite-message.ts'
import { TokenBuckets } from '../presence/token-bucket.ts'
import {
  codeOf,
  commitmentTo,
  encodeChallenge,
  encodeDeviceLink,
  encodeWelcome,
  newNonce,
  openLinkRequest,
  topicOfLink,
  type DeviceLink,
  type LinkRequest
} from './device-link.ts'
import type { KnownSpace } from './space-list.ts'

/** Who asks again every two seconds is heard; who floods costs no signatures. */
const REQUESTS = { burst: 10, perSecond: 1 }

/** A device that came by a link. */
export interface JoinedDevice {
  /** Its `device.id`. */
  readonly device: string
  /** What it calls itself. */
  readonly name: string
}

/** A device that has come by a link, and waits for a person to say whether it is theirs. */
export interface AskingByLink extends JoinedDevice {
  /** Six digits. The new device shows the same, and no other does: compare them. */
  readonly code: string
  /**
   * Makes it this person's, and lets it into all spaces.
   * @throws DEVICE_LINK_EXPIRED once the link has ended
   */
  confirm(): void
  /** Turns it away, and ends the link: somebody else may have it. */
  refuse(): void
}

export interface DeviceInviteParts {
  readonly store: Pick<DeviceStore, 'keyPair' | 'secrets'>
  readonly link: DeviceLink
  /** In ms since 1970. */
  readonly expires: number
  readonly now: () => number
  /** @see Timers.elapsed */
  readonly elapsed: () => number
  spaces(): readonly KnownSpace[]
  /** A device was confirmed. */
  onjoined(): void
  /** It lets nobody in from now on. */
  onend(): void
}

/** The device that came first. */
interface Session {
  readonly device: Uint8Array
  readonly name: string
  readonly commitment: Uint8Array
  /** Ours. */
  readonly nonce: Uint8Array
}

type Stage = 'free' | 'taken' | 'asking' | 'confirmed' | 'refused'

export class DeviceInvite {
  /** For `device.identity.join` there. Whoever has it first is the one that asks: show it to nobody else. */
  readonly link: string
  /** In ms since 1970. */
  readonly expires: number
  /** The device that came by it and waits to be confirmed; null once it has ended without. */
  readonly asking: Promise<AskingByLink | null>
  /** The device, once it was confirmed; null once it has ended without. */
  readonly joined: Promise<JoinedDevice | null>
  /** For the device. */
  readonly meeting: Meeting
  readonly #parts: DeviceInviteParts
  readonly #buckets = new TokenBuckets(REQUESTS)
  #settleAsking: (asking: AskingByLink | null) => void = () => {}
  #settleJoined: (joined: JoinedDevice | null) => void = () => {}
  #waiting: AskingByLink | null = null
  #stage: Stage = 'free'
  #session: Session | null = null
  /** Answers the request that waits for a person; the ones before it said the same. */
  #answerWaiting: (answer: Uint8Array | null) => void = () => {}
  #isEnded = false
  #refused = 0

  /** @see DeviceIdentity.invite */
  constructor(parts: DeviceInviteParts) {
    this.#parts = parts
    this.link = encodeDeviceLink(parts.link)
    this.expires = parts.expires
    this.asking = new Promise((resolve) => (this.#settleAsking = resolve))
    this.joined = new Promise((resolve) => (this.#settleJoined = resolve))
    this.meeting = {
      topic: topicOfLink(parts.link),
      isOpen: () => true,
      answer: (request, from) => this.#answer(request, from)
    }
  }

  /** Requests that were none, did not prove to have the link, were not what was committed to, or came too fast. */
  get refused(): number {
    return this.#refused
  }

  /** The device that waits now, or null. */
  get waiting(): AskingByLink | null {
    return this.#stage === 'asking' && !this.#isEnded ? this.#waiting : null
  }

  /** Lets nobody in by it any more; who was confirmed stays. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#settleAsking(null)
    this.#settleJoined(null)
    if (this.#stage === 'asking') this.#answerWaiting(encodeDenial('expired'))
    this.#parts.onend()
  }

  async #answer(bytes: Uint8Array, from: Uint8Array): Promise<Uint8Array | null> {
    const { link, elapsed, store } = this.#parts
    const isHeard = this.#buckets.take(from, elapsed())
    const request = isHeard ? openLinkRequest(link, bytes) : null
    if (request === null) return this.#refuseRequest()
    if (b4a.equals(request.device, store.keyPair.publicKey)) return null
    const denial = this.#denialOf(request)
    if (denial !== null) return encodeDenial(denial)
    return request.step === 'commit' ? this.#challenge(request) : this.#reveal(request)
  }

  #refuseRequest(): null {
    this.#refused++
    return null
  }

  /** A device that was confirmed and did not get the answer comes again; one that was not has no second guess. */
  #denialOf({ device, step, value }: LinkRequest): Denial | null {
    const session = this.#session
    if (session !== null && !b4a.equals(session.device, device)) return 'used'
    if (this.#stage === 'refused') return 'revoked'
    if (this.#isEnded || this.#parts.now() >= this.expires) return 'expired'
    if (session === null || step === 'reveal' || this.#stage === 'confirmed') return null
    return b4a.equals(session.commitment, value) ? null : 'used'
  }

  #challenge({ device, name, value }: LinkRequest): Uint8Array {
    const { keyPair, secrets } = this.#parts.store
    if (this.#session === null || !b4a.equals(this.#session.commitment, value)) {
      this.#session = { device: b4a.from(device), name, commitment: value, nonce: newNonce() }
      if (this.#stage === 'free') this.#stage = 'taken'
    }
    return encodeChallenge(
      keyPair,
      secrets.identity.attestation,
      this.#session,
      this.#session.nonce
    )
  }

  #reveal({ value }: LinkRequest): Promise<Uint8Array | null> | null {
    const session = this.#session
    if (session !== null && this.#stage === 'confirmed')
      return Promise.resolve(this.#welcome(session.device))
    if (session === null || !b4a.equals(commitmentTo(value), session.commitment))
      return this.#refuseRequest()
    if (this.#stage === 'taken') this.#ask(session, value)
    this.#answerWaiting(null)
    return new Promise((resolve) => (this.#answerWaiting = resolve))
  }

  #ask({ device, name, nonce }: Session, revealed: Uint8Array): void {
    const { publicKey } = this.#parts.store.keyPair
    const came = { device: z32.encode(device), name }
    this.#stage = 'asking'
    this.#waiting = {
      ...came,
      code: codeOf({ by: publicKey, nonce }, device, revealed),
      confirm: () => this.#confirm(device, came),
      refuse: () => this.#refuse()
    }
    this.#settleAsking(this.#waiting)
  }

  #confirm(device: Uint8Array, came: JoinedDevice): void {
    if (this.#stage === 'confirmed') return
    if (this.#isEnded || this.#parts.now() >= this.expires)
      throw new ManyhandsError('DEVICE_LINK_EXPIRED', 'The link has ended')
    this.#stage = 'confirmed'
    this.#settleJoined(came)
    this.#parts.onjoined()
    this.#answerWaiting(this.#welcome(device))
  }

  #refuse(): void {
    if (this.#stage !== 'asking') return
    this.#stage = 'refused'
    this.#answerWaiting(encodeDenial('revoked'))
    this.end()
  }

  /** Null for a device whose key is none. */
  #welcome(device: Uint8Array): Uint8Array | null {
    const { keyPair, secrets } = this.#parts.store
    const attestation = attestNext(keyPair, secrets.identity.attestation, device)
    return encodeWelcome(keyPair, device, { attestation, spaces: this.#parts.spaces() })
  }
}
