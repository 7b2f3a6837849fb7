/**
 * Who is there: what each of the other devices said last, and whether it still holds. Pure: time and connections come in as
 * arguments.
 *
 * Messages are passed on by everybody to everybody once, so one message comes over several connections, and an older one may
 * come after a newer. Per device and topic only a rising `seq` counts. A device is shown while three things hold: it has not
 * said that it leaves, it said something new within the last 30 s, and a connection over which it was heard is there. What is
 * not shown is kept a while all the same: as long as its numbers are known, what was recorded of it cannot be played again.
 *
 * What a message says may be sealed under a key that is not here. It is kept and passed on all the same, and shown when the key comes.
 */
import b4a from 'b4a'
import z32 from 'z32'
import { decodeValue } from '../../crdt/index.ts'
import type { PresenceRefusalReason } from './counts.ts'
import { MAX_OVERHEAD_BYTES, type Content, type Message, type Unreadable } from './message.ts'
import type { Outbox, Slot, SlotSource } from './outbox.ts'
import { TokenBucket, type Allowance } from './token-bucket.ts'

/** A device that has anything to say says so at least this often. */
export const HEARTBEAT_MS = 10_000

/** Two heartbeats may be lost on the way. */
const SILENCE_MS = 3 * HEARTBEAT_MS

/** One of several connections is gone: the others may lead to each other only. One heartbeat, and something for the way, tells. */
const DOUBT_MS = HEARTBEAT_MS + 2000

/** What one device may say at once to a newcomer, and be kept saying. */
export const MAX_TOPICS = 64
export const MAX_DEVICE_BYTES = 128 * 1024

/** What it takes to keep that. */
const MAX_KEPT_BYTES = MAX_DEVICE_BYTES + MAX_TOPICS * MAX_OVERHEAD_BYTES

/** With what each may say, 36 MiB. */
const MAX_DEVICES = 256

/** Twice what a device says by itself; all its topics at once and some more. */
const DEVICE_ALLOWANCE: Allowance = { burst: 2 * MAX_TOPICS, perSecond: 40 }

/** A change of what is shown in a topic. */
export type Shown = 'added' | 'updated' | 'removed'

/** What hearing a message came to. */
export type Heard =
  | { readonly type: 'new'; readonly passOn: readonly SlotSource[] }
  /** Of a device that was away, all that it says: somebody may have come meanwhile. */
  | { readonly type: 'known'; readonly passOn: readonly SlotSource[] }
  /** Of an earlier session of the device; `newest` would tell it so. */
  | { readonly type: 'replayed'; readonly newest: SlotSource }
  | { readonly type: 'refused'; readonly reason: PresenceRefusalReason }

/** What was heard last in a slot. */
interface Kept extends Slot {
  /** Null where it could not be read here, and for heartbeats. */
  readonly content: Content | null
}

interface Source {
  current: Kept | null
}

/** What nobody can read says nothing, and needs no key. */
const NOTHING: Content = { topic: '', payload: null }

/** One other device. */
interface Device {
  readonly core: Uint8Array
  readonly writer: string
  readonly bucket: TokenBucket
  /** By the numbers that the device gave to its topics. */
  readonly topics: Map<number, Source>
  /** That it is alive, or leaves. */
  readonly pulse: Source
  /** The connections over which it was heard. */
  readonly paths: Set<Outbox>
  session: Uint8Array
  /** The greatest number heard, and where it stands. */
  seq: number
  newest: Source
  /** What is not known above is nothing new up to here. */
  floor: number
  hasLeft: boolean
  deadline: number
  /** Topic to payload, as it was last told. */
  shown: ReadonlyMap<string, Uint8Array>
}

export class Roster {
  readonly #devices = new Map<string, Device>()
  readonly #onchange: (topic: string, writer: string, shown: Shown) => void
  #evicted = 0

  constructor(onchange: (topic: string, writer: string, shown: Shown) => void) {
    this.#onchange = onchange
  }

  /** Devices and topics that were dropped to bound memory. */
  get evicted(): number {
    return this.#evicted
  }

  /** States that are kept and passed on, and cannot be read here. */
  get sealed(): number {
    return [...this.#devices.values()].reduce((sum, device) => sum + sealedOf(device).length, 0)
  }

  /** Devices shown now. */
  get size(): number {
    return [...this.#devices.values()].filter(({ shown }) => shown.size > 0).length
  }

  /** By writer, what is shown in a topic. */
  *states(topic: string): IterableIterator<[string, Uint8Array]> {
    for (const { writer, shown } of this.#devices.values()) {
      const payload = shown.get(topic)
      if (payload !== undefined) yield [writer, payload]
    }
  }

  /** What to tell somebody who asks: of whom it was not itself that we heard it from. */
  *sources(path: Outbox, elapsed: number): IterableIterator<SlotSource> {
    for (const device of this.#devices.values()) {
      if (!isThere(device, elapsed) || device.paths.has(path)) continue
      yield* device.topics.values()
      yield device.pulse
    }
  }

  hear(path: Outbox, message: Message, box: Uint8Array, elapsed: number): Heard {
    const writer = z32.encode(message.core)
    const device = this.#devices.get(writer)
    if (device === undefined) return this.#hearNew(path, message, box, elapsed)
    const order = b4a.compare(message.session, device.session)
    if (order < 0) return { type: 'replayed', newest: device.newest }
    if (order === 0 && isOld(device, message))
      return this.#hearAgain(device, path, message, box, elapsed)
    const content = believed(message, device.bucket, elapsed)
    return typeof content === 'string'
      ? { type: 'refused', reason: content }
      : this.#take(device, path, message, content, box, elapsed)
  }

  /**
   * There are other keys: what was sealed may be read now.
   * @returns writers of what does not read
   */
  reopen(open: (box: Uint8Array) => Message | Unreadable, elapsed: number): readonly string[] {
    const malformed: string[] = []
    for (const device of this.#devices.values()) {
      for (const [source, kept] of sealedOf(device)) {
        const message = open(kept.box)
        const content = typeof message === 'string' ? 'malformed' : contentOf(message)
        if (content === 'malformed') malformed.push(device.writer)
        source.current = { ...kept, content: content === 'malformed' ? NOTHING : content }
      }
      this.#show(device, elapsed)
    }
    return malformed
  }

  /** A connection is gone. */
  drop(path: Outbox, elapsed: number): readonly Uint8Array[] {
    return [...this.#devices.values()].flatMap((device) =>
      this.#dropPath(device, path, elapsed) ? [device.core] : []
    )
  }

  /** A peer hears a device no more. @returns whether nobody here hears it now */
  lose(path: Outbox, core: Uint8Array, elapsed: number): boolean {
    const device = this.#devices.get(z32.encode(core))
    return device !== undefined && this.#dropPath(device, path, elapsed)
  }

  /** Forgets whoever does not count any more. */
  keep(isWriter: (core: Uint8Array) => boolean): void {
    for (const device of this.#devices.values()) {
      if (!isWriter(device.core)) this.#forget(device)
    }
  }

  /** Shows no more what has not been heard of for too long. @returns when to call again, or null */
  sweep(elapsed: number): number | null {
    let next: number | null = null
    for (const device of this.#devices.values()) {
      this.#show(device, elapsed)
      if (isThere(device, elapsed)) next = Math.min(next ?? Infinity, device.deadline)
    }
    return next
  }

  clear(): void {
    for (const device of this.#devices.values()) this.#forget(device)
  }

  #hearAgain(
    device: Device,
    path: Outbox,
    message: Message,
    box: Uint8Array,
    elapsed: number
  ): Heard {
    // The very bytes whose signature was checked: so it is heard over this connection too.
    const isSame = b4a.equals(sourceOf(device, message)?.current?.box ?? EMPTY, box)
    if (!isSame) return { type: 'known', passOn: [] }
    const wasThere = isThere(device, elapsed)
    device.paths.add(path)
    this.#show(device, elapsed)
    const isBack = !wasThere && isThere(device, elapsed)
    return { type: 'known', passOn: isBack ? allOf(device) : [] }
  }

  #hearNew(path: Outbox, message: Message, box: Uint8Array, elapsed: number): Heard {
    const bucket = new TokenBucket(DEVICE_ALLOWANCE, elapsed)
    const content = believed(message, bucket, elapsed)
    if (typeof content === 'string') return { type: 'refused', reason: content }
    const { core, session } = message
    const writer = z32.encode(core)
    const pulse: Source = { current: null }
    const device: Device = {
      core,
      writer,
      bucket,
      topics: new Map(),
      pulse,
      paths: new Set(),
      session,
      seq: -1,
      newest: pulse,
      floor: -1,
      hasLeft: false,
      deadline: 0,
      shown: new Map()
    }
    this.#makeRoom(elapsed)
    this.#devices.set(writer, device)
    return this.#take(device, path, message, content, box, elapsed)
  }

  /** The message is new, and true. */
  #take(
    device: Device,
    path: Outbox,
    message: Message,
    content: Content | null,
    box: Uint8Array,
    elapsed: number
  ): Heard {
    const wasThere = isThere(device, elapsed)
    if (!b4a.equals(message.session, device.session)) begin(device, message.session)
    const source = sourceOf(device, message) ?? addTopic(device, message)
    source.current = { box: b4a.from(box), seq: message.seq, content }
    if (message.seq > device.seq) {
      device.seq = message.seq
      device.newest = source
      device.deadline = elapsed + SILENCE_MS
      device.hasLeft = message.saying.kind === 'leave'
    }
    if (message.saying.kind === 'leave') forgetTopics(device, message.seq)
    device.paths.add(path)
    this.#evictTopics(device)
    this.#show(device, elapsed)
    return { type: 'new', passOn: wasThere || device.hasLeft ? [source] : allOf(device) }
  }

  /** @returns whether that was the last */
  #dropPath(device: Device, path: Outbox, elapsed: number): boolean {
    if (!device.paths.delete(path)) return false
    device.deadline = Math.min(device.deadline, elapsed + DOUBT_MS)
    this.#show(device, elapsed)
    return device.paths.size === 0
  }

  /** Tells what changed since it was told last. */
  #show(device: Device, elapsed: number): void {
    const before = device.shown
    device.shown = isThere(device, elapsed) ? payloadsOf(device) : new Map<string, Uint8Array>()
    const { writer, shown } = device
    for (const topic of before.keys()) {
      if (!shown.has(topic)) this.#onchange(topic, writer, 'removed')
    }
    for (const [topic, payload] of shown) {
      const old = before.get(topic)
      if (old === payload) continue
      this.#onchange(topic, writer, old === undefined ? 'added' : 'updated')
    }
  }

  /** What is known to be withdrawn goes first, then what was said longest ago. */
  #evictTopics(device: Device): void {
    const { topics } = device
    while (topics.size > MAX_TOPICS || bytesOf(device) > MAX_KEPT_BYTES) {
      const [slot, source] = [...topics].reduce((a, b) => (isLesser(b[1], a[1]) ? b : a))
      device.floor = Math.max(device.floor, source.current?.seq ?? -1)
      source.current = null
      topics.delete(slot)
      this.#evicted += 1
    }
  }

  /** Whoever is not shown goes first, then whoever was heard longest ago. */
  #makeRoom(elapsed: number): void {
    if (this.#devices.size < MAX_DEVICES) return
    const rank = (device: Device) =>
      isThere(device, elapsed) ? device.deadline : device.deadline - MAX_RANK
    const all = [...this.#devices.values()]
    this.#forget(all.reduce((a, b) => (rank(b) < rank(a) ? b : a)))
    this.#evicted += 1
  }

  #forget(device: Device): void {
    this.#devices.delete(device.writer)
    forgetTopics(device, device.seq)
    device.pulse.current = null
    device.hasLeft = true
    this.#show(device, 0)
  }
}

const EMPTY = new Uint8Array()
const MAX_RANK = Number.MAX_SAFE_INTEGER

/** What it says, or why not to believe it; what is not true costs its alleged author nothing of its allowance. */
function believed(
  message: Message,
  bucket: TokenBucket,
  elapsed: number
): Content | PresenceRefusalReason | null {
  if (!message.isTrue()) return 'forged'
  if (!bucket.take(elapsed)) return 'flood'
  return contentOf(message)
}

function contentOf(message: Message): Content | 'malformed' | null {
  const content = message.read()
  if (content === null || content === 'malformed' || content.payload === null) return content
  return isValue(content.payload) ? content : 'malformed'
}

function isValue(payload: Uint8Array): boolean {
  try {
    return decodeValue(payload) !== null // nothing is said by no payload
  } catch {
    return false // what it says of malformed bytes
  }
}

function isThere({ hasLeft, paths, deadline }: Device, elapsed: number): boolean {
  return !hasLeft && paths.size > 0 && elapsed < deadline
}

function isOld(device: Device, message: Message): boolean {
  const known = sourceOf(device, message)?.current?.seq ?? -1
  return message.seq <= Math.max(known, device.floor)
}

function sourceOf(device: Device, { saying }: Message): Source | undefined {
  return saying.kind === 'state' ? device.topics.get(saying.slot) : device.pulse
}

function addTopic(device: Device, { saying }: Message): Source {
  const source: Source = { current: null }
  if (saying.kind === 'state') device.topics.set(saying.slot, source)
  return source
}

/** A later start of the device: it knows nothing of what it said before. */
function begin(device: Device, session: Uint8Array): void {
  forgetTopics(device, -1)
  device.pulse.current = null
  device.session = session
  device.seq = -1
}

function forgetTopics(device: Device, floor: number): void {
  for (const source of device.topics.values()) source.current = null
  device.topics.clear()
  device.floor = floor
}

/** One topic may have had several numbers: what was said last counts. */
function payloadsOf(device: Device): Map<string, Uint8Array> {
  const payloads = new Map<string, Uint8Array>()
  const seqs = new Map<string, number>()
  for (const { current } of device.topics.values()) {
    if (current === null || current.content === null) continue
    const { topic, payload } = current.content
    if (current.seq < (seqs.get(topic) ?? -1)) continue
    seqs.set(topic, current.seq)
    if (payload === null) payloads.delete(topic)
    else payloads.set(topic, payload)
  }
  return payloads
}

function allOf(device: Device): readonly SlotSource[] {
  return [...device.topics.values(), device.pulse]
}

function sealedOf(device: Device): readonly (readonly [Source, Kept])[] {
  return [...device.topics.values()].flatMap((source) =>
    source.current?.content === null ? [[source, source.current] as const] : []
  )
}

function bytesOf({ topics }: Device): number {
  let bytes = 0
  for (const { current } of topics.values()) bytes += current?.box.byteLength ?? 0
  return bytes
}

function isLesser(a: Source, b: Source): boolean {
  const isGone = ({ current }: Source) =>
    current === null || (current.content !== null && current.content.payload === null)
  if (isGone(a) !== isGone(b)) return isGone(a)
  return (a.current?.seq ?? -1) < (b.current?.seq ?? -1)
}
