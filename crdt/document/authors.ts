/**
 * Who wrote what in a document, and when. What an engine counts its parts under, a *source*, is derived from the log that they
 * stand in: then an entry proves whose its parts are, and nobody can write under somebody else's source.
 *
 * What is brought in from elsewhere, an older document of an application's, has sources of its own. It is marked as an import, and
 * proves nothing: what an author proves to be its own, it brings itself.
 *
 * A document is what its judged updates say in this order: imports by rank, then what is proven, by time. For honest updates any
 * order gives the same, so whoever watches judges them one by one, as they come (`Authors.judge`); only where two writers bring
 * the same source does the order matter, and then all are to be judged together (`judge`).
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import { compareStamps, type Stamp } from '../../clock/index.ts'
import type { DocumentEngine, EngineDoc } from './engine.ts'
import { minuteOf, Minutes, sourceEncoding } from './minutes.ts'
import { Spans, type Source, type Span } from './spans.ts'
import type { UpdateKind } from './update.ts'

/** One update, and what its entry says of its sources. */
export interface Authored {
  /** The core whose log it stands in; for a quote, whose words it brings. */
  readonly core: Uint8Array
  /** Rises in each log. */
  readonly number: number
  readonly stamp: Stamp
  /** What is derived from the core, and from which session; all others that it brings are imported. */
  readonly derived: ReadonlyMap<Source, number>
  readonly isImport: boolean
  readonly kind: UpdateKind
  /** When what a snapshot stands for was written. */
  readonly minutes: Minutes
  /** A packed update of the engine. */
  readonly bytes: Uint8Array
}

export type AuthorRefusal =
  /** It brings parts under a source that is not its writer's, and does not call them imported. */
  | 'forged'
  /** Of two logs from which one source derives, the other counts: somebody searched long for this. */
  | 'taken'

/** One update among those judged, with what of it counts. */
export interface Counted<U extends Authored> {
  readonly update: U
  /** Without what its writer may not bring. */
  readonly bytes: Uint8Array
}

export interface Judged<U extends Authored> {
  /** In the order in which they count. */
  readonly updates: readonly Counted<U>[]
  readonly refused: readonly { readonly update: U; readonly reason: AuthorRefusal }[]
  readonly authors: Authors
}

export interface Author {
  readonly core: Uint8Array
  /** The session that the source proves; null where it is only known who imported it. */
  readonly session: number | null
}

type Judging = Pick<DocumentEngine<EngineDoc>, 'spans' | 'only'>

/** Whose each source is, and when its parts were written. Rank, until there is membership: the smaller core. */
export class Authors {
  readonly #authors = new Map<Source, Author>()
  /** When what they proved or imported was written. */
  readonly minutes: Minutes

  constructor(minutes = new Minutes()) {
    this.minutes = minutes
  }

  of(source: Source): Author | null {
    return this.#authors.get(source) ?? null
  }

  *[Symbol.iterator](): IterableIterator<readonly [Source, Author]> {
    yield* this.#authors
  }

  /**
   * What of one more update counts, and notes whose its sources are. 'contested' where somebody else had brought a source of it:
   * then it matters which of them counts, and all updates are to be judged again, together. What does not read brings nothing.
   */
  judge(engine: Judging, update: Authored): Uint8Array | 'forged' | 'contested' {
    const brought = engine.spans(update.bytes)
    if (brought === null) return update.bytes
    if (bringsForged(update, brought)) return 'forged'
    const claims = brought.sources.map((source) => claimOf(update, source))
    if (claims.some((claim) => this.#isContested(claim))) return 'contested'
    for (const claim of claims) this.take(claim)
    this.date(update, brought)
    return this.counted(engine, update, brought)
  }

  /** Notes who brings a source. False when somebody else had brought it. */
  take({ source, ...author }: Claim): boolean {
    const known = this.#authors.get(source)
    if (known !== undefined && !b4a.equals(known.core, author.core)) return false
    if (known === undefined || known.session === null) this.#authors.set(source, author)
    return true
  }

  /** Notes when what an author brings of its own was written. Of a quote nobody knows. */
  date({ core, kind, stamp, minutes }: Authored, brought: Spans): void {
    const isOwn = ({ source }: Span) => b4a.equals(this.of(source)?.core ?? core, core)
    const latest = minuteOf(stamp.ms)
    if (kind === 'update')
      for (const span of brought) if (isOwn(span)) this.minutes.add(span, latest)
    if (kind === 'quote') return
    for (const { minute, ...span } of minutes)
      if (isOwn(span)) this.minutes.add(span, Math.min(minute, latest))
  }

  /** An update without what somebody else proves to have brought. */
  counted(engine: Judging, { core, bytes }: Authored, brought: Spans): Uint8Array {
    const isOwn = (source: Source) => !this.isOthers(core, source)
    return brought.sources.every(isOwn) ? bytes : engine.only(bytes, isOwn)
  }

  /** Whether somebody else proves to have brought a source. */
  isOthers(core: Uint8Array, source: Source): boolean {
    const author = this.of(source)
    return author !== null && author.session !== null && !b4a.equals(author.core, core)
  }

  /** What is proven goes before what is not, in any order; all else depends on who is of the higher rank. */
  #isContested({ source, core, session }: Claim): boolean {
    const known = this.of(source)
    if (known === null || b4a.equals(known.core, core)) return false
    return session !== null || known.session === null
  }

  preencode(state: State): void {
    this.#write('preencode', state)
  }

  /** As caches keep it: cores count uint, 32 bytes each; sources count uint, each with 2 × its core (+1 with a session) uint, session u32; minutes. */
  encode(state: State): void {
    this.#write('encode', state)
  }

  #write(to: 'preencode' | 'encode', state: State): void {
    const { cores, claims } = this.#table()
    c.uint[to](state, cores.length)
    for (const core of cores) c.fixed32[to](state, core)
    c.uint[to](state, claims.length)
    for (const { source, author, session } of claims) {
      sourceEncoding[to](state, source)
      c.uint[to](state, author)
      if (session !== null) c.uint32[to](state, session)
    }
    this.minutes[to](state)
  }

  /** @throws Error on bytes that no version writes */
  static decode(state: State): Authors {
    const cores = Array.from({ length: c.uint.decode(state) }, () => c.fixed32.decode(state))
    const claims = Array.from({ length: c.uint.decode(state) }, () => {
      const source = sourceEncoding.decode(state)
      const author = c.uint.decode(state)
      const session = author % 2 === 1 ? c.uint32.decode(state) : null
      return { source, core: coreAt(cores, author >> 1), session }
    })
    const authors = new Authors(Minutes.decode(state))
    for (const claim of claims) authors.take(claim)
    return authors
  }

  #table() {
    const indices = new Map<string, number>()
    const cores: Uint8Array[] = []
    const claims = [...this.#authors].map(([source, { core, session }]) => {
      const name = b4a.toString(core, 'latin1')
      const index = indices.get(name) ?? cores.push(core) - 1
      indices.set(name, index)
      return { source, author: index * 2 + (session === null ? 0 : 1), session }
    })
    return { cores, claims }
  }
}

function coreAt(cores: readonly Uint8Array[], index: number): Uint8Array {
  const core = cores[index]
  if (core === undefined) throw new Error('An author that is not listed')
  return core
}

interface Claim extends Author {
  readonly source: Source
}

function claimOf({ core, derived }: Authored, source: Source): Claim {
  return { source, core, session: derived.get(source) ?? null }
}

/** Whether an update does not keep to its writer's sources. What does not read brings nothing. */
export function isForged(engine: Pick<Judging, 'spans'>, update: Authored): boolean {
  return bringsForged(update, engine.spans(update.bytes) ?? new Spans())
}

function bringsForged({ isImport, derived }: Authored, brought: Spans): boolean {
  return !isImport && brought.sources.some((source) => !derived.has(source))
}

/** All updates of a document, in no order. */
export function judge<U extends Authored>(engine: Judging, updates: readonly U[]): Judged<U> {
  const refused: { update: U; reason: AuthorRefusal }[] = []
  const kept: { update: U; brought: Spans | null }[] = []
  for (const update of updates) {
    const brought = engine.spans(update.bytes)
    if (brought !== null && bringsForged(update, brought))
      refused.push({ update, reason: 'forged' })
    else kept.push({ update, brought }) // what cannot be read is refused by whoever applies it
  }
  const authors = authorsOf(kept)
  const allowed = kept.flatMap(({ update, brought }) => {
    if (brought === null) return [{ update, bytes: update.bytes }]
    const isTaken = (source: Source) =>
      update.derived.has(source) && authors.isOthers(update.core, source)
    if (brought.sources.some(isTaken)) {
      refused.push({ update, reason: 'taken' })
      return []
    }
    authors.date(update, brought)
    return [{ update, bytes: authors.counted(engine, update, brought) }]
  })
  return { updates: inOrder(allowed), refused, authors }
}

/** What is proven goes before what is not, then the higher rank. */
function authorsOf(kept: readonly { readonly update: Authored; readonly brought: Spans | null }[]) {
  const authors = new Authors()
  const all = kept.flatMap(({ update, brought }) =>
    (brought?.sources ?? []).map((source) => claimOf(update, source))
  )
  const isImported = ({ session }: Claim) => Number(session === null)
  all.sort((a, b) => isImported(a) - isImported(b) || b4a.compare(a.core, b.core))
  for (const claim of all) authors.take(claim)
  return authors
}
/** Within a log by number, whatever its stamps say: of what it says twice, the first counts. */
function inOrder<T extends { readonly update: Authored }>(all: readonly T[]): readonly T[] {
  const latest = new Map<string, Stamp>()
  const byNumber = all.toSorted(
    ({ update: a }, { update: b }) => b4a.compare(a.core, b.core) || a.number - b.number
  )
  const timed = byNumber.map((each) => {
    const log = b4a.toString(each.update.core, 'hex')
    const before = latest.get(log)
    const { stamp } = each.update
    const time = before === undefined || compareStamps(before, stamp) < 0 ? stamp : before
    latest.set(log, time)
    return { each, time }
  })
  // The sort keeps the order by core and number among equals.
  const ordered = timed.sort(
    (a, b) =>
      turnOf(a.each.update) - turnOf(b.each.update) ||
      (a.each.update.isImport ? 0 : compareStamps(a.time, b.time))
  )
  return ordered.map(({ each }) => each)
}

/** Imports first: nothing that is written here goes before what was there. Snapshots hold what the others' updates stand on. */
function turnOf({ isImport, kind }: Authored): number {
  return isImport ? 0 : kind === 'snapshot' ? 1 : 2
}
