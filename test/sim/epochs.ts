/**
 * Random histories of keys: devices that are let in and removed, hear of each other's logs one by one, write, mint and pass keys on. The
 * oracle knows what every device could make out of all that was ever written, counting or not.
 */
import * as assert from 'uvu/assert'
import {
  epochId,
  Keyring,
  mayAct,
  resolveMembership,
  type AclLog,
  type EpochCrypto,
  type Head,
  type Key,
  type Membership,
  type Role
} from '../../acl/index.ts'
import { naiveEpochs } from '../oracle/epochs.ts'
import { author, founder, OPTIONS, shortHash, type Author } from '../support/acl.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin']
const ROLES: readonly Role[] = ['admin', 'admin', 'writer', 'writer', 'reader', 'mirror']

const toBytes = (text: string): Uint8Array => Buffer.from(text)
const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** Boxes are sentences: whoever may not open one does not read it. */
function cryptoOf(device: Key, newKey: () => string): EpochCrypto {
  return {
    newKey: () => toBytes(newKey()),
    hashOf: (key) => shortHash(toText(key)),
    seal: (key, to) => toBytes(`${toText(key)} to ${to}`),
    open: (box) => opened(box, ` to ${device}`),
    wrap: (key, under) => toBytes(`${toText(key)} under ${toText(under)}`),
    unwrap: (box, under) => opened(box, ` under ${toText(under)}`)
  }
}

function opened(box: Uint8Array, ending: string): Uint8Array | null {
  const text = toText(box)
  return text.endsWith(ending) ? toBytes(text.slice(0, -ending.length)) : null
}

function placesOf(logs: readonly AclLog[]): ReadonlySet<string> {
  return new Set(logs.flatMap(({ core, records }) => records.map((_, index) => `${core} ${index}`)))
}

/** Places of the records that remove somebody, counting or not. */
function removalsOf(
  { author: { identity, core: own } }: Device,
  logs: readonly AclLog[]
): readonly string[] {
  return logs.flatMap(({ core, records }) =>
    records.flatMap(({ record }, index) => {
      if (typeof record === 'string') return []
      const isRevoked = record.kind === 'revoke' && record.identity === identity
      const isLeft = record.kind === 'leave' && core === own
      return isRevoked || isLeft ? `${core} ${index}` : []
    })
  )
}

/** Something that was written. */
interface Item {
  readonly epoch: Key
  /** Who was out, as its writer knew. */
  readonly out: readonly Key[]
  /** All that its writer held. */
  readonly held: readonly AclLog[]
}

/** Whom a grant lets in, and its log up to it. */
interface Given {
  readonly device: Device
  readonly head: Head
}

class Device {
  readonly author: Author
  readonly ring: Keyring

  constructor(of: Author, newKey: () => string) {
    this.author = of
    this.ring = new Keyring(of.device, cryptoOf(of.device, newKey))
  }

  get device(): Key {
    return this.author.device
  }
}

class Play {
  readonly devices: readonly Device[]
  readonly items: Item[] = []
  /** Who of them does what nobody should. */
  readonly hostile: Device | null
  readonly #random: SeededRandom
  readonly #given: Given[] = []
  #keys = 0

  constructor(seed: number, isHostile: boolean) {
    this.#random = seededRandom(seed)
    const newKey = () => `key ${this.#keys++}`
    const authors = [founder(), ...NAMES.slice(1).map((name) => author(name))]
    this.devices = authors.map((each) => new Device(each, newKey))
    this.hostile = isHostile ? this.#pick(this.devices.slice(1)) : null
    const [first] = this.devices
    if (first !== undefined) this.#mint(first)
  }

  run(): void {
    const steps = 10 + this.#random.below(50)
    for (let i = 0; i < steps; i++) this.#step()
  }

  /** All that was ever written. */
  logs(): readonly AclLog[] {
    return this.devices.flatMap(({ author: { length, log } }) => (length > 0 ? log : []))
  }

  /** What a device holds. */
  heldBy({ author: one }: Device): readonly AclLog[] {
    return this.devices.flatMap(({ author: { core, log } }) => {
      const length = core === one.core ? log.records.length : (one.seen.get(core)?.length ?? 0)
      return length === 0 ? [] : { core, records: log.records.slice(0, length) }
    })
  }

  viewOf(device: Device): Membership {
    return resolveMembership(this.heldBy(device), OPTIONS)
  }

  #pick<T>(list: readonly T[]): T {
    const chosen = list[this.#random.below(list.length)]
    if (chosen === undefined) throw new Error('Nothing to choose from')
    return chosen
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent
  }

  #step(): void {
    const one = this.#pick(this.devices)
    for (let i = this.#random.below(4); i > 0; i--) this.#hears(one, this.#pick(this.devices))
    if (this.#chance(10)) for (const other of this.devices) this.#hears(one, other)
    if (one === this.hostile && this.#chance(50)) return this.#harm(one)
    const act = this.#random.below(100)
    if (act < 22) this.#grant(one, this.#pick(this.devices))
    else if (act < 38) this.#revoke(one, this.#pick(this.devices))
    else if (act < 41) this.#leave(one)
    else if (act < 80) this.#write(one)
    else this.#heal(one)
  }

  /** One log, as its author or somebody else has it. */
  #hears({ author: one }: Device, { author: other }: Device): void {
    if (other === one || other.length === 0) return
    one.learn(other.head(this.#chance(80) ? other.length : 1 + this.#random.below(other.length)))
  }

  #grant(one: Device, other: Device): void {
    const [role, { identity }] = [this.#pick(ROLES), other.author]
    const view = this.viewOf(one)
    if (other === one || !mayAct(view, one.author.identity, { kind: 'grant', identity, role }).ok)
      return
    // Who was removed comes back under a fresh log, and in this play has none.
    if (view.members.get(identity)?.role === null) return
    this.#given.push({ device: other, head: one.author.grants(other.author, role) })
    this.#heal(one)
  }

  #revoke(one: Device, other: Device): void {
    const { identity } = other.author
    if (!mayAct(this.viewOf(one), one.author.identity, { kind: 'revoke', identity }).ok) return
    one.author.revokes(identity, [other.author])
    this.#mint(one)
  }

  #leave(one: Device): void {
    if (!mayAct(this.viewOf(one), one.author.identity, { kind: 'leave' }).ok) return
    one.author.write({ kind: 'leave', cuts: one.author.cut(one.author) })
  }

  #isWriter(one: Device, view: Membership): boolean {
    const standing = view.cores.get(one.author.core)
    return standing?.length === Infinity && !['reader', 'mirror'].includes(standing.role)
  }

  #mint(one: Device): void {
    const view = this.viewOf(one)
    if (!this.#isWriter(one, view)) return
    one.ring.learn(view.epochs)
    const { key, draft } = one.ring.mint(view.epochs, view.epochs.readers)
    one.author.write(draft)
    one.ring.add(key)
  }

  #heal(one: Device): void {
    const view = this.viewOf(one)
    const readers = view.epochs.readers
    if (!readers.includes(one.device)) return
    // Records come while one learns: more is looked at than was learned from.
    one.ring.isLacking(view.epochs, readers)
    one.ring.learn(view.epochs)
    const drafts = [
      ...one.ring.heal(view.epochs, readers),
      ...one.ring.asks(view.epochs, this.#written)
    ]
    for (const draft of drafts) one.author.write(draft)
  }

  /** Ids of epochs that stand in front of what was written. */
  get #written(): ReadonlySet<string> {
    return new Set(this.items.map(({ epoch }) => epochId(epoch)))
  }

  #write(one: Device): void {
    let view = this.viewOf(one)
    if (!this.#isWriter(one, view)) return
    one.ring.learn(view.epochs)
    if (one.ring.current(view.epochs) === null) this.#mint(one)
    view = this.viewOf(one)
    const current = one.ring.current(view.epochs)
    // Who names what nobody holds keeps itself from writing.
    if (current === null && one === this.hostile) return
    assert.ok(current, 'a writer that minted has nothing to write under')
    const known = [...view.members.values()].flatMap(({ devices }) => devices)
    const out = known.flatMap(({ device, role }) => (role === null ? device : []))
    const item = { epoch: current.epoch, out, held: this.heldBy(one) }
    this.items.push(item)
    this.checkKept(item)
  }

  /** All that a device can make of everything that was ever written, counting or not. */
  reach({ ring, device }: Device): ReadonlySet<Key> {
    const crypto = cryptoOf(device, () => '')
    const keys = new Map<Key, Uint8Array>(ring.keys())
    const take = (key: Uint8Array | null) => key !== null && keys.set(crypto.hashOf(key), key)
    const records = this.logs().flatMap((log) => log.records.map(({ record }) => record))
    for (let before = -1; before < keys.size;) {
      before = keys.size
      for (const record of records) {
        if (typeof record === 'string' || (record.kind !== 'epoch' && record.kind !== 'share'))
          continue
        for (const { box } of record.shares) take(crypto.open(box))
        if (record.kind === 'share') continue
        for (const { box } of record.parents)
          for (const key of keys.values()) take(crypto.unwrap(box, key))
      }
    }
    return new Set(keys.keys())
  }

  /** Nobody whom its writer knew to be out can read an item; but for who is in all the same. */
  checkKept(item: Item): void {
    for (const device of this.devices) {
      if (!item.out.includes(device.device) || !this.reach(device).has(item.epoch)) continue
      assert.ok(this.#isInAllTheSame(device, item), `${device.device} reads ${item.epoch}`)
    }
  }

  /**
   * Because whoever ranks above made void all removals that the writer had heard of; or by a grant that the writer had not heard of, whichever
   * was first by the clock, and whose author had heard of all those removals: one from beside a removal lets nobody in.
   */
  #isInAllTheSame(one: Device, { held }: Item): boolean {
    const removals = this.#counting(removalsOf(one, held))
    if (removals.length === 0) return true
    const known = placesOf(held)
    return this.#given.some(({ device, head }) => {
      if (device !== one || known.has(`${head.core} ${head.length - 1}`)) return false
      const seen = this.#pastOf(head)
      return removals.every((removal) => seen.has(removal))
    })
  }

  /** Places of what stands in a log up to here, and in all that it names. */
  #pastOf({ core, length }: Head, found = new Set<string>()): ReadonlySet<string> {
    const records = this.logs().find((log) => log.core === core)?.records ?? []
    records.slice(0, length).forEach(({ record }, index) => {
      const place = `${core} ${index}`
      if (typeof record === 'string' || found.has(place)) return
      found.add(place)
      for (const head of record.heads) this.#pastOf(head, found)
    })
    return found
  }

  /** Of these places those of records that count for who has all. */
  #counting(places: readonly string[]): readonly string[] {
    const { refused } = resolveMembership(this.logs(), OPTIONS)
    const isVoid = new Set(refused.map(({ core, index }) => `${core} ${index}`))
    return places.filter((place) => !isVoid.has(place))
  }

  // What nobody should.

  #harm(one: Device): void {
    const view = this.viewOf(one)
    one.ring.learn(view.epochs)
    const known = [...view.epochs.all.keys()]
    const held = [...one.ring.keys()]
    const act = this.#random.below(9)
    const box = toBytes('nothing')
    const secret = `secret ${this.#keys++}`
    const epoch = shortHash(secret)
    if (act === 0) one.author.write({ kind: 'epoch', epoch, parents: [], shares: [] })
    else if (act === 1 && known.length > 0)
      // Somebody's epoch as one's own, with a circle in it.
      one.author.write({
        kind: 'epoch',
        epoch: this.#pick(known),
        parents: known.map((each) => ({ epoch: each, box })),
        shares: []
      })
    else if (act === 2 && held.length > 0) {
      const [named, key] = this.#pick(held)
      const shares = [{ device: 'stranger', box: toBytes(`${toText(key)} to stranger`) }]
      one.author.write({ kind: 'share', epoch: named, shares })
    } else if (act === 3)
      one.author.write({ kind: 'share', epoch, shares: [{ device: one.device, box }] })
    else if (act === 4) {
      const shares = this.devices.map(({ device }) => ({ device, box }))
      one.author.write({
        kind: 'epoch',
        epoch,
        parents: [{ epoch: 'none', box }, ...known.map((each) => ({ epoch: each, box }))],
        shares
      })
    } else if (act === 5)
      one.author.write({ kind: 'epoch', epoch, parents: [], shares: [] }, [
        { core: 'nobody/1/acl', length: 3, treeHash: 'none' }
      ])
    else if (act < 8) this.#withhold(one, view)
    else this.#mint(one)
    one.ring.add(toBytes(secret))
  }

  /** A new key with a box for everybody, of which one does not open. */
  #withhold(one: Device, { epochs }: Membership): void {
    const { key, draft } = one.ring.mint(epochs, epochs.readers)
    const victim = this.#pick(this.devices).device
    const shares = draft.shares.map((share) =>
      share.device === victim ? { ...share, box: toBytes('nothing') } : share
    )
    one.author.write({ ...draft, shares })
    one.ring.add(key)
  }

  // The end.

  /** Everybody hears everything, and passes on what others lack; once more where that is news. */
  settle(): void {
    for (let round = 0; round < 6; round++) {
      for (const one of this.devices)
        for (const { author: other } of this.devices)
          if (other !== one.author && other.length > 0) one.author.learn(other.head())
      for (const one of this.devices) this.#heal(one)
    }
  }
}

type Law = (seed: number) => void

function played(seed: number, isHostile = seed % 3 === 0): Play {
  const play = new Play(seed, isHostile)
  play.run()
  return play
}

export const keepsOut: Law = (seed) => {
  const play = played(seed)
  play.settle()
  for (const item of play.items) play.checkKept(item)
}

/** What one honest member reads, all read: whatever a minter withheld, and whatever was written under keys whose records do not count. */
export const leavesNobodyBehind: Law = (seed) => {
  const play = played(seed)
  play.settle()
  const [first] = play.devices
  if (first === undefined) return
  const view = play.viewOf(first)
  const readers = new Set(view.epochs.readers)
  const inside = play.devices.filter(({ device }) => readers.has(device))
  // Who says to have what it has not is helped by nobody, and what it gives nobody is read by nobody.
  const honest = inside.filter((each) => each !== play.hostile)
  for (const each of inside) each.ring.learn(view.epochs)
  for (const epoch of new Set(play.items.map((item) => item.epoch))) {
    if (honest.every(({ ring }) => ring.get(epoch) === null)) continue
    const without = honest.filter(({ ring }) => ring.get(epoch) === null)
    assert.equal(
      without.map(({ device }) => device),
      [],
      `not all can read ${epoch}`
    )
  }
  const chosen = new Set(honest.map(({ ring }) => ring.current(view.epochs)?.epoch))
  assert.ok(chosen.size <= 1, 'they write under different keys')
}

const told = ({ epochs }: Membership) =>
  [...epochs.all.values()].map(({ epoch, generation, rank, unusable }) => ({
    epoch,
    generation,
    rank,
    isUsable: unusable === null
  }))

export const dependsOnTheSet: Law = (seed) => {
  const play = played(seed)
  const random = seededRandom(seed)
  for (const device of play.devices) {
    const held = play.heldBy(device)
    const view = resolveMembership(held, OPTIONS)
    assert.equal(told(resolveMembership(shuffled(held, random), OPTIONS)), told(view))
    assert.equal(told(view), naiveEpochs(held, view))
  }
}
