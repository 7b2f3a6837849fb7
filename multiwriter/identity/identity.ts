/** Whose device this is: a person, who may have several, and comes back with 24 words where all are lost. */
import b4a from 'b4a'
import z32 from 'z32'
import {
  attestFirst,
  attestNext,
  entropyOf,
  identityKeyPair,
  isAttested,
  phraseOf,
  readAttestation,
  type DeviceStore,
  type IdentitySecrets
} from '../../core/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../../errors.ts'
import { kitOf } from './kit.ts'
import { combineShares, splitEntropy, type SplitOptions } from './shares.ts'
import { identityIn } from '../members/credentials.ts'
import {
  badAnswer,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest
} from './certifying.ts'
import type { AskingByLink, DeviceInvite } from './device-invite.ts'
import type {
  DeviceInviteOptions,
  EnteredSpace,
  JoinIdentityOptions,
  OwnDevices,
  Revocation
} from './own-devices.ts'

export interface IdentityParts {
  readonly store: DeviceStore
  /** What people call this device. */
  readonly name: string
  readonly now: () => number
  readonly devices: OwnDevices
  /** Throws when the device is closed. */
  checkOpen(): void
  /** Makes it durable; closes the spaces, which are open under the old one. @throws IDENTITY_IN_USE */
  adopt(identity: IdentitySecrets): Promise<void>
}

/** A device that was certified, for a person to compare with what that device shows. */
export interface Certified {
  /** Its `device.id`. */
  readonly device: string
  /** What it calls itself. */
  readonly name: string
  /** What it is to `accept`. No secret. */
  readonly answer: string
}

export interface RecoverIdentityOptions {
  /** What `spaceLists` gave, as it stands in the kit: the spaces to come back to. */
  readonly spaces?: readonly string[]
}

export class DeviceIdentity {
  readonly #parts: IdentityParts

  /** @see Device.identity */
  constructor(parts: IdentityParts) {
    this.#parts = parts
  }

  /** Names the person; what all their devices have in common. */
  get id(): string {
    return z32.encode(this.#key)
  }

  /** Whether the phrase is on this device: where the identity was made or came back to, until it is forgotten. */
  get hasPhrase(): boolean {
    return this.#secrets.entropy !== null
  }

  /**
   * The 24 words by which this person comes back when all devices are lost. Whoever has them, is this person: write them down, and
   * let this device forget them.
   * @throws PHRASE_UNKNOWN
   */
  phrase(): string {
    return phraseOf(this.entropy())
  }

  /** For the device. @throws PHRASE_UNKNOWN */
  entropy(): Uint8Array {
    this.#parts.checkOpen()
    const { entropy } = this.#secrets
    if (entropy !== null) return entropy
    throw new ManyhandsError('PHRASE_UNKNOWN', 'The phrase is not on this device')
  }

  /**
   * The phrase in shares, for as many people: any `needed` of them give it back, fewer say nothing of it.
   * @throws PHRASE_UNKNOWN, INVALID_ARGUMENT
   * @example const shares = await device.identity.split({ shares: 5, needed: 3 })
   */
  async split(options: SplitOptions): Promise<readonly string[]> {
    checkOptions('split', options, ['shares', 'needed'])
    return splitEntropy(this.entropy(), options, this.#parts.now())
  }

  /**
   * A page to print and put away: one HTML file with words and pictures (QR), and what is to be done with it.
   * @param secret the shares that `split` gave; default the phrase
   * @throws PHRASE_UNKNOWN, SHARE_INVALID
   */
  kit(name: string, secret: readonly string[] | string = this.phrase()): string {
    this.#parts.checkOpen()
    if (typeof name !== 'string') invalid('name', 'a string', name)
    const spaces = this.spaceLists()
    return kitOf({ name, identity: this.id, secret, spaces, now: this.#parts.now() })
  }

  /**
   * Whether a phrase, or enough of its shares, is this person's: before it is forgotten here, or years later.
   * @throws PHRASE_INVALID naming the words that are mistyped, SHARE_INVALID, SHARES_ codes
   */
  async verify(secret: string | readonly string[]): Promise<boolean> {
    const keyPair = await identityKeyPair(await this.#read(secret))
    keyPair.secretKey.fill(0)
    return b4a.equals(keyPair.publicKey, this.#key)
  }

  /** From now on whoever has this device has it only. What it can do stays; the phrase is with whoever wrote it down. */
  async forgetPhrase(): Promise<void> {
    this.#parts.checkOpen()
    const { attestation, entropy } = this.#secrets
    await this.#parts.adopt({ attestation, entropy: null })
    entropy?.fill(0)
  }

  /**
   * Makes a link by which another device becomes this person's, and comes into all spaces that this one has: once it was confirmed here,
   * by somebody who has compared the codes that both show. Only the first device that has the link can ask. It is kept in memory alone:
   * have this device open until the other has come, and in reach of it.
   * @throws INVALID_ARGUMENT
   * @example
   * const invite = laptop.identity.invite()
   * showQrCode(invite.link)
   * const asking = await invite.asking // null once it has expired
   * if (await shows(asking?.name, asking?.code)) asking?.confirm()
   * else asking?.refuse()
   */
  invite(options: DeviceInviteOptions = {}): DeviceInvite {
    return this.#parts.devices.invite(options)
  }

  /** Devices that have come by links of this device, and wait for somebody to confirm or to refuse them. */
  asking(): readonly AskingByLink[] {
    return this.#parts.devices.asking()
  }

  /**
   * Becomes a device of the person whose link it is, and comes into the spaces that the other device has, once it was confirmed there.
   * Needs a way to it, by a transport or by `replicate`; nothing is written before.
   * @returns the spaces, which are open now
   * @throws DEVICE_LINK_ codes; IDENTITY_IN_USE where this device was let into a space as somebody else's
   * @example const spaces = await phone.identity.join(link, { oncode: (code) => show(`The other device shows ${code}`) })
   */
  join(link: string, options: JoinIdentityOptions = {}): Promise<readonly EnteredSpace[]> {
    return this.#parts.devices.join(link, options)
  }

  /**
   * Ends the rights of another device of this person, which was lost, in all spaces of this device, as `space.members.revoke` does in one;
   * where it was not let in yet, and in spaces that are made later, it will not be.
   * @param device its id
   * @returns what came of it in each
   * @throws INVALID_ARGUMENT
   * @example for (const { name, outcome, error } of await laptop.identity.revoke(phone.id)) console.log(name, outcome ?? error)
   */
  revoke(device: string): Promise<readonly Revocation[]> {
    return this.#parts.devices.revoke(device)
  }

  /**
   * What it takes to come back to the spaces of this device, beside the phrase, which alone opens it: texts to print, which the kit has,
   * too. Make them anew when there are more spaces. The phrase need not be here.
   */
  spaceLists(): readonly string[] {
    return this.#parts.devices.lists()
  }

  /** What another device of this person is to `certify`. No secret. */
  request(): string {
    this.#parts.checkOpen()
    return encodeRequest(this.#parts.store.keyPair, this.#parts.name)
  }

  /**
   * Says that another device is this person's, too. It does so once it has accepted the answer; compare its `id` first with what it
   * shows itself. In a space it has then to be let in, which this person's devices do by themselves.
   * @throws REQUEST_INVALID
   * @example await phone.identity.accept(laptop.identity.certify(phone.identity.request()).answer)
   */
  certify(request: string): Certified {
    this.#parts.checkOpen()
    if (typeof request !== 'string') invalid('request', 'what `identity.request()` gave', request)
    const { device, name } = decodeRequest(request)
    const { keyPair } = this.#parts.store
    if (b4a.equals(device, keyPair.publicKey)) invalid('request', "another device's", "one's own")
    const attestation = attestNext(keyPair, this.#secrets.attestation, device)
    return { device: z32.encode(device), name, answer: encodeAnswer(attestation) }
  }

  /**
   * Becomes a device of the person whose device gave the answer. Its spaces are closed.
   * @throws REQUEST_INVALID, IDENTITY_IN_USE where this device was let into a space as somebody else's
   */
  async accept(answer: string): Promise<void> {
    this.#parts.checkOpen()
    if (typeof answer !== 'string') invalid('answer', 'what `identity.certify()` gave', answer)
    const attestation = decodeAnswer(answer)
    const claimed = readAttestation(attestation)
    const { publicKey } = this.#parts.store.keyPair
    if (claimed === null || !isAttested(claimed.identity, publicKey, attestation))
      throw badAnswer('is for another device, or forged')
    const isSame = b4a.equals(claimed.identity, this.#key)
    await this.#parts.adopt({ attestation, entropy: isSame ? this.#secrets.entropy : null })
  }

  /**
   * Makes this device one of the person whose phrase it is, or whose shares, and keeps the phrase. Its spaces are closed; those
   * of the lists are opened. In them `device.recoverSpaces` then takes the rights of the lost devices.
   * @throws PHRASE_INVALID, SHARE_INVALID, SHARES_ codes, SPACE_LIST_INVALID, IDENTITY_IN_USE
   */
  async recover(
    secret: string | readonly string[],
    options: RecoverIdentityOptions = {}
  ): Promise<void> {
    checkOptions('recover', options, ['spaces'])
    const { spaces: lists = [] } = options
    if (!Array.isArray(lists)) invalid('spaces', 'what `spaceLists` gave', lists)
    const { devices, store } = this.#parts
    const entropy = await this.#read(secret)
    const identity = await identityKeyPair(entropy)
    try {
      const spaces = devices.read(identity, lists)
      const attestation = attestFirst(identity, store.keyPair.publicKey)
      await this.#parts.adopt({ attestation, entropy })
      await devices.enterKnown(spaces)
    } finally {
      identity.secretKey.fill(0)
    }
  }

  async #read(secret: string | readonly string[]): Promise<Uint8Array> {
    this.#parts.checkOpen()
    if (typeof secret === 'string') return entropyOf(secret)
    // What was given instead is not shown: it may be nearly right.
    if (Array.isArray(secret)) return combineShares(secret)
    return invalid('secret', '24 words, or a list of shares', typeof secret)
  }

  get #secrets(): IdentitySecrets {
    return this.#parts.store.secrets.identity
  }

  get #key(): Uint8Array {
    return identityIn(this.#parts.store.secrets)
  }
}
