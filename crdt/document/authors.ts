/**
 * Who wrote what in a document. What an engine counts its parts under, a *source*, is derived from the log that they stand in: then
 * an entry proves whose its parts are, and nobody can write under somebody else's source.
 *
 * What is brought in from elsewhere, an older document of an application's, has sources of its own. It is marked as an import, and
 * proves nothing: what an author proves to be its own, it brings itself.
 *
 * A document is what its judged updates say in this order: imports by rank, then what is proven, by time. For honest updates any
 * order gives the same, so whoever watches applies them as they come; only where two writers bring the same source does
 * the order matter. `Claims` tells when that is so.
 *
 * Documents do not ask this yet: the client ids that they use are random.
 */
import b4a from 'b4a'
import { compareStamps, type Stamp } from '../../clock/index.ts'
import type { DocumentEngine, EngineDoc } from './engine.ts'
import type { Source, Spans } from './spans.ts'

/** One update, and what its entry says of its sources. */
export interface Authored {
  /** The core whose log it stands in. */
  readonly core: Uint8Array
  /** Rises in each log. */
  readonly number: number
  readonly stamp: Stamp
  /** What is derived from the core; all others that it brings are imported. */
  readonly derived: ReadonlySet<Source>
  readonly isImport: boolean
  /** It stands for all that its writer had said before. */
  readonly isSnapshot: boolean
  readonly bytes: Uint8Array
}

export type AuthorRefusal =
  /** It brings parts under a source that is not its writer's, and does not call them imported. */
  | 'forged'
  /** Of two logs from which one source derives, the other counts: somebody searched long for this. */
  | 'taken'

export interface Judged<U extends Authored> {
  /** In the order in which they count; `bytes` without what their writer may not bring. */
  readonly updates: readonly { readonly update: U; readonly bytes: Uint8Array }[]
  readonly refused: readonly { readonly update: U; readonly reason: AuthorRefusal }[]
  readonly claims: Claims
}

interface Claim {
  readonly core: Uint8Array
  readonly isProven: boolean
}

/** Whose each source is. Rank, until there is membership: the smaller core. */
export class Claims {
  readonly #claims = new Map<Source, Claim>()

  of(source: Source): Claim | null {
    return this.#claims.get(source) ?? null
  }

  *[Symbol.iterator](): IterableIterator<readonly [Source, Claim]> {
    yield* this.#claims
  }

  /**
   * Notes who brings a source. False when somebody else had brought it: then it matters which of them counts, and all updates are to
   * be judged again, together.
   */
  take(source: Source, claim: Claim): boolean {
    const known = this.#claims.get(source)
    if (known === undefined) this.#claims.set(source, claim)
    else if (!b4a.equals(known.core, claim.core)) return false
    else if (claim.isProven) this.#claims.set(source, claim)
    return true
  }

  /** The same for all that an update brings. */
  takeAll({ core, derived }: Authored, brought: Spans): boolean {
    const taken = brought.sources.map((source) =>
      this.take(source, { core, isProven: derived.has(source) })
    )
    return taken.every(Boolean)
  }
}

/** Whether an update keeps to its writer's sources. */
function isForged({ isImport, derived }: Authored, brought: Spans): boolean {
  return !isImport && brought.sources.some((source) => !derived.has(source))
}

/** All updates of a document, in no order. */
export function judge<U extends Authored>(
  engine: Pick<DocumentEngine<EngineDoc>, 'spans' | 'only'>,
  updates: readonly U[]
): Judged<U> {
  const refused: { update: U; reason: AuthorRefusal }[] = []
  const kept: { update: U; brought: Spans | null }[] = []
  for (const update of updates) {
    const brought = engine.spans(update.bytes)
    if (brought !== null && isForged(update, brought)) refused.push({ update, reason: 'forged' })
    else kept.push({ update, brought }) // what cannot be read is refused by whoever applies it
  }
  const claims = claimsOf(kept)
  const isOthers = ({ core }: Authored, source: Source) => {
    const claim = claims.of(source)
    return claim !== null && claim.isProven && !b4a.equals(claim.core, core)
  }
  const allowed = kept.flatMap(({ update, brought }) => {
    const isTaken = (source: Source) => update.derived.has(source) && isOthers(update, source)
    if (brought?.sources.some(isTaken)) {
      refused.push({ update, reason: 'taken' })
      return []
    }
    const isFree = (brought?.sources ?? []).every((source) => !isOthers(update, source))
    const own = (source: Source) => !isOthers(update, source)
    return [{ update, bytes: isFree ? update.bytes : engine.only(update.bytes, own) }]
  })
  return { updates: inOrder(allowed), refused, claims }
}

/** What is proven goes before what is not, then the higher rank. */
function claimsOf(kept: readonly { readonly update: Authored; readonly brought: Spans | null }[]) {
  const claims = new Claims()
  const all = kept.flatMap(({ update: { core, derived }, brought }) =>
    (brought?.sources ?? []).map((source) => ({ source, core, isProven: derived.has(source) }))
  )
  all.sort((a, b) => Number(b.isProven) - Number(a.isProven) || b4a.compare(a.core, b.core))
  for (const { source, ...claim } of all) claims.take(source, claim)
  return claims
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
function turnOf({ isImport, isSnapshot }: Authored): number {
  return isImport ? 0 : isSnapshot ? 1 : 2
}
