/**
 * The keys of epochs that one device has: those sealed to it, those wrapped under one that it has, and those that it was given otherwise
 * (with a ticket). A key counts for the epoch whose hash it has and for no other, so a hostile minter can withhold a key and
 * cannot make two devices take different ones for the same. Cryptography comes in as an argument.
 */
import { askFor } from './epoch-asking.ts'
import { epochId, type Epoch, type Epochs, type VoidEpoch } from './epochs.ts'
import type { EpochRecord, Key, KeyShare, ShareRecord, WrappedKey } from './records.ts'

export interface EpochCrypto {
  newKey(): Uint8Array
  hashOf(key: Uint8Array): Key
  /** Null for what is no device's key. */
  seal(key: Uint8Array, device: Key): Uint8Array | null
  /** Null for what was not sealed to this device. */
  open(box: Uint8Array): Uint8Array | null
  wrap(key: Uint8Array, under: Uint8Array): Uint8Array
  unwrap(box: Uint8Array, under: Uint8Array): Uint8Array | null
}

/** A share or a link that gives no key of its epoch to a device that it should give one. */
export interface BadKey {
  readonly epoch: Key
  readonly why: 'share' | 'parent'
  /** As it stands in the record. */
  readonly box: Uint8Array
}

export type EpochDraft = Omit<EpochRecord, 'heads'>
export type ShareDraft = Omit<ShareRecord, 'heads'>

export interface Minted {
  readonly key: Uint8Array
  readonly draft: EpochDraft
}

interface Need {
  readonly epoch: Key
  readonly key: Uint8Array
  readonly devices: readonly Key[]
}

/** More than 8,192 devices get their shares by further records: one has room for 1 MiB. */
const MAX_SHARES = 8192

export class Keyring {
  /** What was refused. The list grows. */
  readonly bad: BadKey[] = []
  readonly #device: Key
  readonly #crypto: EpochCrypto
  readonly #keys = new Map<Key, Uint8Array>()
  /** Boxes that were opened for what is in them. */
  readonly #tried = new WeakSet<KeyShare | WrappedKey>()
  /** Whether a link holds, once its holder's key was here to see: some are looked at before anything is taken from them. */
  readonly #links = new WeakMap<WrappedKey, boolean>()

  constructor(device: Key, crypto: EpochCrypto, keys: Iterable<Uint8Array> = []) {
    this.#device = device
    this.#crypto = crypto
    for (const key of keys) this.add(key)
  }

  add(key: Uint8Array): void {
    this.#keys.set(this.#crypto.hashOf(key), key)
  }

  get(epoch: Key): Uint8Array | null {
    return this.#keys.get(epoch) ?? null
  }

  /** By hash, in the order in which they came. */
  keys(): ReadonlyMap<Key, Uint8Array> {
    return this.#keys
  }

  /** Takes what these give to this device. @returns whether that was anything new */
  learn({ all, void: others }: Epochs): boolean {
    const before = this.#keys.size
    const giving = [...all.values(), ...others.values()]
    for (const each of giving) this.#openShares(each)
    for (let found = -1; found < this.#keys.size;) {
      found = this.#keys.size
      for (const each of giving) this.#unwrap(each)
    }
    return this.#keys.size > before
  }

  #openShares({ epoch, shares }: VoidEpoch): void {
    for (const share of shares) {
      if (share.device !== this.#device || this.#keys.has(epoch) || this.#tried.has(share)) continue
      this.#tried.add(share)
      this.#take({ epoch, box: share.box, why: 'share' }, this.#crypto.open(share.box))
    }
  }

  #unwrap({ epoch, wrapped }: VoidEpoch): void {
    const key = this.#keys.get(epoch)
    if (key === undefined) return
    for (const link of wrapped) {
      if (this.#keys.has(link.epoch) || this.#tried.has(link)) continue
      this.#tried.add(link)
      const parent = this.#crypto.unwrap(link.box, key)
      this.#links.set(link, this.#take({ ...link, why: 'parent' }, parent))
    }
  }

  #take(from: BadKey, key: Uint8Array | null): boolean {
    const isGood = key !== null && this.#crypto.hashOf(key) === from.epoch
    if (isGood) this.#keys.set(from.epoch, key)
    else this.bad.push(from)
    return isGood
  }

  /** The epoch to write under; null where there is none that this device has. */
  current({ usable }: Epochs): Epoch | null {
    return usable.find(({ epoch }) => this.#keys.has(epoch)) ?? null
  }

  /**
   * A new epoch for these devices, with the keys of all before. What its minter may have kept from somebody that this device takes for a
   * reader is left out.
   */
  mint(epochs: Epochs, readers: Iterable<Key>, key = this.#crypto.newKey()): Minted {
    const parents = this.#tops(epochs).map(({ epoch, key: parent }) => ({
      epoch,
      box: this.#crypto.wrap(parent, key)
    }))
    const shares = this.#sharesOf(key, [...new Set([this.#device, ...readers])])
    return { key, draft: { kind: 'epoch', epoch: this.#crypto.hashOf(key), parents, shares } }
  }

  /** Whether this device has something to say by `heal`. */
  isLacking(epochs: Epochs, readers: readonly Key[]): boolean {
    const isNeeded = this.#needs(epochs, readers).some(({ devices }) => devices.length > 0)
    return isNeeded || this.#thanks(epochs).length > 0
  }

  /**
   * What those who may read lack, as far as this device has it and may pass it on; where they ask for it, also what records do not count for;
   * and that this device has got what it had asked for.
   */
  heal(epochs: Epochs, readers: readonly Key[]): readonly ShareDraft[] {
    const shared = this.#needs(epochs, readers).flatMap(({ epoch, key, devices }) => {
      const shares = this.#sharesOf(key, devices)
      return shares.length === 0 ? [] : { kind: 'share' as const, epoch, shares }
    })
    return [...shared, ...this.#thanks(epochs)]
  }

  /**
   * What others are to be asked for: keys of epochs that others write under, which a box was to give this device and did not; and those
   * of content that was met, where nobody gives them unasked.
   * @param met the ids of epochs that stand in front of blocks which this device is to read
   */
  asks(epochs: Epochs, met: ReadonlySet<string>): readonly ShareDraft[] {
    const { all, usable, void: others } = epochs
    const isLacked = ({ epoch, asking }: VoidEpoch) =>
      !this.#keys.has(epoch) && !asking.has(this.#device)
    const before = usable.findIndex(({ epoch }) => this.#keys.has(epoch))
    const preferred = new Set(before < 0 ? usable : usable.slice(0, before))
    const withheld = [...all.values()].filter(
      (each) =>
        (preferred.has(each) || met.has(epochId(each.epoch))) &&
        each.shares.some(({ device }) => device === this.#device)
    )
    const notGiven = [...others.values()].filter(
      ({ epoch }) => met.has(epochId(epoch)) && !all.has(epoch)
    )
    return [...withheld, ...notGiven]
      .filter(isLacked)
      .map(({ epoch }) => askFor(epoch, this.#device))
  }

  /** Epochs that this device has asked for, and has. */
  #thanks({ all, void: others }: Epochs): readonly ShareDraft[] {
    const asked = [...all.values(), ...others.values()].filter(
      ({ epoch, asking }) => asking.has(this.#device) && this.#keys.has(epoch)
    )
    return asked.map(({ epoch }) => ({ kind: 'share', epoch, shares: [] }))
  }

  #needs(epochs: Epochs, readers: readonly Key[]): readonly Need[] {
    const tops = new Map(this.#tops(epochs).map(({ epoch, holders }) => [epoch, holders]))
    return [...epochs.all.values(), ...epochs.void.values()].flatMap((each) => {
      const key = each.isWhole ? this.#keys.get(each.epoch) : undefined
      const holders = epochs.all.get(each.epoch) === each ? tops.get(each.epoch) : undefined
      if (key === undefined || (holders === undefined && each.asking.size === 0)) return []
      const isAsked = (device: Key) =>
        device !== this.#device && each.asking.get(device)?.has(this.#device) === false
      const devices = readers.filter((device) => holders?.has(device) === false || isAsked(device))
      return { epoch: each.epoch, key, devices }
    })
  }

  /** Those that no other gives. Without what may have been kept from somebody. */
  #tops({ all }: Epochs): readonly (Pick<Epoch, 'epoch' | 'holders'> & { key: Uint8Array })[] {
    const whole = [...all.values()].flatMap((epoch) => {
      const key = epoch.isWhole ? this.#keys.get(epoch.epoch) : undefined
      return key === undefined ? [] : { ...epoch, key }
    })
    const given = new Set(whole.flatMap((each) => this.#given(each)))
    return whole.filter(({ epoch }) => !given.has(epoch))
  }

  #given({ key, wrapped, parents }: Epoch & { readonly key: Uint8Array }): readonly Key[] {
    return wrapped.flatMap((link) =>
      parents.has(link.epoch) && this.#holds(link, key) ? link.epoch : []
    )
  }

  #holds(link: WrappedKey, key: Uint8Array): boolean {
    const known = this.#links.get(link)
    if (known !== undefined) return known
    const parent = this.#crypto.unwrap(link.box, key)
    const isGood = parent !== null && this.#crypto.hashOf(parent) === link.epoch
    this.#links.set(link, isGood)
    return isGood
  }

  #sharesOf(key: Uint8Array, devices: readonly Key[]): readonly KeyShare[] {
    return devices.slice(0, MAX_SHARES).flatMap((device) => {
      const box = this.#crypto.seal(key, device)
      return box === null ? [] : { device, box }
    })
  }
}
