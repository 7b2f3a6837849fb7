/**
 * One database of each kind under one interface, in a folder of its own, to be raced: ours with any number of known writers,
 * and what one would use instead.
 */
import b4a from 'b4a'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openDevice } from '../index.ts'
import type { Device, MultiBee, Space } from '../multiwriter/index.ts'

export interface Pair {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface Database {
  /** Resolves when it is stored. */
  put(pair: Pair): Promise<void>
  /** Issued together, as the kind is meant to be used for many. */
  putAll(pairs: readonly Pair[]): Promise<void>
  get(key: Uint8Array): Promise<unknown>
  /** Reads everything in key order; gives back how many. */
  scan(): Promise<number>
  close(): Promise<void>
}

/** Opens the database in a folder; the same folder gives the same database. */
export type OpenDatabase = (folder: string) => Promise<Database>

export interface Core {
  readonly length: number
  readonly contiguousLength: number
  readonly byteLength: number
  readonly key: Uint8Array
  ready(): Promise<void>
  append(blocks: Uint8Array | readonly Uint8Array[]): Promise<unknown>
  get(seq: number): Promise<unknown>
  download(range: { start: number; end: number }): unknown
}

export interface Bytes {
  on(event: 'data', listener: (data: Uint8Array) => void): void
  on(event: 'error' | 'close', listener: () => void): void
  write(data: Uint8Array): void
  destroy(): void
}

export interface Store {
  ready(): Promise<void>
  get(options: { name?: string; key?: Uint8Array }): Core
  replicate(isInitiator: boolean): Bytes
  close(): Promise<void>
}

interface Bee {
  ready(): Promise<void>
  get(key: Uint8Array): Promise<unknown>
  createReadStream(): AsyncIterable<unknown>
  close(): Promise<void>
}

interface Batch {
  flush(): Promise<void>
}

export interface Bee1 extends Bee {
  put(key: Uint8Array, value: Uint8Array): Promise<void>
  batch(options?: object): Batch & { put(key: Uint8Array, value: Uint8Array): Promise<void> }
}

interface Bee2 extends Bee {
  readonly core: Core
  write(): Batch & { tryPut(key: Uint8Array, value: Uint8Array): void }
}

// None of them ships types, and the test oracle's streams must be the library's own: so they are required, not imported.
const require = createRequire(import.meta.url)
export const Corestore: new (folder: string) => Store = require('corestore')
export const Hyperbee: new (core: Core, options: object) => Bee1 = require('hyperbee')
export const Hyperbee2: new (store: Store, options?: object) => Bee2 = require('hyperbee2')

/** A temporary folder for `task`. */
export async function inFolder<T>(task: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
  try {
    return await task(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Distinct keys in scattered order, 16 bytes each, with 100 bytes to store. */
export function pairAt(index: number): Pair {
  return {
    key: b4a.from(`key/${String((index * 7919) % 1_000_003).padStart(12, '0')}`),
    value: VALUE
  }
}

const VALUE = b4a.alloc(100, 7)

export function pairs(start: number, end: number): Pair[] {
  return Array.from({ length: end - start }, (_, i) => pairAt(start + i))
}

export const rawCore: OpenDatabase = async (folder) => {
  const store = new Corestore(folder)
  const core = store.get({ name: 'bench' })
  await core.ready()
  return {
    async put({ value }) {
      await core.append(value)
    },
    async putAll(all) {
      await core.append(all.map(({ value }) => value))
    },
    get: () => core.get(0),
    scan: async () => core.length,
    close: () => store.close()
  }
}

export const hyperbee: OpenDatabase = async (folder) => {
  const store = new Corestore(folder)
  const bee = new Hyperbee(store.get({ name: 'bench' }), { extension: false })
  await bee.ready()
  return {
    put: ({ key, value }) => bee.put(key, value),
    async putAll(all) {
      const batch = bee.batch()
      for (const { key, value } of all) await batch.put(key, value)
      await batch.flush()
    },
    get: (key) => bee.get(key),
    scan: () => countAll(bee.createReadStream()),
    close: () => store.close()
  }
}

export const hyperbee2: OpenDatabase = async (folder) => {
  const store = new Corestore(folder)
  const bee = new Hyperbee2(store)
  await bee.ready()
  const putAll = (all: readonly Pair[]): Promise<void> => writeBee2(bee, all)
  return {
    put: (pair) => putAll([pair]),
    putAll,
    get: (key) => bee.get(key),
    scan: () => countAll(bee.createReadStream()),
    async close() {
      await bee.close()
      await store.close()
    }
  }
}

export async function writeBee2(bee: Bee2, all: readonly Pair[]): Promise<void> {
  const batch = bee.write()
  for (const { key, value } of all) batch.tryPut(key, value)
  await batch.flush()
}

/** How a space is read. */
export type Mode = 'stream' | 'index'

/** Ours, alone: the first space of the folder. @param encryption of a space that is made */
export function manyhandsIn(mode: Mode, encryption = true): OpenDatabase {
  return async (folder) => {
    const device = await openDevice({ storage: folder })
    const known = device.spaces()[0]
    const options = { mode }
    const space =
      known === undefined
        ? await device.createSpace({ ...options, encryption })
        : await device.openSpace(known.address, options)
    return ours(device, space)
  }
}

export const manyhands: OpenDatabase = manyhandsIn('stream')

export function ours(device: Device, space: Space): Database {
  const db: MultiBee<Uint8Array, Uint8Array> = space.db.sub('bench', {
    keyEncoding: 'binary',
    valueEncoding: 'binary'
  })
  return {
    async put({ key, value }) {
      await db.put(key, value)
    },
    async putAll(all) {
      await Promise.all(all.map(({ key, value }) => db.put(key, value)))
    },
    get: (key) => db.get(key),
    scan: () => countAll(db.createReadStream()),
    close: () => device.close()
  }
}

/** Makes the folder a device that holds the logs of as many writers as `fills`, each of which fills its own. */
export async function fillFromWriters(
  folder: string,
  fills: readonly ((db: Database) => Promise<void>)[],
  { open = false }: { readonly open?: boolean } = {}
): Promise<void> {
  const device = await openDevice({ storage: folder })
  const space = await device.createSpace({ mode: 'stream', open })
  for (const [i, fill] of fills.entries()) {
    const other = await openDevice({ storage: `${folder}-writer-${i}` })
    const theirs = await other.openSpace(space.ticket, { mode: 'stream' })
    await fill(ours(other, theirs))
    await deliver(theirs, space)
    await other.close()
  }
  await device.close()
}

/** Replicates until `reader` has all of `writer`'s own log. */
async function deliver(writer: Space, reader: Space): Promise<void> {
  await reader.addWriter(writer.writer)
  const { streams } = join2(reader.replicate(true) as Bytes, writer.replicate(false) as Bytes)
  while (lengthOf(reader, writer.writer) < lengthOf(writer, writer.writer)) await setTimeout(1)
  for (const stream of streams) stream.destroy()
}

/** Blocks of a writer that can be read in `space`. */
export function lengthOf(space: Space, writer: string): number {
  return space.writers().find((each) => each.writer === writer)?.length ?? 0
}

export interface Joined {
  readonly streams: readonly Bytes[]
  /** That have passed, both ways. */
  readonly bytes: () => number
}

/** Connects two ends and counts what passes, both ways. */
export function join2(a: Bytes, b: Bytes): Joined {
  let bytes = 0
  const forward = (from: Bytes, to: Bytes): void => {
    from.on('data', (data) => {
      bytes += data.byteLength
      to.write(data)
    })
    from.on('error', () => {}) // each end is destroyed while the other may still write
    from.on('close', () => to.destroy())
  }
  forward(a, b)
  forward(b, a)
  return { streams: [a, b], bytes: () => bytes }
}

export async function countAll(entries: AsyncIterable<unknown>): Promise<number> {
  let count = 0
  for await (const _ of entries) count++
  return count
}
