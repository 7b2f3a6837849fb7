/** What a person's devices do for each other: one brings in another by a link, ends a lost one everywhere, and comes back to all spaces. */
import b4a from 'b4a'
import z32 from 'z32'
import {
  type DeviceStore,
  type IdentitySecrets,
  type KeyPair,
  type SpaceSecrets
} from '../../core/index.ts'
import { checkOptions, invalid, isManyhandsError, ManyhandsError } from '../../errors.ts'
import type { ErrorCode } from '../../errors.ts'
import { askUntilLetIn } from '../asking.ts'
import type { Connections } from '../connections.ts'
import { keyIn } from '../key-text.ts'
import { identityIn } from '../members/credentials.ts'
import type { Denial } from '../members/invite-message.ts'
import { msOf } from '../members/space-invites.ts'
import { checkSignal } from '../options.ts'
import type { Space } from '../space.ts'
import type { Timers } from '../timers.ts'
import { signedRequest } from './certifying.ts'
import { DeviceInvite, type AskingByLink } from './device-invite.ts'
import {
  codeOf,
  commitmentTo,
  decodeDeviceLink,
  encodeLinkRequest,
  newDeviceLink,
  newNonce,
  openChallenge,
  openWelcome,
  topicOfLink,
  type DeviceLink,
  type LinkStep,
  type Welcome
} from './device-link.ts'
import { openList, sealLists, type KnownSpace } from './space-list.ts'
import type { Transports } from '../transports.ts'

/** Ten minutes: both devices are at hand. */
const LINK_MS = 600_000
const MAX_LINK_MS = 24 * 60 * 60 * 1000

/** A minute: somebody stands before a device that says "looking for the others". */
const JOIN_MS = 60_000

/** As long as a link is good for by default: somebody compares two screens. */
const CONFIRM_MS = LINK_MS

/** Those who let in answer within some round trips; who is not let in by then, is later, by itself. */
const LET_IN_MS = 15_000

/** A peer that has more to tell does so within some round trips. */
const CALM_MS = 500
const LOOK_MS = 50

export interface DeviceInviteOptions {
  /** How long the link is good for: ms, or as '30m', '12h'. At most a day. Default ten minutes. */
  readonly expiresIn?: number | string
}

export interface JoinIdentityOptions {
  /** How long to look for the other device, in ms. Default a minute. Once it was found, its person has ten minutes to confirm. */
  readonly timeout?: number
  /** Calls it off. */
  readonly signal?: AbortSignal
  /** The other device was found: show the six digits, which it shows, too. */
  readonly oncode?: (code: string) => void
}

/** A space that this device came into with others of its person. */
export interface EnteredSpace {
  readonly address: string
  readonly name: string
  /** Whether it was let in; where not, that comes by itself, once it meets a device of its person. */
  readonly isLetIn: boolean
}

/** What came of something in one of several spaces. */
export interface SpaceOutcome<O extends string> {
  readonly address: string
  readonly name: string
  /** Null where it failed. */
  readonly outcome: O | null
  readonly error: ManyhandsError | null
}

/** 'barred': it had no rights there, and will be given none; 'absent': so it was before. */
export type Revocation = SpaceOutcome<'revoked' | 'barred' | 'absent'>

/** 'unchanged': there was nothing to end, and this device is in. */
export type Recovery = SpaceOutcome<'recovered' | 'unchanged'>

export interface RecoverAllOptions {
  /** Ids of other devices of this person that are not lost. One that is in no space that was met is refused before anything is done. */
  readonly keep?: readonly string[]
  /** How long to wait for a member, in each space, in ms. Default a minute. */
  readonly timeout?: number
  /** Calls it off. */
  readonly signal?: AbortSignal
}

export interface OwnDevicesParts {
  readonly store: DeviceStore
  /** What people call this device. */
  readonly name: string
  readonly now: () => number
  readonly timers: Timers
  /** For what somebody waits for, which keep the process until then. */
  readonly waiting: Pick<Timers, 'after'>
  readonly connections: Pick<Connections, 'ask' | 'stopAsking' | 'host' | 'unhost'>
  /** When the device is closed. */
  readonly closed: AbortSignal
  /** Throws when the device is closed. */
  checkOpen(): void
  readonly transports: Pick<Transports, 'announce' | 'unannounce'>
  spaces(): readonly { readonly address: string; readonly name: string }[]
  open(address: string): Promise<Space>
  /** Opens a space, also one that is not known here yet. */
  enter(space: KnownSpace): Promise<Space>
  /** @throws IDENTITY_IN_USE */
  checkFree(): Promise<void>
  adopt(identity: IdentitySecrets): Promise<void>
  recover(address: string, keep: readonly string[]): Promise<Space>
  /** One change of the keystore after the other. */
  save(change: () => Promise<void>): Promise<void>
}

export class OwnDevices {
  readonly #parts: OwnDevicesParts
  readonly #invites = new Set<DeviceInvite>()

  constructor(parts: OwnDevicesParts) {
    this.#parts = parts
  }

  // Bringing in another device.

  invite(options: DeviceInviteOptions): DeviceInvite {
    this.#parts.checkOpen()
    checkOptions('invite', options, ['expiresIn'])
    const { expiresIn = LINK_MS } = options
    const ms = msOf(expiresIn)
    if (!Number.isSafeInteger(ms) || ms < 1 || ms > MAX_LINK_MS)
      invalid('expiresIn', "milliseconds, or a text as '30m', '12h'; at most a day", expiresIn)
    const { store, now, timers, connections } = this.#parts
    const link = newDeviceLink(identityIn(store.secrets))
    const id = `device link ${b4a.toString(topicOfLink(link), 'hex')}`
    const invite: DeviceInvite = new DeviceInvite({
      store,
      link,
      expires: now() + ms,
      now,
      elapsed: () => timers.elapsed(),
      spaces: () => knownSpaces(store, () => null),
      onjoined: () => void this.#openAll(),
      onend: () => this.#parts.transports.unannounce(id)
    })
    this.#invites.add(invite)
    connections.host(invite.meeting)
    this.#parts.transports.announce(id, invite.meeting.topic)
    timers.after(ms, () => invite.end())
    return invite
  }

  asking(): readonly AskingByLink[] {
    this.#parts.checkOpen()
    return [...this.#invites].flatMap(({ waiting }) => waiting ?? [])
  }

  /** The device is locked or closed. */
  endInvites(): void {
    for (const invite of this.#invites) {
      invite.end()
      this.#parts.connections.unhost(invite.meeting)
    }
    this.#invites.clear()
  }

  /** Only a space that is open lets in. One that does not open now does so later. */
  async #openAll(): Promise<void> {
    const spaces = this.#parts.spaces()
    await Promise.allSettled(spaces.map(({ address }) => this.#parts.open(address)))
  }

  // Coming in.

  async join(text: string, options: JoinIdentityOptions): Promise<readonly EnteredSpace[]> {
    this.#parts.checkOpen()
    checkOptions('join', options, ['timeout', 'signal', 'oncode'])
    const { oncode = () => {} } = options
    if (typeof oncode !== 'function') invalid('oncode', 'a function', oncode)
    const link = decodeDeviceLink(text)
    const { store } = this.#parts
    const isSame = b4a.equals(link.identity, identityIn(store.secrets))
    // What can be wrong here is said before the link is used.
    if (!isSame) await this.#parts.checkFree()
    const { attestation, spaces } = await this.#askFor(link, waitOf(options), oncode)
    if (!isSame) await this.#parts.adopt({ attestation, entropy: null })
    return this.#enterAll(spaces)
  }

  async #askFor(
    link: DeviceLink,
    { timeout, signal }: Wait,
    oncode: (code: string) => void
  ): Promise<Welcome> {
    const { keyPair } = this.#parts.store
    const nonce = newNonce()
    const said = { device: keyPair.publicKey, commitment: commitmentTo(nonce) }
    const topic = topicOfLink(link)
    const id = `joining ${b4a.toString(topic, 'hex')}`
    this.#parts.transports.announce(id, topic)
    try {
      const commit = { step: 'commit', value: said.commitment } as const
      const challenge = await this.#ask(link, commit, { timeout, signal }, (bytes) =>
        openChallenge(link, said, bytes)
      )
      oncode(codeOf(challenge, keyPair.publicKey, nonce))
      const reveal = { step: 'reveal', value: nonce } as const
      return await this.#ask(link, reveal, { timeout: CONFIRM_MS, signal }, (sealed) =>
        openWelcome(keyPair, link, challenge.by, sealed)
      )
    } finally {
      this.#parts.transports.unannounce(id)
    }
  }

  #ask<T>(
    link: DeviceLink,
    step: LinkStep,
    { timeout, signal }: Wait,
    open: (answer: Uint8Array) => T | null
  ): Promise<T> {
    const { store, name, waiting, connections, closed } = this.#parts
    return askUntilLetIn(
      {
        timers: waiting,
        timeout,
        signal: signal === null ? closed : AbortSignal.any([signal, closed]),
        ask: (question) => connections.ask(question),
        stopAsking: (question) => connections.stopAsking(question)
      },
      {
        topic: topicOfLink(link),
        bytes: encodeLinkRequest(link, step, signedRequest(store.keyPair, name)),
        open,
        errorOf: (denial) => new ManyhandsError(...problemOf(denial))
      }
    )
  }

  async #enterAll(spaces: readonly KnownSpace[]): Promise<readonly EnteredSpace[]> {
    return this.#within(LET_IN_MS, null, (late) =>
      Promise.all(
        spaces.map(async (known) => {
          const space = await this.#parts.enter(known)
          await space.standing.whenReady(late)
          return { address: space.address, name: space.name, isLetIn: space.standing.isLetIn }
        })
      )
    )
  }

  // Ending a lost one.

  async revoke(device: string): Promise<readonly Revocation[]> {
    this.#parts.checkOpen()
    const { store } = this.#parts
    // What was given may be what was meant for elsewhere: a phrase.
    if (keyIn(device) === null) invalid('device', 'the id of a device', typeof device)
    if (device === z32.encode(store.keyPair.publicKey)) invalid('device', "another device's", 'own')
    const outcomes = await this.#inEach((space) => space.members.end(device))
    // Of a device that came before this one it has no say.
    if (outcomes.length === 0 || outcomes.some(({ outcome }) => outcome !== null))
      await this.#noteRevoked(b4a.toString(z32.decode(device), 'hex'))
    return outcomes
  }

  /** For spaces that are made, or that it comes to, later. */
  #noteRevoked(device: string): Promise<void> {
    const { store } = this.#parts
    return this.#parts.save(() => {
      const { secrets } = store
      return store.saveSecrets({ ...secrets, revoked: new Set([...secrets.revoked, device]) })
    })
  }

  // Coming back.

  lists(): readonly string[] {
    this.#parts.checkOpen()
    const { store } = this.#parts
    // The newest key is enough to read what was written before, also where nobody else is left who has it.
    return sealLists(
      identityIn(store.secrets),
      knownSpaces(store, ({ epochs }) => epochs.at(-1) ?? null)
    )
  }

  /** Opens what lists name that this identity wrote. @throws SPACE_LIST_INVALID */
  read(identity: KeyPair, lists: readonly string[]): readonly KnownSpace[] {
    return lists.flatMap((text) => openList(identity, text))
  }

  async enterKnown(spaces: readonly KnownSpace[]): Promise<void> {
    for (const known of spaces) await this.#parts.enter(known)
  }

  async recoverAll(options: RecoverAllOptions): Promise<readonly Recovery[]> {
    this.#parts.checkOpen()
    checkOptions('recoverSpaces', options, ['keep', 'timeout', 'signal'])
    const { keep = [] } = options
    if (!Array.isArray(keep)) invalid('keep', 'a list of ids of devices', keep)
    const { timeout, signal } = waitOf(options)
    const found: string[] = []
    await this.#within(timeout, signal, (late) =>
      this.#inEach(async (space) => {
        await space.standing.whenMet(late)
        await this.#calm(space)
        found.push(...devicesIn(space))
        return 'unchanged'
      }, signal)
    )
    // What is mistyped would be lost: before anything is done.
    const strange = keep.find((device) => !found.includes(device))
    if (strange !== undefined)
      invalid('keep', "ids of one's other devices in the spaces", typeof strange)
    return this.#inEach((space) => {
      signal?.throwIfAborted()
      return this.#recover(space, keep)
    }, signal)
  }

  async #recover(space: Space, keep: readonly string[]): Promise<'recovered' | 'unchanged'> {
    const others = devicesIn(space)
    const kept = keep.filter((device) => others.includes(device))
    const isIn = others.includes(z32.encode(this.#parts.store.keyPair.publicKey))
    if (isIn && space.standing.lostWithout(kept).length === 0) return 'unchanged'
    await this.#parts.recover(space.address, kept)
    return 'recovered'
  }

  /** Who takes the place of devices has to know of all that there are. */
  async #calm(space: Space): Promise<void> {
    const { timers } = this.#parts
    let before = ''
    for (let since = timers.elapsed(); timers.elapsed() - since < CALM_MS;) {
      if (space.peers().length === 0) return
      const state = space.standing.state
      if (state !== before) since = timers.elapsed()
      before = state
      await timers.wait(LOOK_MS)
    }
  }

  /** What is in the way in one space is in the way of that alone. */
  async #inEach<O extends string>(
    task: (space: Space) => Promise<O>,
    signal: AbortSignal | null = null
  ): Promise<readonly SpaceOutcome<O>[]> {
    return Promise.all(
      this.#parts.spaces().map(async ({ address, name }) => {
        try {
          const outcome = await task(await this.#parts.open(address))
          return { address, name, outcome, error: null }
        } catch (error) {
          signal?.throwIfAborted()
          if (!isManyhandsError(error) || isManyhandsError(error, 'DEVICE_CLOSED')) throw error
          return { address, name, outcome: null, error }
        }
      })
    )
  }

  /** With a signal that is given after so long, too. */
  async #within<T>(
    ms: number,
    signal: AbortSignal | null,
    task: (late: AbortSignal) => Promise<T>
  ): Promise<T> {
    const late = new AbortController()
    const callOff = this.#parts.waiting.after(ms, () => late.abort())
    const signals = [late.signal, this.#parts.closed, ...(signal === null ? [] : [signal])]
    try {
      return await task(AbortSignal.any(signals))
    } finally {
      callOff()
    }
  }
}

interface Wait {
  readonly timeout: number
  readonly signal: AbortSignal | null
}

function waitOf({ timeout = JOIN_MS, signal }: JoinIdentityOptions): Wait {
  if (!Number.isSafeInteger(timeout) || timeout < 1) invalid('timeout', 'milliseconds', timeout)
  checkSignal('signal', signal)
  return { timeout, signal: signal ?? null }
}

/** Spaces of which the keys are here. */
function knownSpaces(
  { spaces, secrets }: DeviceStore,
  epochOf: (secrets: SpaceSecrets) => Uint8Array | null
): readonly KnownSpace[] {
  return spaces.flatMap(({ address, name, open, encrypted }) => {
    const known = secrets.spaces.find((each) => b4a.equals(each.address, address))
    if (known === undefined) return []
    const { membershipKey } = known
    return { address, name, entrance: { membershipKey, epoch: epochOf(known), open, encrypted } }
  })
}

/** Of this person, those with rights. */
function devicesIn(space: Space): readonly string[] {
  const { devices = [] } = space.members.list().find(({ isOwn }) => isOwn) ?? {}
  return devices.flatMap(({ device, role }) => (role === null ? [] : device))
}

/** A link does not know of members. */
function problemOf(denial: Denial | null): readonly [ErrorCode, string] {
  if (denial === 'used') return ['DEVICE_LINK_USED', 'Another device came by this link']
  if (denial === 'revoked')
    return ['DEVICE_LINK_REFUSED', 'The device was not confirmed where the link was made']
  if (denial === 'expired') return ['DEVICE_LINK_EXPIRED', 'This link has expired']
  return ['DEVICE_LINK_UNANSWERED', 'The device that made this link did not answer in time']
}
