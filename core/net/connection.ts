/**
 * One connection to one peer: a Noise stream, and on it any number of spaces.
 *
 * A space meets the peer on a channel of its own, whose id derives from the membership key: a stranger learns nothing, not even
 * whether we share a space. Both sides prove that they hold the key, bound to this very connection; only then are the space's
 * logs offered, and only those. A device whose rights were taken away still holds that key: it gets the membership logs, by which it
 * learns of it, and nothing else, from the moment on at which we know. (The stack's own `store.replicate` would serve every log of the store to whoever knows its key.)
 *
 *     channel  manyhands/space/1, id = topicOf(membership key)
 *     open     version uint (1), proof 32 B
 *x */
import b4a from 'b4a'
import c, { type Encoder } from 'compact-encoding'
import type Hypercore from 'hypercore'
import Protomux, { type Channel, type Message } from 'protomux'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import type { Duplex } from 'streamx'
import { keyedHash } from '../crypto.ts'
import { MeetingGuest, MeetingHost, type Meeting, type Question } from './meeting.ts'

const PROTOCOL = 'manyhands/space/1'
const VERSION = 1
const HYPERCORE_PROTOCOL = 'hypercore/alpha'

/** So often a word, if there is nothing else to say. */
const KEEP_ALIVE_MS = 5000

/** A peer that is silent for so long is gone, in the handshake too: every transport loses peers without a word now and then. */
const SILENCE_MS = 6 * KEEP_ALIVE_MS

/** More logs in one message than any space of this version has devices. */
const MAX_LOGS = 4096

/** What a connection needs of a space. */
export interface SpaceLink {
  /** A function, so that whoever prints a space does not print it. */
  membershipKey(): Uint8Array
  /** Where it answers those who have an invite. */
  readonly meeting: Meeting
  /** Whether a device may have more than the membership logs. Asked again at each `SpacePeer.update`. */
  admits(device: Uint8Array): boolean
  /** The logs of data to offer and to ask for. */
  cores(): readonly Hypercore[]
  /** The membership logs to offer and to ask for. */
  memberLogs(): readonly Hypercore[]
  /** What to tell a proven peer about logs, or null to tell nothing. */
  announce(): readonly Uint8Array[] | null
  /** A proven peer told of logs. */
  onlogs(cores: readonly Uint8Array[]): void
  /** What to tell a proven peer, who may have no data, about devices that ask to be let in or have come back. */
  askers(): readonly Uint8Array[]
  /** A proven peer tells of devices that ask to be let in; unchecked bytes. */
  onaskers(peer: SpacePeer, askers: readonly Uint8Array[]): void
  /** Of which logs everything that they declare as cleared is gone from here, up to which declaration. */
  cleared(): readonly ClearedUpTo[]
  /** A proven peer says so of its copies. */
  oncleared(logs: readonly ClearedUpTo[]): void
  /** A proven peer says who is there; unchecked bytes. */
  onpresence(peer: SpacePeer, message: Uint8Array): void
  /** A proven peer says something on channels; unchecked bytes. */
  onchannels(peer: SpacePeer, message: Uint8Array): void
  /** A peer has proven to hold the key; it may be none that has data. Until `ongone`. */
  onproven(peer: SpacePeer): void
  ongone(peer: SpacePeer): void
  /** A proven peer, who may have no data, says something of the histories of logs; unchecked bytes. */
  onbranches(peer: SpacePeer, message: Uint8Array): void
  /** A peer for which `sendPresence` or `sendChannels` gave false takes more. */
  ondrain(peer: SpacePeer): void
  /** The connections are about to close: the last moment to say goodbye. @returns whether something was sent */
  onleave(): boolean
  onpeer(peer: SpacePeer): void
  onpeergone(peer: SpacePeer): void
  /** A peer that holds the topic but not the key, or speaks nonsense; or a device that was removed. */
  onrefused(reason: 'version' | 'proof' | 'removed', peer: Uint8Array): void
}

/** The discovery topic and channel id of a space: known to members only, unlike its address. */
export function topicOf(membershipKey: Uint8Array): Uint8Array {
  return keyedHash(membershipKey, 'manyhands/topic')
}

interface Hello {
  readonly version: number
  readonly proof: Uint8Array
}

const helloEncoding: Encoder<Hello> = {
  preencode(state, { version }) {
    c.uint.preencode(state, version)
    state.end += 32
  },
  encode(state, { version, proof }) {
    c.uint.encode(state, version)
    c.fixed32.encode(state, proof)
  },
  decode(state) {
    return { version: c.uint.decode(state), proof: c.fixed32.decode(state) }
  }
}

const logsEncoding = c.array(c.fixed32)
const askersEncoding: Encoder<Uint8Array[]> = c.array(c.buffer)

/** A log with cleared blocks. */
export interface ClearedUpTo {
  readonly core: Uint8Array
  /** The length from which on its newest declaration counts. */
  readonly since: number
  /** Blocks without a gap, what is cleared apart: Hypercore's own word ends at the first cleared block. */
  readonly here: number
}

const clearedEncoding: Encoder<ClearedUpTo[]> = c.array({
  preencode(state, { since, here }: ClearedUpTo) {
    state.end += 32
    c.uint.preencode(state, since)
    c.uint.preencode(state, here)
  },
  encode(state, { core, since, here }: ClearedUpTo) {
    c.fixed32.encode(state, core)
    c.uint.encode(state, since)
    c.uint.encode(state, here)
  },
  decode(state): ClearedUpTo {
    return {
      core: c.fixed32.decode(state),
      since: c.uint.decode(state),
      here: c.uint.decode(state)
    }
  }
})

export class Connection {
  readonly #stream: NoiseSecretStream
  readonly #mux: Protomux
  readonly #peers = new Map<SpaceLink, SpacePeer>()
  readonly #hosts = new Map<Meeting, MeetingHost | null>()
  readonly #guests = new Map<Question, MeetingGuest>()
  readonly #onclose: (error: Error | null) => void
  #error: Error | null = null

  /** @param onclose called once, with the error if there was one */
  constructor(stream: NoiseSecretStream, onclose: (error: Error | null) => void) {
    this.#stream = stream
    this.#onclose = onclose
    if (stream.keepAlive === 0) stream.setKeepAlive(KEEP_ALIVE_MS)
    stream.setTimeout(SILENCE_MS)
    this.#mux = Protomux.from(stream)
    stream.userData = this.#mux
    this.#mux.pair({ protocol: HYPERCORE_PROTOCOL }, (id) => this.#attachAsked(id))
    stream.on('error', (error) => {
      if (!isCut(error)) this.#error ??= error
    })
    stream.on('close', () => this.#closed())
  }

  /** The device key of the peer, once the stream is open. */
  get remoteKey(): Uint8Array {
    return this.#stream.remotePublicKey
  }

  /** Offers a space to the peer; it is met if the peer offers it too. */
  async add(link: SpaceLink): Promise<void> {
    if (this.#peers.has(link)) return
    const peer = new SpacePeer(this.#stream, this.#mux, link)
    this.#peers.set(link, peer)
    const isOpen = await this.#stream.opened
    // The space may have closed meanwhile.
    if (!isOpen || this.#peers.get(link) !== peer) return
    peer.open()
    await this.host(link.meeting)
  }

  /** Answers the peer, if it asks there. */
  async host(meeting: Meeting): Promise<void> {
    if (this.#hosts.has(meeting)) return
    this.#hosts.set(meeting, null)
    const isOpen = await this.#stream.opened
    if (!isOpen || this.#hosts.get(meeting) !== null) return
    this.#hosts.set(meeting, new MeetingHost(this.#mux, meeting, this.remoteKey))
  }

  unhost(meeting: Meeting): void {
    this.#hosts.get(meeting)?.close()
    this.#hosts.delete(meeting)
  }

  /** Asks the peer, again if it was asked before. */
  async ask(question: Question): Promise<void> {
    const guest = this.#guests.get(question) ?? new MeetingGuest(this.#mux, question)
    this.#guests.set(question, guest)
    const isOpen = await this.#stream.opened
    if (isOpen && this.#guests.get(question) === guest) guest.ask()
  }

  stopAsking(question: Question): void {
    this.#guests.get(question)?.close()
    this.#guests.delete(question)
  }

  remove(link: SpaceLink): void {
    this.#peers.get(link)?.close()
    this.#peers.delete(link)
    this.unhost(link.meeting)
  }

  /** Resolves when what was sent has left, or cannot leave any more. */
  async flush(): Promise<void> {
    await this.#stream.flush()
  }

  close(): void {
    this.#stream.destroy()
  }

  /** The peer asks for a log: it gets it if a space that it has proven to be in has it. */
  #attachAsked(id: Uint8Array | null): void {
    if (id === null) return
    for (const peer of this.#peers.values()) peer.attachAsked(id)
  }

  #closed(): void {
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
    this.#hosts.clear()
    this.#guests.clear()
    this.#onclose(this.#error)
  }
}

/** A cable that was cut, a peer that went away: what connections are expected to end with. */
function isCut(error: Error): boolean {
  if ('code' in error && ['ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(String(error.code)))
    return true
  return /stream (was )?(closed|destroyed)|premature|reset by peer|timed out/i.test(error.message)
}

function isSameCleared(a: readonly ClearedUpTo[], b: readonly ClearedUpTo[]): boolean {
  if (a.length !== b.length) return false
  return a.every(({ core, since, here }, i) => {
    const other = b[i]
    return other?.since === since && other.here === here && b4a.equals(other.core, core)
  })
}

/** One space on one connection. */
export class SpacePeer {
  readonly #stream: NoiseSecretStream
  readonly #mux: Protomux
  readonly #link: SpaceLink
  readonly #topic: Uint8Array
  #channel: Channel<Hello> | null = null
  #logs: Message<Uint8Array[]> | null = null
  #cleared: Message<ClearedUpTo[]> | null = null
  #presence: Message<Uint8Array> | null = null
  #channels: Message<Uint8Array> | null = null
  #askers: Message<Uint8Array[]> | null = null
  #branches: Message<Uint8Array> | null = null
  /** What the peer has said to have cleared, by log in hex. */
  readonly #clearedThere = new Map<string, ClearedUpTo>()
  /** What it was told of ours. */
  #clearedTold: readonly ClearedUpTo[] = []
  /** Which askers it was told of, in hex. */
  readonly #askersTold = new Set<string>()
  #isProven = false
  /** Whether it may have data; null before it has proven anything. */
  #isAdmitted: boolean | null = null
  /** The space was told of the peer. */
  #isMet = false
  #isRefused = false
  #hasToldLogs = false

  constructor(stream: NoiseSecretStream, mux: Protomux, link: SpaceLink) {
    this.#stream = stream
    this.#mux = mux
    this.#link = link
    this.#topic = topicOf(link.membershipKey())
  }

  /** The device key of the peer. */
  get remoteKey(): Uint8Array {
    return this.#stream.remotePublicKey
  }

  /** Whether it has said which logs it reads; a space that is not open says nothing. */
  get hasToldLogs(): boolean {
    return this.#hasToldLogs
  }

  open(): void {
    // A peer without this space closes our channel. When it opens the space later, it opens one, and we meet it again.
    this.#mux.pair({ protocol: PROTOCOL, id: this.#topic }, () => this.#openChannel())
    this.#openChannel()
  }

  close(): void {
    this.#mux.unpair({ protocol: PROTOCOL, id: this.#topic })
    this.#channel?.close()
    this.#gone()
  }

  /** Tells the peer again which logs there are, and offers those that are new. */
  update(): void {
    if (!this.#isProven) return
    this.#judge()
    for (const core of this.#link.memberLogs()) this.#attach(core)
    // Some of these logs are named by nobody but their devices, and one may say that the peer is removed.
    this.#tellAskers()
    if (this.#isAdmitted !== true) return
    const cores = this.#link.announce()
    if (cores !== null) this.#logs?.send([...cores])
    for (const core of this.#link.cores()) this.#attach(core)
    this.tellCleared()
    this.#meet()
  }

  /** Whether the peer may have data, now. */
  #judge(): void {
    const isAdmitted = this.#link.admits(this.remoteKey)
    if (isAdmitted === this.#isAdmitted) return
    this.#isAdmitted = isAdmitted
    if (isAdmitted) return
    for (const core of this.#link.cores()) this.#detach(core)
    this.#link.onrefused('removed', this.remoteKey)
    this.#part()
  }

  /** Each once on a connection. */
  #tellAskers(): void {
    const news = this.#link.askers().filter((each) => {
      const id = b4a.toString(each, 'hex')
      return !this.#askersTold.has(id) && this.#askersTold.add(id)
    })
    if (news.length > 0) this.#askers?.send(news)
  }

  /** Tells the peer what is cleared here, and how far these logs are here, if that is news. */
  tellCleared(logs = this.#link.cleared()): void {
    if (this.#isAdmitted !== true || isSameCleared(logs, this.#clearedTold)) return
    this.#clearedTold = logs
    this.#cleared?.send([...logs])
  }

  /** @returns false when the connection is full: wait for `ondrain`, as what is sent now is only kept in memory */
  sendPresence(message: Uint8Array): boolean {
    return this.#isAdmitted === true && this.#presence?.send(message) === true
  }

  /** @see sendPresence */
  sendChannels(message: Uint8Array): boolean {
    return this.#isAdmitted === true && this.#channels?.send(message) === true
  }

  /** Whether the peer may have data. */
  get isAdmitted(): boolean {
    return this.#isAdmitted === true
  }

  /** Also to who may have no data: it may be that by another history of a membership log. @see sendPresence */
  sendBranches(message: Uint8Array): boolean {
    return this.#isProven && this.#branches?.send(message) === true
  }

  /** Whether the peer has said to have cleared its copies of a log, up to this declaration. */
  hasCleared(core: Uint8Array, since: number): boolean {
    return (this.#clearedThere.get(b4a.toString(core, 'hex'))?.since ?? 0) >= since
  }

  /** How far the peer says to have a log with cleared blocks; 0 for others. */
  lengthThere(core: Uint8Array): number {
    return this.#clearedThere.get(b4a.toString(core, 'hex'))?.here ?? 0
  }

  attachAsked(discoveryKey: Uint8Array): void {
    if (!this.#isProven) return
    for (const core of this.#offered()) {
      if (b4a.equals(core.discoveryKey, discoveryKey)) this.#attach(core)
    }
  }

  #offered(): readonly Hypercore[] {
    const logs = this.#link.memberLogs()
    return this.#isAdmitted === true ? [...logs, ...this.#link.cores()] : logs
  }

  #openChannel(): void {
    if (this.#isRefused || this.#channel?.closed === false) return
    const channel = this.#mux.createChannel<Hello>({
      protocol: PROTOCOL,
      id: this.#topic,
      handshake: helloEncoding,
      onopen: (hello) => this.#onhello(hello),
      onclose: () => this.#gone(),
      ondrain: () => this.#link.ondrain(this)
    })
    this.#channel = channel
    if (channel === null) return // the stream closed meanwhile
    this.#logs = channel.addMessage<Uint8Array[]>({
      encoding: logsEncoding,
      onmessage: (cores) => this.#onlogs(cores)
    })
    this.#cleared = channel.addMessage<ClearedUpTo[]>({
      encoding: clearedEncoding,
      onmessage: (logs) => this.#oncleared(logs)
    })
    this.#presence = channel.addMessage<Uint8Array>({
      encoding: c.raw,
      onmessage: (message) => {
        if (this.#isAdmitted === true) this.#link.onpresence(this, message)
      }
    })
    this.#channels = channel.addMessage<Uint8Array>({
      encoding: c.raw,
      onmessage: (message) => {
        if (this.#isAdmitted === true) this.#link.onchannels(this, message)
      }
    })
    this.#askers = channel.addMessage<Uint8Array[]>({
      encoding: askersEncoding,
      onmessage: (askers) => {
        // Also of who may have no data: it may ask again, under fresh logs.
        if (this.#isProven && askers.length <= MAX_LOGS) this.#link.onaskers(this, askers)
      }
    })
    this.#branches = channel.addMessage<Uint8Array>({
      encoding: c.raw,
      onmessage: (message) => {
        if (this.#isProven) this.#link.onbranches(this, message)
      }
    })
    channel.open({ version: VERSION, proof: this.#proof(this.#stream.isInitiator) })
  }

  #onhello({ version, proof }: Hello): void {
    if (version !== VERSION) return this.#refuse('version')
    if (!b4a.equals(proof, this.#proof(!this.#stream.isInitiator))) return this.#refuse('proof')
    this.#isProven = true
    this.#clearedTold = []
    this.#askersTold.clear()
    this.update()
    this.#link.onproven(this)
  }

  /** After the logs: of what is said of presence, only what is of known writers is heard. */
  #meet(): void {
    if (this.#isMet) return
    this.#isMet = true
    this.#link.onpeer(this)
  }

  #part(): void {
    if (!this.#isMet) return
    this.#isMet = false
    this.#link.onpeergone(this)
  }

  #refuse(reason: 'version' | 'proof'): void {
    this.#isRefused = true
    this.#link.onrefused(reason, this.remoteKey)
    this.#channel?.close()
  }

  #onlogs(cores: readonly Uint8Array[]): void {
    if (this.#isAdmitted !== true || cores.length > MAX_LOGS) return
    this.#link.onlogs(cores)
    this.#hasToldLogs = true
  }

  #oncleared(logs: readonly ClearedUpTo[]): void {
    if (this.#isAdmitted !== true || logs.length > MAX_LOGS) return
    const ours = new Set(this.#link.cores().map(({ key }) => b4a.toString(key, 'hex')))
    const known = logs.filter(({ core }) => ours.has(b4a.toString(core, 'hex')))
    for (const each of known) this.#clearedThere.set(b4a.toString(each.core, 'hex'), each)
    this.#link.oncleared(known)
  }

  #attach(core: Hypercore): void {
    const { replicator } = core.core
    if (!replicator.attached(this.#mux)) replicator.attachTo(this.#mux)
  }

  #detach(core: Hypercore): void {
    const { replicator } = core.core
    replicator.detachFrom(this.#mux)
    for (const peer of core.peers) if (peer.protomux === this.#mux) peer.channel.close()
  }

  #gone(): void {
    if (this.#isProven) this.#link.ongone(this)
    this.#isProven = false
    this.#isAdmitted = null
    this.#part()
  }

  /** Bound to the connection and to the side, so that it can be neither replayed nor reflected. */
  #proof(isInitiator: boolean): Uint8Array {
    const side = b4a.from([isInitiator ? 1 : 0])
    return keyedHash(
      this.#link.membershipKey(),
      'manyhands/proof',
      this.#stream.handshakeHash,
      side
    )
  }
}

/**
 * The Noise stream over whatever came: one that is already there is used as it is; for `true` (initiator) or `false` a new one,
 * whose `rawStream` is to be piped. Null for anything else.
 */
export function secureStream(
  stream: unknown,
  initiator: boolean | undefined,
  keyPair: { publicKey: Uint8Array; secretKey: Uint8Array }
): NoiseSecretStream | null {
  if (stream instanceof NoiseSecretStream) return stream
  if (typeof stream === 'boolean') return new NoiseSecretStream(stream, null, { keyPair })
  if (isDuplex(stream) && initiator !== undefined) {
    return new NoiseSecretStream(initiator, stream, { keyPair })
  }
  return null
}

function isDuplex(stream: unknown): stream is Duplex {
  return (
    typeof stream === 'object' &&
    stream !== null &&
    'pipe' in stream &&
    'write' in stream &&
    typeof stream.pipe === 'function' &&
    typeof stream.write === 'function'
  )
}
