/**
 * A link that was made, and answering whoever comes by it: the first device that proves to have it becomes this person's, and no other. It
 * is kept in memory alone, so that it ends with the process at the latest.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { attestNext, type DeviceStore, type Meeting } from '../../core/index.ts'
import { encodeDenial, type Denial } from '../members/invite-message.ts'
import { TokenBuckets } from '../presence/token-bucket.ts'
import {
  encodeDeviceLink,
  encodeWelcome,
  openLinkRequest,
  topicOfLink,
  type DeviceLink
} from './device-link.ts'
import type { DeviceRequest } from './certifying.ts'
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

export interface DeviceInviteParts {
  readonly store: Pick<DeviceStore, 'keyPair' | 'secrets'>
  readonly link: DeviceLink
  /** In ms since 1970. */
  readonly expires: number
  readonly now: () => number
  /** @see Timers.elapsed */
  readonly elapsed: () => number
  spaces(): readonly KnownSpace[]
  /** A device came. */
  onjoined(): void
  /** It lets nobody in from now on. */
  onend(): void
}

export class DeviceInvite {
  /** For `device.identity.join` there. Whoever has it first is this person from then on: show it to nobody else. */
  readonly link: string
  /** In ms since 1970. */
  readonly expires: number
  /** The device that came by it; null once it has ended without. */
  readonly joined: Promise<JoinedDevice | null>
  /** For the device. */
  readonly meeting: Meeting
  readonly #parts: DeviceInviteParts
  readonly #buckets = new TokenBuckets(REQUESTS)
  #settle: (joined: JoinedDevice | null) => void = () => {}
  #came: Uint8Array | null = null
  #isEnded = false
  #refused = 0

  /** @see DeviceIdentity.invite */
  constructor(parts: DeviceInviteParts) {
    this.#parts = parts
    this.link = encodeDeviceLink(parts.link)
    this.expires = parts.expires
    this.joined = new Promise((resolve) => (this.#settle = resolve))
    this.meeting = {
      topic: topicOfLink(parts.link),
      isOpen: () => true,
      answer: (request, from) => Promise.resolve(this.#answer(request, from))
    }
  }

  /** Requests that were none, did not prove to have the link, or came too fast. */
  get refused(): number {
    return this.#refused
  }

  /** Lets nobody in by it any more; who came stays. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#settle(null)
    this.#parts.onend()
  }

  #answer(bytes: Uint8Array, from: Uint8Array): Uint8Array | null {
    const { link, elapsed } = this.#parts
    const isHeard = this.#buckets.take(from, elapsed())
    const request = isHeard ? openLinkRequest(link, bytes) : null
    if (request === null) {
      this.#refused++
      return null
    }
    const denial = this.#denialOf(request)
    return denial === null ? this.#welcome(request) : encodeDenial(denial)
  }

  /** A device that came and did not get the answer asks again. */
  #denialOf({ device }: DeviceRequest): Denial | null {
    if (this.#came !== null && !b4a.equals(this.#came, device)) return 'used'
    return this.#isEnded || this.#parts.now() >= this.expires ? 'expired' : null
  }

  #welcome({ device, name }: DeviceRequest): Uint8Array | null {
    const { keyPair, secrets } = this.#parts.store
    if (b4a.equals(device, keyPair.publicKey)) return null
    const attestation = attestNext(keyPair, secrets.identity.attestation, device)
    const answer = encodeWelcome(keyPair, device, { attestation, spaces: this.#parts.spaces() })
    if (answer === null) return null
    this.#came = b4a.from(device)
    this.#settle({ device: z32.encode(device), name })
    this.#parts.onjoined()
    return answer
  }
}
