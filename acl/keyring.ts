/**
 * The keys of epochs that one device has: those sealed to it, those wrapped under one that it has, and those that it was given otherwise
 * (with a ticket). A key counts for the epoch whose hash it has and for no other, so a hostile minter can withhold a key and
 * cannot make two devices take different ones for the same. Cryptography comes in as an argument.
 */
import type { Epoch, Epochs } from './epochs.ts'
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

type Giving = Pick<Epoch, 'epoch' | 'shares' | 'wrapped'>

function givenBy(record: EpochRecord | ShareRecord): Giving {
  const { epoch, shares } = record
  return { epoch, shares, wrapped: record.kind === 'epoch' ? record.parents : [] }
}

/** More than 8,192 devices get their shares by further records: one has room for 1 MiB. */
const MAX_SHARES = 8192

export class Keyring {
  /** What was refused. The list grows. */
  readonly bad: BadKey[] = []
  readonly #device: Key
  readonly #crypto: EpochCrypto
  readonly #keys = new Map<Key, Uint8Array>()
  readonly #tried = new WeakSet<KeyShare>()
  /** Whether a link holds, once its holder's key was here to see. */
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
    const giving = [...all.values(), ...others.map(givenBy)]
    for (const each of giving) this.#openShares(each)
    for (let found = -1; found < this.#keys.size;) {
      found = this.#keys.size
      for (const each of giving) this.#unwrap(each)
    }
    return this.#keys.size > before
  }

  #openShares({ epoch, shares }: Giving): void {
    for (const share of shares) {
      if (share.device !== this.#device || this.#keys.has(epoch) || this.#tried.has(share)) continue
      this.#tried.add(share)
      this.#take({ epoch, box: share.box, why: 'share' }, this.#crypto.open(share.box))
    }
  }

  #unwrap({ epoch, wrapped }: Giving): void {
    const key = this.#keys.get(epoch)
    if (key === undefined) return
    for (const link of wrapped) {
      if (this.#keys.has(link.epoch) || this.#links.has(link)) continue
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
  mint(epochs: Epochs, readers: Iterable<Key>): Minted {
    const key = this.#crypto.newKey()
    const parents = this.#tops(epochs).map(({ epoch, key: parent }) => ({
      epoch,
      box: this.#crypto.wrap(parent, key)
    }))
    const shares = this.#sharesOf(key, [...new Set([this.#device, ...readers])])
    return { key, draft: { kind: 'epoch', epoch: this.#crypto.hashOf(key), parents, shares } }
  }

  /** Whether anybody who may read lacks something that this device may pass on. */
  isLacking(epochs: Epochs, readers: readonly Key[]): boolean {
    return this.#tops(epochs).some(({ holders }) => readers.some((device) => !holders.has(device)))
  }

  /** What those who may read lack, as far as this device has it and may pass it on. */
  heal(epochs: Epochs, readers: readonly Key[]): readonly ShareDraft[] {
    return this.#tops(epochs).flatMap(({ epoch, key, holders }) => {
      const shares = this.#sharesOf(
        key,
        readers.filter((device) => !holders.has(device))
      )
      return shares.length === 0 ? [] : { kind: 'share' as const, epoch, shares }
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
