/**
 * Hyperbee numbers writes: each put and del has a block, `seq`, and the version is the length. Here these numbers are counted
 * from MultiBee's own history: the first write is 1, as Hyperbee's block 0 is its header. Within a batch the order is that of
 * the keys, because a batch here has no other.
 */
import b4a from 'b4a'
import { compareStamps, encodeVersion, stampToText } from '../../../clock/index.ts'
import { isManyhandsError } from '../../../errors.ts'
import type { HistoryEntry, MultiBee } from '../../../multiwriter/index.ts'

/** Bytes, or nothing. */
export type Stored = Uint8Array | null

export type Database = MultiBee<Uint8Array, Stored>

type Write = HistoryEntry<Uint8Array, Stored>

interface Placed {
  readonly key: Uint8Array
  readonly stamp: Write['stamp']
}

export class Numbering {
  readonly #databases: Database[]
  /** By version: its text. */
  readonly #texts = new Map<number, string>()
  readonly #numbers = new Map<string, number>()
  #last: string
  #count = 0
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(db: Database, empty: string) {
    this.#databases = [db]
    this.#last = empty
    this.#texts.set(1, empty)
  }

  static async of(db: Database, core: Uint8Array): Promise<Numbering> {
    const empty = encodeVersion({ space: b4a.alloc(8), acl: [], data: [{ core, length: 0 }] })
    const numbering = new Numbering(db, empty)
    await numbering.refresh()
    return numbering
  }

  get version(): number {
    return this.#count + 1
  }

  /** A sub-database has its own history. */
  include(db: Database): void {
    this.#databases.push(db)
  }

  textOf(version: number): string {
    const text = this.#texts.get(Math.max(1, version))
    if (text === undefined) throw new Error(`${version} lies inside of a batch, or ahead`)
    return text
  }

  refresh(): Promise<void> {
    const refreshed = this.#turn.then(() => this.#refresh()).catch(passUnlessClosed)
    this.#turn = refreshed.catch(() => {})
    return refreshed
  }

  /** Of a write that is not on the log yet: the one it would get if its batch came next. */
  async numberOf(entry: Placed, waiting: ReadonlySet<string> = new Set()): Promise<number> {
    if (!this.#numbers.has(idOf(entry))) await this.refresh()
    const known = this.#numbers.get(idOf(entry))
    if (known !== undefined) return known
    const before = [...waiting].filter((key) => key < keyOf(entry.key))
    return this.version + before.length
  }

  async #refresh(): Promise<void> {
    const root = this.#databases[0]
    const text = await root?.version()
    if (root === undefined || text === undefined || text === this.#last) return
    const since = this.#last
    const writes: Write[] = []
    for (const db of this.#databases) {
      const then = db.checkout(text)
      for await (const write of then.createHistoryStream({ since })) writes.push(write)
    }
    // A stable sort: within a batch the order stays.
    writes.sort((a, b) => compareStamps(a.stamp, b.stamp))
    for (const write of writes) this.#numbers.set(idOf(write), ++this.#count)
    this.#texts.set(this.version, text)
    this.#last = text
  }
}

/** A test may close the database while a number is asked for; then nobody needs it. */
function passUnlessClosed(error: unknown): void {
  if (!isManyhandsError(error, 'BEE_CLOSED')) throw error
}

/** Keys compare as their bytes do. */
export function keyOf(key: Uint8Array): string {
  return b4a.toString(key, 'hex')
}

/** A batch has one stamp, and a key once. */
function idOf({ key, stamp }: Placed): string {
  return `${stampToText(stamp)} ${keyOf(key)}`
}
