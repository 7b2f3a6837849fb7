/** Autobase with a Hyperbee as its view: the usual way to a multi-writer database on this stack. One writer, or several that meet. */
import b4a from 'b4a'
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import c from 'compact-encoding'
import {
  Corestore,
  countAll,
  Hyperbee,
  join2,
  type Bee1,
  type Bytes,
  type Core,
  type Database,
  type OpenDatabase,
  type Pair,
  type Store
} from './peers.ts'

interface Autobase {
  readonly key: Uint8Array
  readonly local: Core
  readonly view: Bee1
  readonly writable: boolean
  ready(): Promise<void>
  append(value: Uint8Array): Promise<void>
  update(): Promise<void>
  ack(): Promise<void>
  replicate(isInitiator: boolean): Bytes
  close(): Promise<void>
}

interface Host {
  addWriter(key: Uint8Array, options: { indexer: boolean }): Promise<void>
}

const require = createRequire(import.meta.url)
const AutobaseOver: new (
  store: Store,
  bootstrap: Uint8Array | null,
  handlers: object
) => Autobase = require('autobase')

/** As its own documentation writes many at once. */
export const OPS_PER_BLOCK = 100

const opsEncoding = c.array(c.array(c.buffer))

/** In the place of a value: the key is that of a writer to be added. */
const ADD_WRITER = b4a.alloc(0)

export interface Base {
  readonly base: Autobase
  readonly db: Database
}

/** @param bootstrap the first writer's `base.key`; null for the first, or at a reopening */
export async function openBase(folder: string, bootstrap: Uint8Array | null): Promise<Base> {
  const store = new Corestore(folder)
  const base = new AutobaseOver(store, bootstrap, {
    ackInterval: 0,
    open: (views: { get(name: string): Core }) =>
      new Hyperbee(views.get('view'), { extension: false }),
    apply
  })
  await base.ready()
  const db: Database = {
    put: (pair) => append(base, [pair]),
    async putAll(all) {
      await appendAll(base, all, OPS_PER_BLOCK)
      await base.update()
    },
    get: (key) => base.view.get(key),
    scan: () => countAll(base.view.createReadStream()),
    async close() {
      await base.close()
      await store.close()
    }
  }
  return { base, db }
}

export const autobase: OpenDatabase = async (folder) => (await openBase(folder, null)).db

// Only the first writer is an indexer: with eight, and a majority of them to wait for, merging takes two to three times as long.
async function apply(
  nodes: readonly { readonly value: Uint8Array }[],
  view: Bee1,
  host: Host
): Promise<void> {
  const batch = view.batch({ update: false })
  for (const { value } of nodes) {
    for (const [key, each] of c.decode(opsEncoding, value)) {
      if (each!.byteLength === 0) await host.addWriter(key!, { indexer: false })
      else await batch.put(key!, each!)
    }
  }
  await batch.flush()
}

function append(base: Autobase, some: readonly Pair[]): Promise<void> {
  const ops = some.map(({ key, value }) => [key, value])
  return base.append(c.encode(opsEncoding, ops))
}

export async function appendAll(
  base: Autobase,
  all: readonly Pair[],
  opsPerBlock: number
): Promise<void> {
  for (let i = 0; i < all.length; i += opsPerBlock) {
    await append(base, all.slice(i, i + opsPerBlock))
  }
}

/** So many bases that may all write, each in a folder of its own (`<folder>-<i>`), not connected any more. */
export async function openBases(folder: string, count: number): Promise<readonly Base[]> {
  const first = await openBase(`${folder}-0`, null)
  const all = [first]
  for (let i = 1; i < count; i++) all.push(await openBase(`${folder}-${i}`, first.base.key))
  const cut = joinStar(all.map(({ base }) => base))
  for (const { base } of all.slice(1)) {
    await append(first.base, [{ key: base.local.key, value: ADD_WRITER }])
  }
  for (const { base } of all) {
    while (!base.writable) {
      await base.update()
      await setTimeout(1)
    }
  }
  cut()
  return all
}

interface Joinable {
  replicate(isInitiator: boolean): unknown
}

/** Connects everybody with the first. @returns how to cut all */
export function joinStar([first, ...others]: readonly Joinable[]): () => void {
  const joined = others.map((other) =>
    join2(first!.replicate(true) as Bytes, other.replicate(false) as Bytes)
  )
  return () => {
    for (const { streams } of joined) for (const stream of streams) stream.destroy()
  }
}

/** Whether `base`, brought up to date, shows all these keys. */
export async function showsAll(base: Autobase, keys: readonly Uint8Array[]): Promise<boolean> {
  await base.update()
  for (const key of keys) if ((await base.view.get(key)) === null) return false
  return true
}

/** Fills one folder (`<folder>-0`) from as many writers as there are shares, one after the other, each connected to the first. */
export async function fillBase(
  folder: string,
  shares: readonly (readonly Pair[])[],
  opsPerBlock: number
): Promise<string> {
  const all = await openBases(folder, shares.length)
  const first = all[0]!
  for (const [i, share] of shares.entries()) {
    const writer = all[i]!
    await appendAll(writer.base, share, opsPerBlock)
    const cut = i === 0 ? () => {} : joinStar([first.base, writer.base])
    while (!(await showsAll(first.base, [share.at(-1)!.key]))) await setTimeout(1)
    await first.base.ack() // else somebody new is never told of the others' entries
    cut()
  }
  for (const { db } of all) await db.close()
  return `${folder}-0`
}
