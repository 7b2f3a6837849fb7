/** This device: its store, its spaces, its connections. */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import z32 from 'z32'
import {
  identityKeyPair,
  ownLogKey,
  randomBytes,
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
import { decodeInviteLink } from './invite-link.ts'
import { Joiner } from './joiner.ts'
import { decodeLink } from './link.ts'
import { identityIn, keyOfText } from './members/credentials.ts'
import { OpenSpaces } from './open-spaces.ts'
import { checkWork, WORK_OPTIONS } from './options.ts'
import { foreign, type LinkPlace, type OpenLinkOptions } from './open-link.ts'
import { checkReplicate, type RawStream, type ReplicateOptions, type Space } from './space.ts'
import { SpaceRecords } from './space-records.ts'
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
  /** While it is locked: what was open. */
  #resuming: readonly { readonly address: string; readonly mode: ReadMode }[] | null = null
  readonly #connections: Connections
  readonly #records: SpaceRecords
  readonly #spaces: OpenSpaces
  readonly #joiner: Joiner
  readonly #ownDevices: OwnDevices
  readonly #closed = new AbortController()
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
    this.#records = new SpaceRecords(parts.store)
    const reach = {
      store: parts.store,
      connections: this.#connections,
      transports: this.#transports
    }
    this.#spaces = new OpenSpaces({
      ...parts,
      ...reach,
      records: this.#records,
      leave: (address) => this.leaveSpace(address),
      isClosing: () => this.#closing !== null
    })
    const { signal: closed } = this.#closed
    this.#joiner = new Joiner({ ...reach, waiting: parts.waiting, closed })
    const shared = {
      store: parts.store,
      name: parts.name,
      now: parts.now,
      checkOpen: () => this.#checkOpen(),
      adopt: (identity: IdentitySecrets) => this.#adopt(identity)
    }
    this.#ownDevices = new OwnDevices({
      ...shared,
      ...reach,
      timers: parts.timers,
      waiting: parts.waiting,
      closed,
      spaces: () => this.spaces(),
      open: (address) => this.openSpace(address),
      enter: (known) => this.#spaces.track(this.#enterKnown(known)),
      checkFree: async () => void (await this.#unused()),
      recover: (address, keep) => this.recover(address, { keep }),
      save: (change) => this.#records.save(change)
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
    const key = keyOfText(identity)
    // What was given may be what was meant for elsewhere: a phrase.
    if (key === null) return invalid('identity', 'the `identity` of a person', typeof identity)
    if (name !== null) checkName(name)
    await this.#records.save(() => {
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
    this.#resuming = []
    this.#ownDevices.endInvites()
    await this.#sayGoodbye()
    await this.#transports.rest()
    this.#connections.close()
    const open = await this.#spaces.opened()
    this.#resuming = open.map(({ address, mode }) => ({ address, mode }))
    const closings = await this.#spaces.close()
    await this.#records.settled()
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
    return this.#records.list().map(({ address, name }) => ({ address: z32.encode(address), name }))
  }

  /** Makes a new space, with this device as its founder. */
  createSpace(options: CreateSpaceOptions = {}): Promise<Space> {
    return this.#spaces.track(this.#createSpace(options))
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
    return this.#spaces.track(this.#openSpace(which, options))
  }

  async #openSpace(which: string, options: OpenSpaceOptions): Promise<Space> {
    this.#checkOpen()
    if (typeof which !== 'string') invalid('which', 'an address or a ticket', which)
    checkOptions('openSpace', options, ['name', 'sparse', 'mode'])
    const { name = 'space', sparse = false, mode } = options
    checkMode(mode)
    checkName(name)
    checkFlag('sparse', sparse)
    const known = isTicket(which) ? this.#records.find(which) : this.#records.known(which)
    if (known !== null) return this.#spaces.open(known, mode)
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
    const known = this.#records.find(z32.encode(address))
    if (known !== null) return this.#spaces.open(known)
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
    return this.#spaces.track(this.#join(invite, options))
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
    if (this.#records.find(address) !== null)
      throw new ManyhandsError('SPACE_JOINED', `This device has the space ${address}`)
    return this.#joiner.join(link, { timeout, signal }, ({ entrance, salt }) =>
      this.#enter({ address: link.address, ...entrance }, salt, { name, sparse }, mode)
    )
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
    if (this.#records.find(address) === null) throw foreign(address)
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
    const record = this.#records.known(address)
    const logs = space.logKeys()
    await space.close()
    await this.#records.remove(record)
    await this.#store.dropIndex(record.address)
    await this.#store.dropIndex(documentCacheOf(record.address))
    for (const log of logs) if (!this.#records.reads(log)) await this.#store.clearLog(log)
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
    space.standing.checkMaySucceed()
    const opened = await this.#spaces.track(this.#spaces.succeed(space, false))
    await opened.standing.renewKeys()
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
      const { isUnbegun } = space.standing
      const lost = space.standing.lostWithout(keep)
      // Otherwise under logs that begin with what the recovery key says.
      const fresh = isUnbegun ? space : await this.#spaces.track(this.#spaces.succeed(space, true))
      await fresh.standing.recover(identity, lost).catch(async (error: unknown) => {
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

  /** Spaces show who this device is from their opening on. */
  async #adopt(identity: IdentitySecrets): Promise<void> {
    const { secrets } = this.#store
    const isSame = b4a.equals(identityIn(secrets), identityIn({ identity }))
    const spaces = isSame ? [] : await this.#unused()
    for (const space of spaces) await space.close()
    await this.#records.save(() => this.#store.saveSecrets({ ...this.#store.secrets, identity }))
  }

  /** All spaces. @throws IDENTITY_IN_USE where this device was let into one */
  async #unused(): Promise<readonly Space[]> {
    const spaces = await Promise.all(this.#records.list().map((each) => this.#spaces.open(each)))
    const used = spaces.find((space) => space.standing.isLetIn)
    if (used === undefined) return spaces
    const message = `This device was let into ${used.name} as somebody else's`
    throw new ManyhandsError('IDENTITY_IN_USE', message)
  }

  /** @throws SPACE_UNKNOWN */
  async #known(address: string): Promise<Space> {
    this.#checkOpen()
    this.#records.known(address)
    return this.openSpace(address)
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
    const closings = await this.#spaces.close()
    await this.#records.settled()
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

  async #add(secrets: SpaceSecrets, record: SpaceRecord, mode?: ReadMode): Promise<Space> {
    return this.#spaces.open(await this.#records.add(secrets, record), mode)
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new ManyhandsError('DEVICE_CLOSED', 'The device is closed')
    if (this.isLocked) throw new ManyhandsError('DEVICE_LOCKED', 'The device is locked')
  }
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 255) {
    invalid('name', 'a string of 1 to 255 characters', name)
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
