/** This device: its store, its spaces, its connections. */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import {
  identityKeyPair,
  ownLogKey,
  randomBytes,
  topicOf,
  type DeviceStore,
  type IdentitySecrets,
  type SpaceRecord,
  type SpaceSecrets,
  type TransportFactory,
  type Work
} from '../core/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../errors.ts'
import type { Value } from '../crdt/index.ts'
import { Connections } from './connections.ts'
import { documentCacheOf } from './documents/cache.ts'
import type { DocumentSupport } from './documents/parts.ts'
import { checkMode, type ReadMode } from './indexed-reads.ts'
import { DeviceIdentity } from './identity/identity.ts'
import { OwnDevices, type RecoverAllOptions, type Recovery } from './identity/own-devices.ts'
import type { KnownSpace } from './identity/space-list.ts'
import { decodeInviteLink, meetingOf, meetingTopic, type InviteLink } from './invite-link.ts'
import { askToJoin } from './joining.ts'
import { decodeLink } from './link.ts'
import { identityIn } from './members/credentials.ts'
import { checkWork, WORK_OPTIONS } from './options.ts'
import { foreign, type LinkPlace, type OpenLinkOptions } from './open-link.ts'
import { checkReplicate, Space, type RawStream, type ReplicateOptions } from './space.ts'
import { decodeTicket, isTicket, type Ticket } from './ticket.ts'
import type { Timers } from './timers.ts'
import { Transports } from './transports.ts'

export interface DeviceEvents {
  /** A connection ended with an error, for instance because the peer sent garbage. */
  'connection-error': [Error]
}

export interface DeviceParts {
  readonly store: DeviceStore
  /** What people call this device. */
  readonly name: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** For what is said only while it holds: presence. */
  readonly timers: Timers
  /** For what somebody waits for, which keep the process until then. */
  readonly waiting: Pick<Timers, 'after'>
  /** How devices find each other; null for streams by hand. */
  readonly transport: TransportFactory | null
  /** In ms, how far a stamp may be ahead of our clock and still move it. Default 5 minutes. */
  readonly maxDrift?: number
  /** How documents come to live; null for none. */
  readonly documents: DocumentSupport | null
}

export interface CreateSpaceOptions {
  /** What this device calls the space. */
  readonly name?: string
  /** Devices that connect add each other as writers. Default false: writers are added by `addWriter`. */
  readonly open?: boolean
  /** Default true. False only to measure what encryption costs: whoever has the disk or the wire then reads everything. */
  readonly encryption?: boolean
  /** @see OpenSpaceOptions */
  readonly mode?: ReadMode
}

export interface OpenSpaceOptions {
  /** What this device calls the space. Counts at the first opening: later ones find it stored. */
  readonly name?: string
  /** Fetch blocks when they are read, not ahead. Default false. Counts at the first opening as well. */
  readonly sparse?: boolean
  /**
   * How reads are answered while the space is open: 'stream' from the logs, 'index' by the local index, 'auto' (default)
   * whichever is sooner. The answers are the same. A sparse space has no index.
   */
  readonly mode?: ReadMode
}

export interface JoinOptions extends OpenSpaceOptions {
  /** How long to wait for somebody who lets in, in ms. Default a minute. */
  readonly timeout?: number
  /** Calls it off. */
  readonly signal?: AbortSignal
}

export interface RecoverOptions {
  /** Ids of other devices of this person that are not lost. */
  readonly keep?: readonly string[]
}

/** What a link leads to. */
export interface LinkTarget<K, V> extends LinkPlace<K, V> {
  readonly space: Space
}

/** What works on a device and cannot outlive it. */
export interface DeviceUser {
  close(): Promise<void>
}

/** A minute: somebody stands before a device that says "looking for the others". */
const JOIN_MS = 60_000

/** Who was let in and cannot reach the others any more is in all the same. */
const SEEN_MS = 5000

/** Closing takes no longer for it than a person would notice. */
const GOODBYE_MS = 200

export class Device extends EventEmitter<DeviceEvents> {
  /** The device's public key in text form. */
  readonly id: string
  readonly name: string
  /** Whose device this is. */
  readonly identity: DeviceIdentity
  readonly #parts: DeviceParts
  readonly #store: DeviceStore
  /** Announces open spaces by address, and what is said of invites. */
  readonly #transports: Transports
  /** What uses this device, and is closed before it. */
  readonly #users = new Set<DeviceUser>()
  readonly #spaces = new Map<string, Promise<Space>>()
  /** Spaces that are closing: each is opened again only afterwards. */
  readonly #ending = new Map<string, Promise<void>>()
  /** Creations and openings under way: `close` waits for them. */
  readonly #opening = new Set<Promise<Space>>()
  /** While it is locked: what was open. */
  #resuming: readonly { readonly address: string; readonly mode: ReadMode }[] | null = null
  /** Spaces that are opened to be recovered. */
  readonly #recovering = new Set<string>()
  readonly #connections: Connections
  readonly #ownDevices: OwnDevices
  /** Joinings under way, by address. */
  readonly #joining = new Map<string, Promise<Space>>()
  readonly #closed = new AbortController()
  #saving: Promise<void> = Promise.resolve()
  #closing: Promise<void> | null = null

  /** Owns the store from now on. @see openDevice */
  constructor(parts: DeviceParts) {
    super()
    this.#parts = parts
    this.#store = parts.store
    this.id = z32.encode(parts.store.keyPair.publicKey)
    this.name = parts.name
    this.#transports = new Transports((factory) => {
      const transport = factory(this.#store.keyPair)
      transport.events.on('connection', (stream) => void this.replicate(stream))
      return transport
    })
    this.#connections = new Connections(parts.store, (error) =>
      this.emit('connection-error', error)
    )
    const shared = {
      store: parts.store,
      name: parts.name,
      now: parts.now,
      checkOpen: () => this.#checkOpen(),
      adopt: (identity: IdentitySecrets) => this.#adopt(identity)
    }
    this.#ownDevices = new OwnDevices({
      ...shared,
      timers: parts.timers,
      waiting: parts.waiting,
      connections: this.#connections,
      closed: this.#closed.signal,
      transports: this.#transports,
      spaces: () => this.spaces(),
      open: (address) => this.openSpace(address),
      enter: (known) => this.#track(this.#enterKnown(known)),
      checkFree: async () => void (await this.#unused()),
      recover: (address, keep) => this.recover(address, { keep })
    })
    this.identity = new DeviceIdentity({ ...shared, devices: this.#ownDevices })
    if (parts.transport !== null) this.connect(parts.transport)
  }

  /**
   * Why this device went on under new logs since it was opened, or null: what it wrote last may be missing here (a power cut, a restored
   * or copied store). Other devices give it back as far as they hold it.
   */
  get rolledBack(): string | null {
    return this.#store.rolledBack
  }

  /** Whether other devices can find this one by itself. */
  get isNetworked(): boolean {
    return this.#transports.size > 0
  }

  /**
   * Finds other devices over one more transport.
   * @returns how to leave it again
   * @example const leave = device.connect(swarm())
   */
  connect(factory: TransportFactory): () => Promise<void> {
    this.#checkOpen()
    return this.#transports.add(factory)
  }

  /**
   * What this device calls somebody: shown with its members, told to nobody.
   * @param identity theirs, as `space.members.list()` has it
   * @param name 1 to 255 characters; null forgets it
   * @example await device.setPetname(space.members.list()[1].identity, 'Ben')
   */
  async setPetname(identity: string, name: string | null): Promise<void> {
    this.#checkOpen()
    const key = typeof identity === 'string' ? decodeIdentity(identity) : null
    // What was given may be what was meant for elsewhere: a phrase.
    if (key === null) return invalid('identity', 'the `identity` of a person', typeof identity)
    if (name !== null) checkName(name)
    await this.#save(() => {
      const { secrets } = this.#store
      const others = [...secrets.petnames].filter(([each]) => each !== key)
      const petnames = new Map(name === null ? others : [...others, [key, name]])
      return this.#store.saveSecrets({ ...secrets, petnames })
    })
  }

  /** Whether the keys are forgotten, until `unlock`. */
  get isLocked(): boolean {
    return this.#resuming !== null
  }

  /**
   * Sets the passphrase that protects the keys on the disk, or changes or removes it.
   * @param from the one until now; null where there is none
   * @param to null: whoever has the folder has the keys
   * @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG
   * @example await device.setPassphrase(null, 'correct horse')
   */
  async setPassphrase(from: string | null, to: string | null): Promise<void> {
    this.#checkOpen()
    for (const each of [from, to]) if (each !== null) checkPassphrase(each)
    await this.#store.changePassphrase(from, to)
  }

  /**
   * Forgets all keys without ending the process: closes spaces and connections, and rejects with DEVICE_LOCKED until `unlock`.
   * Keys are zeroed in memory where they were kept; what passed through the language's strings is not.
   * @throws PASSPHRASE_UNSET
   */
  async lock(): Promise<void> {
    if (this.isLocked) return
    this.#checkOpen()
    if (!this.#store.hasPassphrase)
      throw new ManyhandsError('PASSPHRASE_UNSET', 'This device has no passphrase to lock it with')
    const opening = Promise.allSettled(this.#opening)
    this.#resuming = []
    this.#ownDevices.endInvites()
    await this.#sayGoodbye()
    await this.#transports.rest()
    this.#connections.close()
    await opening
    const spaces = await Promise.allSettled(this.#spaces.values())
    const open = spaces.flatMap((space) => (space.status === 'fulfilled' ? space.value : []))
    this.#resuming = open.map(({ address, mode }) => ({ address, mode }))
    const closings = await Promise.allSettled(open.map((space) => space.close()))
    await this.#saving
    await this.#store.lock()
    // Shown last: whatever failed, the keys are forgotten.
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason
  }

  /** Goes on where `lock` ended: spaces that were open are open again, as other objects. @throws PASSPHRASE_WRONG */
  async unlock(passphrase: string): Promise<void> {
    if (this.#closing !== null) this.#checkOpen()
    checkPassphrase(passphrase)
    const spaces = this.#resuming ?? []
    if (!this.isLocked) return
    await this.#store.unlock(passphrase)
    this.#resuming = null
    this.#transports.resume()
    for (const { address, mode } of spaces) await this.openSpace(address, { mode })
  }

  /** Whether a passphrase protects the keys on the disk. */
  get hasPassphrase(): boolean {
    return this.#store.hasPassphrase
  }

  /** Has something closed before this device closes, as it works on it. */
  use(user: DeviceUser): void {
    this.#checkOpen()
    this.#users.add(user)
  }

  /** The addresses and names of this device's spaces. */
  spaces(): readonly { readonly address: string; readonly name: string }[] {
    return this.#store.spaces.map(({ address, name }) => ({ address: z32.encode(address), name }))
  }

  /** Makes a new space, with this device as its founder. */
  createSpace(options: CreateSpaceOptions = {}): Promise<Space> {
    return this.#track(this.#createSpace(options))
  }

  async #createSpace(options: CreateSpaceOptions): Promise<Space> {
    this.#checkOpen()
    checkOptions('createSpace', options, ['name', 'open', 'encryption', 'mode'])
    const { name = 'space', open = false, encryption: encrypted = true, mode } = options
    checkMode(mode)
    checkName(name)
    checkFlag('open', open)
    checkFlag('encryption', encrypted)
    const salt = randomBytes(32)
    const address = ownLogKey(this.#store.secrets.seed, 'acl', salt)
    const secrets = { address, salt, later: [], epochs: [], membershipKey: randomBytes(32) }
    const record = { address, name, open, sparse: false, encrypted, writers: [], acl: [] }
    return this.#add(secrets, record, mode)
  }

  /**
   * Opens a space: one this device is in by its address, or by a ticket one that it then joins.
   * @throws SPACE_UNKNOWN, TICKET_INVALID
   */
  openSpace(which: string, options: OpenSpaceOptions = {}): Promise<Space> {
    return this.#track(this.#openSpace(which, options))
  }

  async #openSpace(which: string, options: OpenSpaceOptions): Promise<Space> {
    this.#checkOpen()
    if (typeof which !== 'string') invalid('which', 'an address or a ticket', which)
    checkOptions('openSpace', options, ['name', 'sparse', 'mode'])
    const { name = 'space', sparse = false, mode } = options
    checkMode(mode)
    checkName(name)
    checkFlag('sparse', sparse)
    const known = this.#find(which)
    if (known !== null) return this.#open(known, mode)
    if (!isTicket(which))
      throw new ManyhandsError('SPACE_UNKNOWN', `There is no space ${which} here`)
    return this.#enter(decodeTicket(which), randomBytes(32), { name, sparse }, mode)
  }

  /** @param salt of this device's logs there */
  #enter(
    { address, membershipKey, epoch, open, encrypted }: Ticket,
    salt: Uint8Array,
    { name, sparse }: Pick<SpaceRecord, 'name' | 'sparse'>,
    mode: ReadMode | undefined
  ): Promise<Space> {
    const secrets = {
      address,
      membershipKey,
      epochs: epoch === null ? [] : [epoch],
      salt,
      later: []
    }
    const record = { address, name, open, sparse, encrypted, writers: [], acl: [] }
    return this.#add(secrets, record, mode)
  }

  /** As another device of this person, or paper, tells of it. */
  async #enterKnown({ address, entrance, name }: KnownSpace): Promise<Space> {
    const known = this.#find(z32.encode(address))
    if (known !== null) return this.#open(known)
    const fresh = randomBytes(32)
    return this.#enter({ address, ...entrance }, fresh, { name, sparse: false }, undefined)
  }

  /**
   * Comes into a space by an invite: finds a device that may let in, and is let in. Needs a way to others, by a transport or by
   * `replicate`; nothing is written before the answer has come.
   * @returns the space, once it knows of us; what is in it comes as others are there
   * @throws INVITE_ codes; SPACE_JOINED for a space that this device has
   * @example const space = await phone.join(await laptopSpace.invite())
   */
  join(invite: string | { readonly link: string }, options: JoinOptions = {}): Promise<Space> {
    return this.#track(this.#join(invite, options))
  }

  async #join(invite: string | { readonly link: string }, options: JoinOptions): Promise<Space> {
    this.#checkOpen()
    checkOptions('join', options, ['name', 'sparse', 'mode', 'timeout', 'signal'])
    const { name = 'space', sparse = false, mode, timeout = JOIN_MS, signal } = options
    if (!Number.isSafeInteger(timeout) || timeout < 1) invalid('timeout', 'milliseconds', timeout)
    checkWork(signal === undefined ? {} : { signal })
    checkMode(mode)
    checkName(name)
    checkFlag('sparse', sparse)
    const link = decodeInviteLink(typeof invite === 'string' ? invite : invite?.link)
    const address = z32.encode(link.address)
    if (this.#find(address) !== null)
      throw new ManyhandsError('SPACE_JOINED', `This device has the space ${address}`)
    const known = this.#joining.get(address)
    if (known !== undefined) return known
    const joining = this.#admitted(link, timeout, signal).then(({ entrance, salt }) =>
      this.#enter({ address: link.address, ...entrance }, salt, { name, sparse }, mode)
    )
    this.#joining.set(address, joining)
    try {
      const space = await joining
      await this.#seen(space)
      return space
    } finally {
      this.#joining.delete(address)
    }
  }

  /** What this device does at once would else be told that nobody knows of it. */
  async #seen(space: Space): Promise<void> {
    const late = new AbortController()
    const callOff = this.#parts.waiting.after(SEEN_MS, () => late.abort())
    await space.whenReady(AbortSignal.any([late.signal, this.#closed.signal]))
    callOff()
  }

  async #admitted(link: InviteLink, timeout: number, signal: AbortSignal | undefined) {
    const topic = meetingTopic(link.meeting)
    const id = `joining ${b4a.toString(topic, 'hex')}`
    this.#transports.announce(id, topic)
    try {
      const { signal: closed } = this.#closed
      return await askToJoin(
        {
          store: this.#store,
          timers: this.#parts.waiting,
          timeout,
          signal: signal === undefined ? closed : AbortSignal.any([signal, closed]),
          ask: (question) => this.#connections.ask(question),
          stopAsking: (question) => this.#connections.stopAsking(question)
        },
        link
      )
    } finally {
      this.#transports.unannounce(id)
    }
  }

  /**
   * Opens what a link leads to: a space, a sub-database or a key; now, or as it was.
   * @throws LINK_INVALID, SPACE_UNKNOWN; LINK_MISMATCH when a log was rewritten since a strong link was made; KEY_INVALID;
   * VERSION_UNAVAILABLE when what is needed is neither here nor with a peer that answers within `timeout`
   */
  async openLink<K = string, V = Value>(
    url: string,
    options: OpenLinkOptions<K, V> = {}
  ): Promise<LinkTarget<K, V>> {
    this.#checkOpen()
    const { space: address } = decodeLink(url)
    if (this.#find(address) === null) throw foreign(address)
    const space = await this.openSpace(address)
    return { space, ...(await space.openLink(url, options)) }
  }

  /**
   * Leaves a space for good: closes it, forgets its keys, and frees what only it had stored here. What this device wrote lives
   * on with the devices that have it, and nowhere else.
   * @throws SPACE_UNKNOWN
   */
  async leaveSpace(address: string): Promise<void> {
    const space = await this.#known(address)
    const record = { address: z32.decode(space.address) }
    const logs = space.logKeys()
    await space.close()
    await this.#save(async () => {
      const isOther = (each: { readonly address: Uint8Array }) =>
        !b4a.equals(each.address, record.address)
      const { secrets, spaces } = this.#store
      await this.#store.saveSpaces(spaces.filter(isOther))
      await this.#store.saveSecrets({ ...secrets, spaces: secrets.spaces.filter(isOther) })
    })
    await this.#store.dropIndex(record.address)
    await this.#store.dropIndex(documentCacheOf(record.address))
    for (const log of logs) if (!this.#reads(log)) await this.#store.clearLog(log)
  }

  /**
   * Goes on under new logs in a space, so that nothing is ever written to the old ones again. All that was written stays, this device
   * keeps its place among the members, and the space its address. It needs nobody's leave, and no connection.
   * @returns the space, opened again: the object from before is closed, and with it what was open in it
   * @throws SPACE_UNKNOWN, NOT_ALLOWED where its rights have ended, STORE_ codes
   * @example const space = await device.rotate(address)
   */
  async rotate(address: string): Promise<Space> {
    const space = await this.#known(address)
    space.checkMaySucceed()
    const { mode } = space
    // First: whoever opens the space from now on, opens it with the new logs.
    await this.#save(() => this.#store.succeed(z32.decode(space.address), null))
    await space.close()
    const opened = await this.openSpace(space.address, { mode })
    await opened.renewKeys()
    return opened
  }

  /**
   * Comes back to a space whose devices are lost: this device, which has the phrase (`identity.recover`), takes their place. The
   * others of this person lose their rights, whatever they were: what is here of their logs counts on, and nothing that comes later. The
   * office stays, and an owner's vote. It has to know the space, by its ticket, and have met a device that is in.
   * @returns the space; where it was open, opened again
   * @throws SPACE_UNKNOWN, PHRASE_UNKNOWN, NOT_ALLOWED where this person is no member, INVALID_ARGUMENT, STORE_ codes;
   * BLOCK_UNAVAILABLE where what is known of the lost devices' logs is not here, and does not come
   * @example
   * await device.identity.recover(phrase)
   * const space = await device.recover(address)
   */
  async recover(address: string, options: RecoverOptions = {}): Promise<Space> {
    this.#checkOpen()
    checkOptions('recover', options, ['keep'])
    const { keep = [] } = options
    const identity = await identityKeyPair(this.identity.entropy())
    try {
      const space = await this.#known(address)
      const lost = space.lostWithout(keep)
      const fresh = space.isUnbegun ? space : await this.#openAnew(space)
      await fresh.recover(identity, lost).catch(async (error: unknown) => {
        if (fresh !== space) await fresh.close() // opened the next time, it goes on from its logs
        throw error
      })
      return fresh
    } finally {
      identity.secretKey.fill(0)
    }
  }

  /**
   * The same in all spaces of this device: in each, as soon as it has met a device that is in. Needs a way to others.
   * @returns what came of it in each
   * @throws PHRASE_UNKNOWN, INVALID_ARGUMENT
   * @example
   * await device.identity.recover(phrase, { spaces: lists })
   * for (const { name, outcome } of await device.recoverSpaces()) console.log(name, outcome)
   */
  async recoverSpaces(options: RecoverAllOptions = {}): Promise<readonly Recovery[]> {
    this.identity.entropy()
    return this.#ownDevices.recoverAll(options)
  }

  /** Under logs that begin with what the recovery key says. */
  async #openAnew(space: Space): Promise<Space> {
    const { mode } = space
    await this.#save(() => this.#store.succeed(z32.decode(space.address), null))
    await space.close()
    this.#recovering.add(space.address)
    try {
      return await this.openSpace(space.address, { mode })
    } finally {
      this.#recovering.delete(space.address)
    }
  }

  /** Spaces show who this device is from their opening on. */
  async #adopt(identity: IdentitySecrets): Promise<void> {
    const { secrets } = this.#store
    const isSame = b4a.equals(identityIn(secrets), identityIn({ identity }))
    const spaces = isSame ? [] : await this.#unused()
    for (const space of spaces) await space.close()
    await this.#save(() => this.#store.saveSecrets({ ...this.#store.secrets, identity }))
  }

  /** All spaces. @throws IDENTITY_IN_USE where this device was let into one */
  async #unused(): Promise<readonly Space[]> {
    const spaces = await Promise.all(this.#store.spaces.map((each) => this.#open(each)))
    const used = spaces.find((space) => space.isLetIn)
    if (used === undefined) return spaces
    const message = `This device was let into ${used.name} as somebody else's`
    throw new ManyhandsError('IDENTITY_IN_USE', message)
  }

  /** @throws SPACE_UNKNOWN */
  async #known(address: string): Promise<Space> {
    this.#checkOpen()
    if (typeof address === 'string' && this.#find(address) !== null) return this.openSpace(address)
    throw new ManyhandsError('SPACE_UNKNOWN', `There is no space ${String(address)} here`)
  }

  /** Whether a space of this device reads a log. */
  #reads(log: Uint8Array): boolean {
    return this.#store.spaces.some(({ writers, acl }) =>
      [...writers, ...acl].some((each) => b4a.equals(each, log))
    )
  }

  /**
   * Replicates all spaces, present and future, over a stream (as Space.replicate takes it).
   * @returns the stream to pipe
   */
  replicate(isInitiator: boolean): RawStream
  replicate<S extends object>(stream: S, options?: ReplicateOptions): S
  replicate(stream: unknown, options: ReplicateOptions = {}): unknown {
    this.#checkOpen()
    checkReplicate(options)
    return this.#connections.replicateAll(stream, options.initiator)
  }

  /**
   * One verifiable archive of all spaces and their logs, in pieces (docs/FORMAT.md, "Backup"). Restoring it makes a new device.
   * @param passphrase wraps the keys of the spaces; null leaves them open to whoever has the archive, and with them
   * the data.
   */
  backup(passphrase: string | null, options: Work = {}): AsyncIterable<Uint8Array> {
    this.#checkOpen()
    checkOptions('backup', options, WORK_OPTIONS)
    checkWork(options)
    if (passphrase !== null && (typeof passphrase !== 'string' || passphrase === '')) {
      invalid('passphrase', 'a non-empty string or null', typeof passphrase)
    }
    return this.#store.backup({ ...options, passphrase })
  }

  /** Closes everything that was opened here, in reverse. Idempotent; nothing keeps the process alive afterwards. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#closed.abort(new ManyhandsError('DEVICE_CLOSED', 'The device is closed'))
    this.#ownDevices.endInvites()
    await this.#sayGoodbye()
    const left = await Promise.allSettled([...this.#users].map((user) => user.close()))
    await this.#transports.rest()
    this.#connections.close()
    await Promise.allSettled(this.#opening)
    const spaces = await Promise.allSettled(this.#spaces.values())
    const closings = await Promise.allSettled([
      ...spaces.map((space) => (space.status === 'fulfilled' ? space.value.close() : undefined)),
      ...this.#ending.values()
    ])
    await this.#saving
    await this.#store.close()
    this.removeAllListeners()
    // Shown last: whatever failed, the store is closed.
    for (const closing of [...left, ...closings])
      if (closing.status === 'rejected') throw closing.reason
  }

  /** A peer that takes nothing is not waited for: it will notice by itself. */
  async #sayGoodbye(): Promise<void> {
    let callOff = () => {}
    const late = new Promise<void>((resolve) => {
      callOff = this.#parts.timers.after(GOODBYE_MS, resolve)
    })
    await Promise.race([this.#connections.leave(), late])
    callOff()
  }

  #track(opening: Promise<Space>): Promise<Space> {
    this.#opening.add(opening)
    const done = () => this.#opening.delete(opening)
    opening.then(done, done)
    return opening
  }

  /** By address in text form. */
  #find(address: string): SpaceRecord | null {
    return this.#store.spaces.find((each) => z32.encode(each.address) === address) ?? null
  }

  async #add(secrets: SpaceSecrets, record: SpaceRecord, mode?: ReadMode): Promise<Space> {
    await this.#save(async () => {
      // Another call may have joined it meanwhile.
      if (this.#find(z32.encode(record.address)) !== null) return
      const known = this.#store.secrets
      await this.#store.saveSecrets({ ...known, spaces: [...known.spaces, secrets] })
      await this.#store.saveSpaces([...this.#store.spaces, record])
    })
    return this.#open(this.#find(z32.encode(record.address)) ?? record, mode)
  }

  async #open(record: SpaceRecord, mode?: ReadMode): Promise<Space> {
    const id = b4a.toString(record.address, 'hex')
    const known = this.#spaces.get(id)
    const opening = known ?? this.#openNow(record, mode)
    this.#spaces.set(id, opening)
    opening.catch(() => this.#spaces.delete(id)) // the caller sees why; the next call tries again
    const space = await opening
    if (known !== undefined)
      checkSameMode(space.mode, record.sparse && mode === 'auto' ? 'stream' : mode)
    return space
  }

  async #openNow(record: SpaceRecord, mode: ReadMode = 'auto'): Promise<Space> {
    if (record.sparse && mode === 'index') invalid('mode', "'stream' for a sparse space", mode)
    await this.#ending.get(b4a.toString(record.address, 'hex'))?.catch(() => {}) // its closer sees why
    const secrets = () => this.#secretsOf(record)
    const { membershipKey } = secrets()
    const { now, timers, maxDrift, documents } = this.#parts
    const space = await Space.open({
      store: this.#store,
      record,
      secrets,
      now,
      timers,
      mode,
      documents,
      ...(maxDrift === undefined ? {} : { maxDrift }),
      isRecovering: this.#recovering.has(z32.encode(record.address)),
      save: (changed) => this.#saveRecord(changed),
      saveEpochs: (epochs) => this.#saveEpochs(record, epochs),
      succeed: (why) => this.#save(() => this.#store.succeed(record.address, why)),
      replicate: (link, stream, initiator) => this.#connections.replicate(link, stream, initiator),
      expect: (isExpecting) => this.#expect(record.address, membershipKey, isExpecting),
      leave: () => this.leaveSpace(z32.encode(record.address)),
      onclose: (closing, closed) => {
        this.#forget(closing, record.address)
        this.#remember(b4a.toString(record.address, 'hex'), closed)
      }
    })
    this.#connections.add(space.wire)
    if (this.#closing === null)
      this.#transports.announce(b4a.toString(record.address, 'hex'), topicOf(membershipKey))
    return space
  }

  #secretsOf({ address }: SpaceRecord): SpaceSecrets {
    const secrets = this.#store.secrets.spaces.find((each) => b4a.equals(each.address, address))
    if (secrets !== undefined) return secrets
    throw new ManyhandsError('STORE_IDENTITY_LOST', 'The keystore lacks the keys of this space')
  }

  /** Is to be found by those who come with an invite, while some may. */
  #expect(address: Uint8Array, membershipKey: Uint8Array, isExpecting: boolean): void {
    const id = expectingId(address)
    if (this.#transports.announces(id) === isExpecting || this.#closing !== null) return
    if (isExpecting) this.#transports.announce(id, meetingTopic(meetingOf(membershipKey)))
    else this.#transports.unannounce(id)
  }

  #forget({ wire }: Space, address: Uint8Array): void {
    const id = b4a.toString(address, 'hex')
    this.#spaces.delete(id)
    this.#connections.remove(wire)
    this.#transports.unannounce(id)
    this.#transports.unannounce(expectingId(address))
  }

  /** Until a space is closed. */
  #remember(id: string, closed: Promise<void>): void {
    this.#ending.set(id, closed)
    const done = () => this.#ending.delete(id)
    closed.then(done, done)
  }

  #saveEpochs({ address }: SpaceRecord, epochs: readonly Uint8Array[]): Promise<void> {
    return this.#save(() => {
      const { secrets } = this.#store
      const spaces = secrets.spaces.map((each) =>
        b4a.equals(each.address, address) ? { ...each, epochs } : each
      )
      return this.#store.saveSecrets({ ...secrets, spaces })
    })
  }

  #saveRecord(changed: SpaceRecord): Promise<void> {
    return this.#save(() =>
      this.#store.saveSpaces(
        this.#store.spaces.map((record) =>
          b4a.equals(record.address, changed.address) ? changed : record
        )
      )
    )
  }

  /** Files are written one after the other. */
  #save(write: () => Promise<void>): Promise<void> {
    const saved = this.#saving.then(write)
    this.#saving = saved.catch(() => {}) // shown to the caller of this one
    return saved
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new ManyhandsError('DEVICE_CLOSED', 'The device is closed')
    if (this.isLocked) throw new ManyhandsError('DEVICE_LOCKED', 'The device is locked')
  }
}

/** What the topic of its invites is kept under. */
function expectingId(address: Uint8Array): string {
  return `expecting ${b4a.toString(address, 'hex')}`
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 255) {
    invalid('name', 'a string of 1 to 255 characters', name)
  }
}

/** In hex; null when it is not the one text form of any key. */
function decodeIdentity(text: string): string | null {
  try {
    const key = z32.decode(text)
    return key.byteLength === 32 && z32.encode(key) === text ? b4a.toString(key, 'hex') : null
  } catch {
    return null
  }
}

/** What was given is never shown. */
function checkPassphrase(passphrase: unknown): void {
  if (typeof passphrase !== 'string' || passphrase === '')
    invalid('passphrase', 'a non-empty string', typeof passphrase)
}

function checkFlag(option: string, value: unknown): void {
  if (typeof value !== 'boolean') invalid(option, 'true or false', value)
}

/** A space is open once: asking for another way of reading must not be ignored. */
function checkSameMode(mode: ReadMode, asked: ReadMode | undefined): void {
  if (asked !== undefined && asked !== mode) {
    invalid('mode', `'${mode}', as the space is open already`, asked)
  }
}
