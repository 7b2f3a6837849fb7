/**
 * The keys that a space's content is encrypted under, as this device has them (docs/MEMBERSHIP.md, rule 13; which keys there are, and which
 * one serves, is decided in `acl/`). They come out of the membership logs, stand in the keystore before anything is done with them, and are
 * made anew: by whoever removes somebody, at once; by whoever is to write and has none that may be used; and when somebody goes on
 * under new logs. Members without one get it from whoever let them in, and else, after a while, from anybody who has it.
 *
 * A device that nobody has let in yet writes under the key of its ticket, or where that may not be used, under one of its own:
 * its record of it counts once the device is in.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import { epochId, Keyring, type BadKey, type Epochs, type Key } from '../../acl/index.ts'
import {
  blockKey,
  epochHash,
  type BlockKey,
  type BlockKeys,
  type DeviceStore
} from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { OwnLogs } from '../own-logs.ts'
import type { Timers } from '../timers.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf, keyOf } from './credentials.ts'
import { epochCrypto } from './epoch-crypto.ts'

/** 3 s: whoever let somebody in has given it the key by then; the others hold back longer, each in its turn. */
const HEAL_AFTER_MS = 3000

/** The tenth who could help waits half a minute. Nobody waits longer. */
const MAX_TURNS = 10

export interface ContentKeysParts {
  /** This device's. */
  readonly keyPair: DeviceStore['keyPair']
  /** What the keystore has, in the order in which it came. */
  readonly saved: readonly Uint8Array[]
  /** Makes all of these durable. */
  save(keys: readonly Uint8Array[]): Promise<void>
  readonly timers: Pick<Timers, 'after'>
}

interface Attached {
  readonly logs: AclLogs
  readonly own: OwnLogs
}

export class ContentKeys implements BlockKeys {
  readonly events = new EventEmitter<{
    /** There are others here. */
    change: []
    /** A record was to give this device a key, and did not. */
    bad: []
  }>()
  readonly #parts: ContentKeysParts
  readonly #device: Key
  readonly #ring: Keyring
  /** By what stands in front of blocks. Of two keys under one id the first counts here. */
  readonly #known = new Map<string, Uint8Array>()
  readonly #listeners = new Set<() => void>()
  #saved: number
  #attached: Attached | null = null
  /** Undefined until it is worked out again. */
  #chosen: BlockKey | null | undefined = undefined
  /** The epoch that this device made last, since it was opened. */
  #minted: Key | null = null
  /** Whether there was one to write under when it was last looked. */
  #isUsable = false
  #isDue = false
  #working: Promise<void> = Promise.resolve()
  #callOff: (() => void) | null = null

  constructor(parts: ContentKeysParts) {
    this.#parts = parts
    this.#device = keyOf(parts.keyPair.publicKey)
    this.#ring = new Keyring(this.#device, epochCrypto(parts.keyPair), parts.saved)
    this.#saved = parts.saved.length
    this.#publish()
  }

  /** From now on, what these logs say counts. */
  attach(attached: Attached): void {
    this.#attached = attached
    attached.logs.events.on('change', this.#onchange)
    this.#onchange()
  }

  /** Finishes what is under way. To be called before the logs are closed. */
  async close(): Promise<void> {
    this.#attached?.logs.events.off('change', this.#onchange)
    this.#callOff?.()
    this.#callOff = null
    await this.#working
    this.#attached = null
    this.events.removeAllListeners()
  }

  // What blocks are encrypted with.

  /** @throws NO_EPOCH_KEY */
  current(): BlockKey {
    const chosen = this.usable()
    if (chosen !== null) return chosen
    throw new ManyhandsError('NO_EPOCH_KEY', 'There is no key here that may be written under')
  }

  /** What is written under now; null where there is none that may be. */
  usable(): BlockKey | null {
    if (this.#chosen === undefined) {
      const key = this.#work()
      this.#chosen = key === null ? null : blockKey(key)
    }
    return this.#chosen
  }

  find(id: Uint8Array): Uint8Array | null {
    return this.#known.get(b4a.toString(id, 'hex')) ?? null
  }

  onchange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  // What others are told.

  /** For a ticket: what its bearer can read and write with before it is let in. Null where this device has none itself. */
  get forTicket(): Uint8Array | null {
    return this.usable()?.key ?? null
  }

  /** The hash of the key that this device writes under; null where it has none. */
  get currentEpoch(): Key | null {
    const chosen = this.usable()
    return chosen === null ? null : keyOf(epochHash(chosen.key))
  }

  has(epoch: Key): boolean {
    return this.#ring.get(epoch) !== null
  }

  /** Records that were to give this device a key and did not: the log that each stands in, and where. */
  bad(): readonly { readonly core: Key; readonly seq: number }[] {
    return this.#ring.bad.flatMap((bad) => this.#placesOf(bad))
  }

  // What is done about them.

  /**
   * Sees to it that there is a key to write under: where somebody who is out may have each of those here, a new one.
   * @returns undefined where there is one already @throws STORE_ codes
   */
  prepare(): Promise<void> | undefined {
    if (this.usable() !== null) return undefined
    return this.#inTurn(async () => {
      await this.#learn()
      if (this.usable() === null) await this.#mint()
    })
  }

  /** Makes a new key, which everything is written under that is written by those who have heard of it. @throws STORE_ codes */
  renew(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#learn()
      await this.#mint()
    })
  }

  /** Gives those who may read what they lack, as far as it is here. @throws STORE_ codes */
  heal(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#learn()
      const { logs } = this.#attached ?? {}
      if (logs === undefined || !this.#mayHeal(logs)) return
      const { epochs } = logs.membership
      for (const draft of this.#ring.heal(epochs, logs.membership.epochs.readers))
        await logs.write(draft)
    })
  }

  readonly #onchange = (): void => {
    this.#chosen = undefined
    if (this.#isDue) return
    this.#isDue = true
    // What the disk refuses now is tried again with the next change.
    this.#inTurn(() => this.#learn()).catch(() => {})
  }

  async #learn(): Promise<void> {
    this.#isDue = false
    const { logs } = this.#attached ?? {}
    if (logs === undefined) return
    const { length } = this.#ring.bad
    this.#ring.learn(logs.membership.epochs)
    await this.#save()
    if (this.#ring.bad.length > length) this.events.emit('bad')
    this.#tellUsable()
    this.#healLater(logs)
  }

  /** One that is here may be written under again. */
  #tellUsable(): void {
    const isUsable = this.usable() !== null
    if (isUsable && !this.#isUsable) for (const listener of this.#listeners) listener()
    this.#isUsable = isUsable
  }

  /** First onto the disk: what was written under a key must be readable whenever this device starts again. */
  async #save(): Promise<void> {
    const keys = [...this.#ring.keys().values()]
    if (keys.length === this.#saved) return
    await this.#parts.save(keys)
    this.#saved = keys.length
    this.#publish()
  }

  #publish(): void {
    for (const [epoch, key] of this.#ring.keys()) {
      const id = epochId(epoch)
      if (!this.#known.has(id)) this.#known.set(id, key)
    }
    this.#chosen = undefined
    for (const listener of this.#listeners) listener()
    this.events.emit('change')
  }

  async #mint(): Promise<void> {
    if (this.#attached === null) return
    const { logs, own } = this.#attached
    // New logs begin with what they go on from.
    if (own.earlier.length > 0 && own.acl.core.length === 0) return
    const { epochs } = logs.membership
    const { key, draft } = this.#ring.mint(epochs, logs.membership.epochs.readers)
    this.#ring.add(key)
    await this.#save()
    await logs.write(draft)
    this.#minted = draft.epoch
    this.#chosen = undefined
  }

  #work(): Uint8Array | null {
    const epochs = this.#attached?.logs.membership.epochs
    const current = epochs === undefined ? null : this.#ring.current(epochs)
    // One that was learned a moment ago is on its way to the disk.
    const key = current === null ? null : this.find(bytesOf(epochId(current.epoch)))
    if (key !== null) return key
    const unheard = [...this.#ring.keys()].findLast(
      ([epoch]) => this.#known.has(epochId(epoch)) && this.#isUnheard(epoch, epochs)
    )
    return unheard?.[1] ?? null
  }

  /** Of a ticket, or made here, and nothing that counts has been said of it yet. */
  #isUnheard(epoch: Key, epochs: Epochs | undefined): boolean {
    if (epochs === undefined) return true
    const known = epochs.all.get(epoch)
    if (known !== undefined) return epoch === this.#minted && known.unusable === 'not-all-here'
    return !epochs.void.some((record) => record.kind === 'epoch' && record.epoch === epoch)
  }

  #mayHeal(logs: AclLogs): boolean {
    return logs.isOwnCounted && logs.membership.epochs.readers.includes(this.#device)
  }

  #healLater(logs: AclLogs): void {
    const readers = logs.membership.epochs.readers
    const isNeeded = this.#mayHeal(logs) && this.#ring.isLacking(logs.membership.epochs, readers)
    if (!isNeeded) this.#callOff?.()
    if (!isNeeded) this.#callOff = null
    if (!isNeeded || this.#callOff !== null) return
    const turn = Math.min(readers.indexOf(this.#device) + 1, MAX_TURNS)
    this.#callOff = this.#parts.timers.after(turn * HEAL_AFTER_MS, () => {
      this.#callOff = null
      this.heal().catch(() => {}) // tried again with the next change
    })
  }

  #placesOf({ box }: BadKey): readonly { readonly core: Key; readonly seq: number }[] {
    const { logs } = this.#attached ?? {}
    return (logs?.keys() ?? []).flatMap((core) =>
      (logs?.recordsOf(core) ?? []).flatMap(({ record }, seq) => {
        if (typeof record === 'string') return []
        if (record.kind !== 'epoch' && record.kind !== 'share') return []
        const parents = record.kind === 'epoch' ? record.parents : []
        const isHere = [...record.shares, ...parents].some((each) => each.box === box)
        return isHere ? { core, seq } : []
      })
    )
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#working.then(task)
    this.#working = done.catch(() => {}) // shown to the caller of this one
    return done
  }
}
