/**
 * Autobases whose writers may add and remove each other, as its README has it: for telling what comes of an attack there. It knows
 * writers and no ranks, so whoever writes may remove whom it likes.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  Corestore,
  Hyperbee,
  join2,
  type Bee1,
  type Bytes,
  type Core,
  type Store
} from '../../bench/peers.ts'

interface Autobase {
  readonly key: Uint8Array
  readonly local: Core
  readonly view: Bee1
  readonly writable: boolean
  ready(): Promise<void>
  append(value: Operation): Promise<void>
  update(): Promise<void>
  replicate(isInitiator: boolean): Bytes
  on(event: string, listener: () => void): void
  close(): Promise<void>
}

type Operation = { readonly [what in 'add' | 'remove' | 'put']?: string }

interface Host {
  addWriter(key: Uint8Array, options: { indexer: boolean }): Promise<void>
  removeable(key: Uint8Array): boolean
  removeWriter(key: Uint8Array): Promise<void>
}

const require = createRequire(import.meta.url)
const AutobaseOver: new (
  store: Store,
  first: Uint8Array | null,
  handlers: object
) => Autobase = require('autobase')

/** What it may tell an application. */
const EVENTS = ['writable', 'unwritable', 'warning', 'error', 'interrupt', 'reboot'] as const

/** So long everybody meets: far longer than they need, in memory. */
const MEETING_MS = 700

export type Writers = readonly [Writer, Writer, Writer, Writer]

export class Writer {
  readonly name: string
  readonly #base: Autobase
  readonly #store: Store
  /** Since all had met. */
  readonly told: string[] = []

  private constructor(name: string, base: Autobase, store: Store) {
    this.name = name
    this.#base = base
    this.#store = store
    for (const event of EVENTS) base.on(event, () => this.told.push(event))
  }

  /** Alice, who begins, and three whom she adds; all have met. */
  static async all(folder: string): Promise<Writers> {
    const alice = await Writer.#open(folder, 'alice', null)
    const join = (name: string) => Writer.#open(folder, name, alice.#base.key)
    const others = [await join('bob'), await join('carol'), await join('dave')] as const
    for (const other of others) await alice.add(other)
    await Writer.meet([alice, ...others])
    for (const each of [alice, ...others]) each.told.length = 0
    return [alice, ...others]
  }

  static async #open(folder: string, name: string, first: Uint8Array | null): Promise<Writer> {
    const store = new Corestore(join(folder, name))
    const base: Autobase = new AutobaseOver(store, first, {
      valueEncoding: 'json',
      ackInterval: 0,
      open: (views: { get(name: string): Core }) =>
        new Hyperbee(views.get('view'), { extension: false }),
      apply
    })
    await base.ready()
    return new Writer(name, base, store)
  }

  /** Everybody hears everything. */
  static async meet(all: readonly Writer[]): Promise<void> {
    const joined = all.flatMap((one, i) =>
      all.slice(0, i).map((other) => join2(one.#base.replicate(true), other.#base.replicate(false)))
    )
    const end = performance.now() + MEETING_MS
    while (performance.now() < end) {
      for (const one of all) await one.#base.update()
      await setTimeout(20)
    }
    for (const { streams } of joined) for (const stream of streams) stream.destroy()
  }

  get isWriter(): boolean {
    return this.#base.writable
  }

  add(other: Writer): Promise<void> {
    return this.#say({ add: Buffer.from(other.#base.local.key).toString('hex') })
  }

  remove(other: Writer): Promise<void> {
    return this.#say({ remove: Buffer.from(other.#base.local.key).toString('hex') })
  }

  put(key: string): Promise<void> {
    return this.#say({ put: key })
  }

  async shows(key: string): Promise<boolean> {
    return (await this.#base.view.get(Buffer.from(key))) !== null
  }

  async close(): Promise<void> {
    await this.#base.close()
    await this.#store.close()
  }

  async #say(operation: Operation): Promise<void> {
    await this.#base.append(operation)
    await this.#base.update()
  }
}

async function apply(
  nodes: readonly { readonly value: Operation }[],
  view: Bee1,
  host: Host
): Promise<void> {
  const batch = view.batch({ update: false })
  for (const { value } of nodes) {
    const { add, remove, put } = value
    if (add !== undefined) await host.addWriter(Buffer.from(add, 'hex'), { indexer: false })
    // The last indexer, here the first writer, cannot be removed: asking for it would end the base.
    const gone = remove === undefined ? null : Buffer.from(remove, 'hex')
    if (gone !== null && host.removeable(gone)) await host.removeWriter(gone)
    if (put !== undefined) await batch.put(Buffer.from(put), Buffer.from('1'))
  }
  await batch.flush()
}
