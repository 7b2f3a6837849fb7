/** Presence without devices: hubs, a network of queues between them, and time that passes when the test says so. */
import b4a from 'b4a'
import z32 from 'z32'
import { deriveKeyPair, sign } from '../../core/crypto.ts'
import { blockKey, keyedHash, logKeyOf, sealBox, type BlockKey } from '../../core/index.ts'
import type { Timers } from '../../multiwriter/index.ts'
import { WriterList } from '../../multiwriter/index.ts'
import { PresenceHub } from '../../multiwriter/presence/hub.ts'
import {
  encodeBody,
  saidFrame,
  Sealer,
  type Content,
  type PresenceKeys,
  type Saying,
  type SealedSaying,
  type Signer
} from '../../multiwriter/presence/message.ts'
import type { PresencePeer } from '../../multiwriter/presence/outbox.ts'

const MEMBERSHIP_KEY = b4a.alloc(32, 7)
const ADDRESS = b4a.alloc(32, 8)

/** Keys of epochs that come as the test says; of those that are here, the last is used. */
export class SimKeys implements PresenceKeys {
  readonly #keys: BlockKey[] = []
  readonly #listeners = new Set<() => void>()

  constructor(...keys: readonly (number | Uint8Array)[]) {
    for (const key of keys) this.add(key)
  }

  /** @param key all of it, or what all of its bytes are */
  add(key: number | Uint8Array): void {
    this.#keys.push(blockKey(typeof key === 'number' ? b4a.alloc(32, key) : key))
    for (const listener of this.#listeners) listener()
  }

  usable(): BlockKey | null {
    return this.#keys.at(-1) ?? null
  }

  find(id: Uint8Array): Uint8Array | null {
    return this.#keys.find((each) => b4a.equals(each.id, id))?.key ?? null
  }

  onchange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

/** What everybody has who is not said to have other keys. */
const EPOCH = 5

export function sealerWith({
  membershipKey = MEMBERSHIP_KEY,
  address = ADDRESS,
  epoch = EPOCH
} = {}) {
  return new Sealer(membershipKey, address, new SimKeys(epoch))
}

/** A saying, its topic in a slot that no other topic of the tests has. */
type Words =
  ({ readonly kind: 'state'; readonly slot?: number } & Content) | Exclude<Saying, Content>

const slots: string[] = []

function slotOf(topic: string): number {
  if (!slots.includes(topic)) slots.push(topic)
  return slots.indexOf(topic)
}

export class SimTimers implements Timers {
  #now = 0
  readonly #tasks = new Set<{ readonly at: number; readonly task: () => void }>()

  get pending(): number {
    return this.#tasks.size
  }

  elapsed(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const entry = { at: this.#now + ms, task }
    this.#tasks.add(entry)
    return () => this.#tasks.delete(entry)
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve))
  }

  soon(task: () => void): void {
    this.after(0, task)
  }

  /** Runs the next task that is due until then. */
  step(until: number): boolean {
    const due = [...this.#tasks].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
    this.#now = due === undefined ? until : Math.max(this.#now, due.at)
    if (due === undefined) return false
    this.#tasks.delete(due)
    due.task()
    return true
  }
}

export function signerOf(name: string): Signer & { readonly core: Uint8Array } {
  const { publicKey, secretKey } = deriveKeyPair(b4a.alloc(32, 1), name)
  return {
    publicKey,
    core: logKeyOf(publicKey),
    sign: (context, ...parts) => sign(secretKey, context, ...parts)
  }
}

export function sessionOf(ms: number): Uint8Array {
  const session = b4a.alloc(8)
  new DataView(session.buffer, session.byteOffset).setUint32(2, ms)
  return session
}

/** A message of somebody who says what the test wants, as it stands on a connection. */
export function said(
  signer: Signer,
  seq: number,
  words: Words,
  { session = sessionOf(1000), sealer = sealerWith() } = {}
): Uint8Array {
  const saying = words.kind === 'state' ? { slot: slotOf(words.topic), ...words } : words
  const box = sealer.seal({ session, seq }, saying, signer)
  if (box === null) throw new Error('There is no key to say it under')
  return saidFrame(box)
}

/** Somebody else's words, which need not be read to be repeated as one's own. */
export function repeated(saying: SealedSaying, signer: Signer): Uint8Array {
  const context = 'manyhands/presence'
  const body = encodeBody(signer.publicKey, { session: sessionOf(1000), seq: 0 }, saying)
  const signed = b4a.concat([body, signer.sign(context, ADDRESS, body)])
  return saidFrame(sealBox(signed, keyedHash(MEMBERSHIP_KEY, context)))
}

export interface SimDevice {
  readonly hub: PresenceHub
  readonly timers: SimTimers
  readonly writer: string
  readonly core: Uint8Array
  readonly writers: WriterList
  readonly keys: SimKeys
  readonly refused: string[]
}

/** One end of a connection: what it is asked to send arrives at the other. */
export interface SimEnd extends PresencePeer {
  /** While true, nothing more is taken after the message that is being sent. */
  isFull: boolean
  readonly sent: Uint8Array[]
}

export class PresenceNet {
  readonly devices: SimDevice[] = []
  readonly #queue: (() => void)[] = []

  /** @param writers whom it knows besides those that are there already */
  add(name: string, { now = 1000, knows = true, keys = new SimKeys(EPOCH) } = {}): SimDevice {
    const signer = signerOf(name)
    const timers = new SimTimers()
    const cores = knows ? this.devices.map(({ core }) => core) : []
    const writers = new WriterList([signer.core, ...cores])
    const refused: string[] = []
    const hub = new PresenceHub({
      membershipKey: MEMBERSHIP_KEY,
      keys,
      address: ADDRESS,
      signer,
      core: signer.core,
      writers,
      timers,
      now: () => now,
      ahead: { hear: () => null, lose: () => {} },
      onrefused: (_, reason) => refused.push(reason)
    })
    const writer = z32.encode(signer.core)
    const device = { hub, timers, writer, core: signer.core, writers, keys, refused }
    if (knows) for (const other of this.devices) other.writers.add(signer.core)
    this.devices.push(device)
    return device
  }

  /** @returns how to cut it, and the two ends */
  connect(a: SimDevice, b: SimDevice) {
    let isCut = false
    const queue = this.#queue
    const end = (to: SimDevice, other: () => SimEnd): SimEnd => ({
      remoteKey: to.core,
      isFull: false,
      sent: [],
      sendPresence(bytes) {
        this.sent.push(bytes)
        this.sent.splice(0, this.sent.length - 1000)
        queue.push(() => {
          if (!isCut) to.hub.receive(other(), bytes)
        })
        return !this.isFull
      }
    })
    const endA: SimEnd = end(b, () => endB)
    const endB: SimEnd = end(a, () => endA)
    a.hub.add(endA)
    b.hub.add(endB)
    const cut = () => {
      isCut = true
      a.hub.remove(endA)
      b.hub.remove(endB)
    }
    return { cut, a: endA, b: endB }
  }

  /** A member that speaks by hand. */
  stranger(to: SimDevice, name = 'stranger') {
    const sent: Uint8Array[] = []
    const peer: PresencePeer = {
      remoteKey: signerOf(name).core,
      sendPresence: (bytes) => sent.push(bytes) > 0
    }
    to.hub.add(peer)
    return {
      sent,
      tell: (bytes: Uint8Array) => {
        to.hub.receive(peer, bytes)
        this.settle()
      },
      leave: () => to.hub.remove(peer)
    }
  }

  /** Delivers everything under way. @returns how many messages that were */
  settle(): number {
    let count = 0
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      next()
      count += 1
    }
    return count
  }

  /** Lets time pass, for some devices or for all. @returns how many messages were delivered */
  pass(ms: number, devices: readonly SimDevice[] = this.devices): number {
    let count = this.settle()
    const ends = devices.map(({ timers }) => timers.elapsed() + ms)
    for (let passed = 0; passed < ms; passed += 10) {
      devices.forEach(({ timers }, i) => {
        const until = Math.min(ends[i] ?? 0, timers.elapsed() + 10)
        while (timers.step(until)) count += this.settle()
      })
      count += this.settle()
    }
    return count
  }
}
