/**
 * MultiBee with one writer in the dress of Hyperbee, for Hyperbee's own test suite (scripts/hyperbee-suite.mjs, docs/PEERS.md).
 *
 * Shapes are adapted, behaviour is MultiBee's: encodings are applied per call, ranges stand in an argument of their own,
 * streams are streamx', entries lose what Hyperbee does not have, a `cas` is not asked about absent keys, a watcher yields
 * snapshots. What reaches for the core below Hyperbee throws `Internals`. What MultiBee does otherwise shows as a failure.
 */
import { createRequire } from 'node:module'
import b4a from 'b4a'
import Corestore from 'corestore'
import { EventEmitter } from 'eventemitter3'
import { Readable } from 'streamx'
import { isManyhandsError } from '../../../errors.ts'
import {
  openMultiBee,
  type CasOptions,
  type Entry,
  type MultiBeeBatch,
  type Range
} from '../../../multiwriter/index.ts'
import { keyOf, Numbering, type Database, type Stored } from './numbering.ts'

/** As Hyperbee itself resolves encodings. */
const require = createRequire(createRequire(import.meta.url).resolve('hyperbee'))
const codecs = require('codecs') as (given: unknown) => Codec

interface Codec {
  encode(given: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
  encodeRange?(range: Bounds): Range<Uint8Array>
}

interface Bounds {
  readonly gt?: unknown
  readonly gte?: unknown
  readonly lt?: unknown
  readonly lte?: unknown
}

type Options = Readonly<Record<string, unknown>>

interface Node {
  readonly seq: number
  readonly key: unknown
  readonly value: unknown
}

/** brittle's test. */
interface Test {
  tmp(): Promise<string>
  teardown(clean: () => unknown): void
}

/** What a test asked for is below MultiBee. */
class Internals extends Error {
  constructor(what: string) {
    super(`INTERNALS ${what}`)
  }
}

/** In the place of the suite's own `create`. */
export async function create(t: Test, given: Options = {}): Promise<Bee> {
  const options: Options = { keyEncoding: 'utf-8', valueEncoding: 'utf-8', ...given }
  const store = new Corestore(await t.tmp())
  const own = store.get({ name: 'bee' })
  await own.ready()
  const db: Database = await openMultiBee<Uint8Array, Stored>({
    writers: [own.key],
    open: (key) => store.get({ key }),
    ...(options['readonly'] === true ? {} : { own, now: Date.now }),
    keyEncoding: 'binary',
    valueEncoding: { encode: (value) => value, decode: (value) => value as Stored }
  })
  const numbering = await Numbering.of(db, own.key)
  const bee = new Bee(db, numbering, options, null)
  t.teardown(async () => {
    await bee.close()
    await store.close()
  })
  return bee
}

/** Keys and values as one call wants them. */
class Codecs {
  readonly key: Codec | null
  readonly value: Codec | null

  constructor(defaults: Codecs | null, options: Options = {}) {
    this.key = codecOf(options['keyEncoding'], defaults?.key ?? null)
    this.value = codecOf(options['valueEncoding'], defaults?.value ?? null)
  }

  range(bounds: Bounds): Range<Uint8Array> {
    const { gt, gte, lt, lte } = bounds
    if (this.key?.encodeRange !== undefined)
      return given(this.key.encodeRange({ gt, gte, lt, lte }))
    const encode = (bound: unknown) => (bound === undefined ? undefined : this.encodeKey(bound))
    return given({ gt: encode(gt), gte: encode(gte), lt: encode(lt), lte: encode(lte) })
  }

  encodeKey(key: unknown): Uint8Array {
    return bytesOf(this.key, key) ?? b4a.alloc(0)
  }

  encodeValue(value: unknown): Stored {
    return bytesOf(this.value, value)
  }

  decodeKey(bytes: Uint8Array): unknown {
    return this.key === null ? bytes : this.key.decode(bytes)
  }

  decodeValue(bytes: Stored): unknown {
    return bytes === null || this.value === null ? bytes : this.value.decode(bytes)
  }
}

function codecOf(encoding: unknown, fallback: Codec | null): Codec | null {
  return encoding === undefined || encoding === null ? fallback : codecs(encoding)
}

function bytesOf(codec: Codec | null, given: unknown): Stored {
  if (given === undefined || given === null) return null
  if (codec !== null) return codec.encode(given)
  return typeof given === 'string' ? b4a.from(given) : (given as Uint8Array)
}

/** Without the bounds that are not given. */
function given(range: Bounds): Range<Uint8Array> {
  return Object.fromEntries(
    Object.entries(range).filter(([, bound]) => bound !== undefined && bound !== null)
  )
}

export class Bee {
  readonly db: Database
  readonly sep = b4a.alloc(1)
  readonly readable = true
  readonly readonly: boolean
  closed = false
  readonly #numbering: Numbering
  readonly #options: Options
  readonly #codecs: Codecs
  readonly #watchers = new Set<Watcher>()
  /** Of a snapshot or a checkout. */
  readonly #fixed: number | null

  constructor(db: Database, numbering: Numbering, options: Options, fixed: number | null) {
    this.db = db
    this.#numbering = numbering
    this.#options = options
    this.#codecs = new Codecs(null, options)
    this.#fixed = fixed
    this.readonly = options['readonly'] === true
  }

  get version(): number {
    return this.#fixed ?? this.#numbering.version
  }

  get writable(): boolean {
    return this.db.writable
  }

  get keyEncoding(): Codec | null {
    return this.#codecs.key
  }

  get core(): never {
    throw new Internals('core')
  }

  get id(): never {
    throw new Internals('id')
  }

  getHeader(): never {
    throw new Internals('getHeader')
  }

  getBySeq(): never {
    throw new Internals('getBySeq')
  }

  replicate(): never {
    throw new Internals('replicate')
  }

  async ready(): Promise<void> {
    await this.db.ready()
  }

  async close(): Promise<void> {
    this.closed = true
    for (const watcher of this.#watchers) await watcher.destroy()
    await this.db.close()
  }

  async get(key: unknown, options: Options = {}): Promise<Node | null> {
    const { db } = this.#at(options)
    const codec = new Codecs(this.#codecs, options)
    return this.#node(await db.get(codec.encodeKey(key)), codec)
  }

  async peek(range: Bounds = {}, options: Options = {}): Promise<Node | null> {
    const codec = new Codecs(this.#codecs, options)
    const reverse = ({ ...options, ...range } as Options)['reverse'] === true
    return this.#node(await this.db.peek({ ...codec.range(range), reverse }), codec)
  }

  async put(key: unknown, value?: unknown, options: Options = {}): Promise<void> {
    const codec = new Codecs(this.#codecs, options)
    const [bytes, stored] = [codec.encodeKey(key), codec.encodeValue(value)]
    await this.db.put(bytes, stored, this.#casOf(options, codec))
    await this.#numbering.refresh()
  }

  async del(key: unknown, options: Options = {}): Promise<void> {
    const codec = new Codecs(this.#codecs, options)
    await this.db.del(codec.encodeKey(key), this.#casOf(options, codec))
    await this.#numbering.refresh()
  }

  batch(): Batch {
    const casOf: CasOf = (options, codec) => this.#casOf(options, codec)
    return new Batch(this.db.batch(), this.#numbering, this.#codecs, casOf)
  }

  createReadStream(range: Options = {}, more: Options = {}): Readable {
    const options = { ...more, ...range }
    const codec = new Codecs(this.#codecs, options)
    const stream = this.#at(options).db.createReadStream({
      ...codec.range(options),
      ...paging(options)
    })
    return Readable.from(mapped(stream, (entry) => this.#node(entry, codec)))
  }

  /** Hyperbee's left is this database and its right the other; MultiBee's is the other way round. */
  createDiffStream(other: Bee | number, range: Options = {}, more: Options = {}): Readable {
    const options = { ...more, ...range }
    const codec = new Codecs(this.#codecs, options)
    const right = typeof other === 'number' ? this.#numbering.textOf(other) : other.db
    const stream = this.db.createDiffStream(right, { ...codec.range(options), ...paging(options) })
    const sides = async (difference: { left: StoredEntry | null; right: StoredEntry | null }) => ({
      left: await this.#node(difference.right, codec),
      right: await this.#node(difference.left, codec)
    })
    return Readable.from(mapped(stream, sides))
  }

  createHistoryStream(given: Options | number = {}): Readable {
    const options = typeof given === 'number' ? {} : given
    const [reverse, live] = [options['reverse'] === true, options['live'] === true]
    const stream = this.db.createHistoryStream({ reverse, live })
    const isWithin = this.#window(options)
    const nodes = mapped(stream, async (entry) => {
      const seq = await this.#numbering.numberOf(entry)
      const { type } = entry
      const [key, value] = [
        this.#codecs.decodeKey(entry.key),
        this.#codecs.decodeValue(entry.value as Stored)
      ]
      return { type, seq, key, value }
    })
    return Readable.from(filtered(nodes, ({ seq }) => isWithin(seq)))
  }

  /** Which numbers are asked for; negative ones count from the version. */
  #window(options: Options): (seq: number) => boolean {
    const at = (name: string, fallback: number) => {
      const bound = options[name]
      if (typeof bound !== 'number') return fallback
      return bound < 0 ? bound + this.version : bound
    }
    const [gt, gte, lt, lte] = [at('gt', 0), at('gte', 0), at('lt', Infinity), at('lte', Infinity)]
    return (seq) => seq > gt && seq >= gte && seq < lt && seq <= lte
  }

  checkout(version: number, options: Options = {}): Bee {
    const fixed = this.db.checkout(this.#numbering.textOf(version))
    return new Bee(fixed, this.#numbering, { ...this.#options, ...options }, version)
  }

  snapshot(options: Options = {}): Bee {
    const all = { ...this.#options, ...options }
    return new Bee(this.db.snapshot(), this.#numbering, all, this.version)
  }

  sub(name: string, options: Options = {}): Bee {
    const db: Database = this.db.sub(b4a.toString(b4a.from(name)))
    this.#numbering.include(db)
    return new Bee(db, this.#numbering, { ...this.#options, ...options }, this.#fixed)
  }

  async getAndWatch(key: unknown, options: Options = {}): Promise<KeyWatcher> {
    const codec = new Codecs(this.#codecs, options)
    const watcher = await this.db.getAndWatch(codec.encodeKey(key)).catch(asHyperbee)
    const node = () => this.#node(watcher.node, codec)
    return new KeyWatcher(watcher, await node(), node)
  }

  watch(range: Options | null = {}, options: Options = {}): Watcher {
    if (options['differ'] !== undefined) throw new Internals('differ')
    const watcher = new Watcher(
      this,
      this.db.watch(new Codecs(this.#codecs, options).range(range ?? {})),
      options
    )
    this.#watchers.add(watcher)
    return watcher
  }

  /** The number of the newest write that is known now. */
  async refresh(): Promise<number> {
    await this.#numbering.refresh()
    return this.version
  }

  #at({ checkout }: Options): Bee {
    return typeof checkout === 'number' ? this.checkout(checkout) : this
  }

  async #node(entry: StoredEntry | null, codec: Codecs): Promise<Node | null> {
    if (entry === null) return null
    const seq = await this.#numbering.numberOf(entry)
    return { seq, key: codec.decodeKey(entry.key), value: codec.decodeValue(entry.value) }
  }

  /** Hyperbee asks only about keys that are there, and knows `alwaysDuplicate: false`. */
  #casOf(options: Options, codec: Codecs): CasOptions<Uint8Array, Stored> {
    const { cas } = options
    const isNew = this.#options['alwaysDuplicate'] === false
    if (typeof cas !== 'function' && !isNew) return {}
    return {
      cas: (previous, next) => {
        if (previous === null) return true
        if (typeof cas !== 'function') return !isEqual(previous.value, next.value)
        const nodeOf = ({ key, value }: { readonly key: Uint8Array; readonly value: Stored }) => ({
          key: codec.decodeKey(key),
          value: codec.decodeValue(value)
        })
        return Boolean(cas(nodeOf(previous), nodeOf(next)))
      }
    }
  }
}

type StoredEntry = Entry<Uint8Array, Stored>

type CasOf = (options: Options, codec: Codecs) => CasOptions<Uint8Array, Stored>

function isEqual(a: Stored, b: Stored): boolean {
  return a === null || b === null ? a === b : b4a.equals(a, b)
}

function paging({ reverse, limit }: Options): { reverse: boolean; limit?: number } {
  const isLimited = typeof limit === 'number' && limit >= 0
  return { reverse: reverse === true, ...(isLimited ? { limit } : {}) }
}

function filtered<T>(
  stream: AsyncIterableIterator<T>,
  isWanted: (item: T) => boolean
): AsyncIterableIterator<T> {
  const wanted = {
    ...mapped(stream, (item) => item),
    async next(): Promise<IteratorResult<T, undefined>> {
      for (;;) {
        const result = await stream.next()
        if (result.done === true) return DONE
        if (isWanted(result.value)) return result
      }
    }
  }
  return wanted
}

/** Not a generator: leaving one waits until what it waits for has come, which a live stream's next may never do. */
function mapped<T, U>(
  stream: AsyncIterableIterator<T>,
  map: (item: T) => U | Promise<U>
): AsyncIterableIterator<U> {
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const { done, value } = await stream.next()
      return done === true ? DONE : { done: false, value: await map(value) }
    },
    async return() {
      await stream.return?.()
      return DONE
    }
  }
}

const DONE = { done: true, value: undefined } as const

function asHyperbee(error: unknown): never {
  throw isManyhandsError(error, 'BEE_CLOSED') ? new Error('Bee closed', { cause: error }) : error
}

/** Hyperbee's batches are written to one by one; they give numbers to what is not written yet. */
class Batch {
  readonly #batch: MultiBeeBatch<Uint8Array, Stored>
  readonly #numbering: Numbering
  readonly #codecs: Codecs
  readonly #casOf: CasOf
  readonly #waiting = new Set<string>()

  constructor(
    batch: MultiBeeBatch<Uint8Array, Stored>,
    numbering: Numbering,
    codec: Codecs,
    casOf: CasOf
  ) {
    this.#batch = batch
    this.#numbering = numbering
    this.#codecs = codec
    this.#casOf = casOf
  }

  get length(): number {
    return this.#batch.length
  }

  async put(key: unknown, value?: unknown, options: Options = {}): Promise<void> {
    const codec = new Codecs(this.#codecs, options)
    const bytes = codec.encodeKey(key)
    this.#batch.put(bytes, codec.encodeValue(value), this.#casOf(options, codec))
    this.#waiting.add(keyOf(bytes))
    await Promise.resolve()
  }

  async del(key: unknown, options: Options = {}): Promise<void> {
    const codec = new Codecs(this.#codecs, options)
    const bytes = codec.encodeKey(key)
    this.#batch.del(bytes, this.#casOf(options, codec))
    this.#waiting.add(keyOf(bytes))
    await Promise.resolve()
  }

  async get(key: unknown, options: Options = {}): Promise<Node | null> {
    const codec = new Codecs(this.#codecs, options)
    return this.#node(await this.#batch.get(codec.encodeKey(key)), codec)
  }

  async peek(range: Bounds, options: Options = {}): Promise<Node | null> {
    const codec = new Codecs(this.#codecs, options)
    return this.#node(await this.#batch.peek(codec.range(range)), codec)
  }

  createReadStream(range: Options = {}, more: Options = {}): Readable {
    const options = { ...more, ...range }
    const codec = new Codecs(this.#codecs, options)
    const stream = this.#batch.createReadStream({ ...codec.range(options), ...paging(options) })
    return Readable.from(mapped(stream, (entry) => this.#node(entry, codec)))
  }

  async flush(): Promise<void> {
    await this.#batch.flush()
    this.#waiting.clear()
    await this.#numbering.refresh()
  }

  close(): Promise<void> {
    this.#batch.close()
    return Promise.resolve()
  }

  destroy(): void {
    this.#batch.close()
  }

  async #node(entry: StoredEntry | null, codec: Codecs): Promise<Node | null> {
    if (entry === null) return null
    const seq = await this.#numbering.numberOf(entry, this.#waiting)
    return { seq, key: codec.decodeKey(entry.key), value: codec.decodeValue(entry.value) }
  }
}

/** `node` and `update` with numbers, which are known a little later. */
class KeyWatcher extends EventEmitter<{ update: [] }> {
  node: Node | null
  readonly #watcher: Awaited<ReturnType<Database['getAndWatch']>>

  constructor(
    watcher: Awaited<ReturnType<Database['getAndWatch']>>,
    node: Node | null,
    nodeOf: () => Promise<Node | null>
  ) {
    super()
    this.#watcher = watcher
    this.node = node
    watcher.on('update', () => {
      void nodeOf().then((next) => {
        this.node = next
        this.emit('update')
      })
    })
  }

  get closed(): boolean {
    return this.#watcher.closed
  }

  async close(): Promise<void> {
    await this.#watcher.close()
  }
}

/** Each step of changes as the snapshots behind and before it. */
class Watcher implements AsyncIterableIterator<[Bee, Bee]> {
  closed = false
  readonly #bee: Bee
  readonly #changes: ReturnType<Database['watch']>
  readonly #options: Options
  #shown: Promise<Bee>
  #turn: Promise<unknown> = Promise.resolve()

  constructor(bee: Bee, changes: ReturnType<Database['watch']>, options: Options) {
    this.#bee = bee
    this.#changes = changes
    this.#options = options
    this.#shown = Promise.resolve(bee.snapshot(options))
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async ready(): Promise<void> {
    await this.#bee.ready()
  }

  next(): Promise<IteratorResult<[Bee, Bee], undefined>> {
    const result = this.#turn.then(() => this.#next())
    this.#turn = result.catch(() => {})
    return result
  }

  async return(): Promise<IteratorResult<[Bee, Bee], undefined>> {
    await this.destroy()
    return { done: true, value: undefined }
  }

  async destroy(): Promise<void> {
    this.closed = true
    await this.#changes.return?.()
  }

  async #next(): Promise<IteratorResult<[Bee, Bee], undefined>> {
    for (;;) {
      const { done } = await this.#changes.next()
      if (done === true) return this.return()
      const previous = await this.#shown
      await this.#bee.refresh()
      const current = this.#bee.snapshot(this.#options)
      // The other changes of the same step.
      if (current.version === previous.version) continue
      this.#shown = Promise.resolve(current)
      return { done: false, value: [current, previous] }
    }
  }
}
