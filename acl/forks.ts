/**
 * Cores with more than one history, and which of them counts. A fork is seen where two branches of a log are held, where somebody
 * published a proof, or in successions that contradict each other or what others hold. It costs a core, not a person.
 *
 * It takes two passes over the membership. In the first, every forked core ends where its histories part: that gives the
 * ranks by which, for the second, the branch of the highest-ranking acknowledger is chosen.
 */
import type { Claims, Successor } from './claims.ts'
import { isAck, type Entry, type History } from './history.ts'
import type { DeviceClaim, Head, Key } from './records.ts'
import { NO_OFFICE } from './registry.ts'

/** Where a forked core ends. */
export interface ForkCut {
  readonly core: Key
  /** Its histories agree up to here. */
  readonly common: number
  readonly length: number
  /** Of the branch that was chosen, at `length`; null where it ends at or below `common`. */
  readonly treeHash: Key | null
}

/** What was acknowledged under a membership. */
export interface Acknowledgement {
  readonly entry: Entry
  readonly head: Head
  readonly identity: Key
  /** Rank of the office under which it counts. */
  readonly order: number
}

export type ForkCuts = ReadonlyMap<Key, ForkCut>

/** The logs as they count once forks are cut: of each core one history. */
export class Logs {
  readonly #history: History
  readonly #cuts: ForkCuts
  readonly #cache = new Map<Key, readonly Entry[]>()
  readonly #acts = new Map<Key, readonly Entry[]>()
  readonly #votes = new Map<Key, readonly Entry[]>()

  constructor(history: History, cuts: ForkCuts) {
    this.#history = history
    this.#cuts = cuts
  }

  lengthOf(core: Key): number {
    return this.#cuts.get(core)?.length ?? Infinity
  }

  /** Of the branch that was chosen, where it was cut. */
  hashOf(core: Key): Key | null {
    return this.#cuts.get(core)?.treeHash ?? null
  }

  entries(core: Key): readonly Entry[] {
    const known = this.#cache.get(core)
    if (known !== undefined) return known
    const entries = this.#read(core)
    this.#cache.set(core, entries)
    return entries
  }

  #read(core: Key): readonly Entry[] {
    const cut = this.#cuts.get(core)
    const tips = this.#history.tips(core)
    const [first] = tips
    if (first === undefined) return []
    if (cut === undefined) return this.#history.branch(first)
    const end = cut.treeHash === null ? null : this.#history.at({ ...cut, treeHash: cut.treeHash })
    return this.#history.branch(end ?? first).slice(0, cut.length)
  }

  /** How many records count of a core. */
  countOf(core: Key): number {
    const [first] = this.#history.tips(core)
    if (first === undefined || this.#cuts.has(core)) return this.entries(core).length
    return first.index + 1
  }

  /** All but acknowledgements. */
  acts(core: Key): readonly Entry[] {
    const [first] = this.#history.tips(core)
    if (first !== undefined && !this.#cuts.has(core)) return this.#history.acts(first)
    const known = this.#acts.get(core)
    if (known !== undefined) return known
    const acts = this.entries(core).filter((entry) => !isAck(entry))
    this.#acts.set(core, acts)
    return acts
  }

  votes(core: Key): readonly Entry[] {
    const known = this.#votes.get(core)
    if (known !== undefined) return known
    const votes = this.acts(core).filter(
      ({ record }) => typeof record !== 'string' && record.kind === 'vote'
    )
    this.#votes.set(core, votes)
    return votes
  }

  has(entry: Entry): boolean {
    return this.entries(entry.core)[entry.index] === entry
  }
}

/** Two successions that contradict each other, or one that contradicts what stands in the core it continues. */
interface Succession {
  readonly old: Key
  readonly successors: readonly Successor[]
  /** The least length at which one of them goes on. */
  readonly from: number
  readonly isDouble: boolean
}

export class Forks {
  readonly #history: History
  readonly #claims: Claims
  readonly #root: Key
  readonly #commons: ReadonlyMap<Key, number>
  readonly #successions: readonly Succession[]

  constructor(history: History, claims: Claims, root: Key) {
    this.#history = history
    this.#claims = claims
    this.#root = root
    this.#commons = this.#findCommons()
    this.#successions = [...claims.succeeded()].flatMap((old) => this.#successionOf(old) ?? [])
  }

  /** Whether a second pass can be spared. */
  get areNone(): boolean {
    return this.#commons.size === 0 && this.#successions.length === 0
  }

  /** Every forked core ends where its histories part. */
  provisional(): ForkCuts {
    const cuts = new Map<Key, ForkCut>()
    for (const [core, common] of this.#commons) {
      lower(cuts, this.#founding(core, { core, common, length: common, treeHash: null }))
    }
    for (const { old, successors, from, isDouble } of this.#successions) {
      if (!isDouble) lower(cuts, { core: old, common: from, length: from, treeHash: null })
      for (const { entry } of successors)
        lower(cuts, this.#founding(entry.core, atStart(entry.core)))
    }
    return cuts
  }

  /**
   * FORKS: A forked core is cut at the greatest length acknowledged on one branch by another identity, the branch of the
   * highest-ranking acknowledger (without an office last, by key), and never below the last common length.
   */
  decide(acknowledged: (core: Key) => readonly Acknowledgement[], ownerOf: OwnerOf): ForkCuts {
    const cuts = new Map<Key, ForkCut>()
    const byOthers = (core: Key) =>
      acknowledged(core)
        .filter(({ identity }) => identity !== ownerOf(core))
        .sort(byRank)
    for (const [core, common] of this.#commons) {
      lower(cuts, this.#founding(core, this.#branchCut(core, common, byOthers(core))))
    }
    for (const each of this.#successions) this.#decideSuccession(each, byOthers, cuts)
    return cuts
  }

  #findCommons(): ReadonlyMap<Key, number> {
    const commons = new Map(this.#claims.forks)
    for (const core of this.#history.cores()) {
      const tips = this.#history.tips(core)
      if (tips.length < 2) continue
      const branches = tips.map((tip) => this.#history.branch(tip))
      commons.set(core, Math.min(commons.get(core) ?? Infinity, commonLength(branches)))
    }
    return commons
  }

  /** RULE 9: Two successors of one core, or one that names less of an acl core than another identity has acknowledged, are a fork. */
  #successionOf(old: Key): Succession | null {
    if (this.#history.tips(old).length === 0) return null
    const successors = this.#claims
      .successorsOf(old)
      .filter(({ entry }) => entry.core !== old)
      .sort((a, b) => (a.entry.core < b.entry.core ? -1 : 1))
    const cores = new Set(successors.map(({ entry }) => entry.core))
    const from = Math.min(...successors.map(({ record }) => lengthIn(record.old, old)))
    const isDouble = cores.size > 1
    return isDouble || this.#isContradicted(old, from) ? { old, successors, from, isDouble } : null
  }

  /** Whether anybody at all says that there is more; by whom, is decided with the ranks. */
  #isContradicted(old: Key, from: number): boolean {
    const said = this.#claims.acknowledgedOf(old)
    return said.some(({ head }) => head.length > from && this.#history.at(head) !== null)
  }

  #branchCut(core: Key, common: number, acks: readonly Acknowledgement[]): ForkCut {
    let best: Head | null = null
    for (const { head } of acks) {
      if (head.length <= common) continue
      if (best === null ? this.#isKnown(core, head) : this.#continues(head, best)) best = head
    }
    return { core, common, length: best?.length ?? common, treeHash: best?.treeHash ?? null }
  }

  /** Of a data core only lengths and hashes are known here; of an acl core what is named must be held. */
  #isKnown(core: Key, head: Head): boolean {
    const entry = this.#history.at(head)
    if (entry === null) return this.#history.tips(core).length === 0
    return core !== this.#root || this.#isFounded(entry)
  }

  #continues(head: Head, best: Head): boolean {
    const later = this.#history.at(head)
    const earlier = this.#history.at(best)
    if (later === null || earlier === null || later.index <= earlier.index) return false
    return this.#history.branch(later)[earlier.index] === earlier
  }

  #decideSuccession(
    { old, successors, from, isDouble }: Succession,
    byOthers: (core: Key) => readonly Acknowledgement[],
    cuts: Map<Key, ForkCut>
  ): void {
    const ofOld = byOthers(old).filter(
      ({ head }) => head.length > from && this.#history.at(head) !== null
    )
    if (!isDouble && ofOld.length === 0) return
    const ofNew = successors.flatMap(({ entry }) => byOthers(entry.core))
    const [best] = [...ofOld, ...ofNew]
      .filter(({ head }) => this.#history.at(head) !== null)
      .sort(byRank)
    const winner = best?.head.core ?? this.#unheard(successors)
    for (const { entry, record } of successors) {
      const { core } = entry
      // The one that counts is a log like any other: its writer goes on in it.
      if (core !== winner) lower(cuts, this.#founding(core, atStart(core)))
      const length = lengthIn(record.old, old)
      const isOldShown = ofOld.some(({ head }) => head.length > length)
      if (core === winner && isOldShown)
        lower(cuts, { core: old, common: length, length, treeHash: null })
    }
    if (winner === old) lower(cuts, this.#branchCut(old, from, byOthers(old)))
  }

  /**
   * RULE 9: Of two successors that nobody has acknowledged who was in where they part, one counts all the same, or a founder that was
   * alone would be lost with both: the one that has let in more others, of equals the lesser by its key. What is asked stands in
   * the logs of the device itself: nobody follows those whom a void one let in.
   */
  #unheard(successors: readonly Successor[]): Key | null {
    let most: { readonly core: Key; readonly count: number } | null = null
    for (const { entry, record } of successors) {
      const count = this.#letInBy(entry.core, record.member).size
      if (most === null || count > most.count) most = { core: entry.core, count }
    }
    return most?.core ?? null
  }

  /** Identities to which a log, or one that goes on from it, has granted something. */
  #letInBy(core: Key, member: DeviceClaim, seen = new Set<Key>()): ReadonlySet<Key> {
    const letIn = new Set<Key>()
    if (seen.has(core)) return letIn
    seen.add(core)
    for (const tip of this.#history.tips(core)) {
      for (const entry of this.#history.acts(tip)) {
        const { record } = entry
        if (typeof record === 'string' || record.kind !== 'grant') continue
        const { identity } = record.member
        if (identity !== member.identity && this.#claims.isSigned(entry)) letIn.add(identity)
      }
    }
    for (const { entry, record } of this.#claims.successorsOf(core)) {
      if (record.member.device !== member.device) continue
      for (const identity of this.#letInBy(entry.core, member, seen)) letIn.add(identity)
    }
    return letIn
  }

  /** RULE 1: The root's founding always counts; of several the one with the least hash, until somebody acknowledges another. */
  #founding(core: Key, cut: ForkCut): ForkCut {
    if (core !== this.#root || cut.length > 0) return cut
    const founded = this.#history.tips(core).filter((tip) => this.#isFounded(tip))
    const hashes = founded.flatMap((tip) => this.#history.branch(tip)[0]?.treeHash ?? [])
    return { ...cut, length: 1, treeHash: hashes.sort()[0] ?? null }
  }

  #isFounded(tip: Entry): boolean {
    const [first] = this.#history.branch(tip)
    if (first === undefined || typeof first.record === 'string') return false
    return first.record.kind === 'found' && this.#claims.isSigned(first)
  }
}

/** Whose core it is; undefined for nobody's. */
type OwnerOf = (core: Key) => Key | undefined

function atStart(core: Key): ForkCut {
  return { core, common: 0, length: 0, treeHash: null }
}

/** Of several cuts the lower binds. */
function lower(cuts: Map<Key, ForkCut>, cut: ForkCut): void {
  const known = cuts.get(cut.core)
  if (known === undefined || cut.length < known.length) cuts.set(cut.core, cut)
}

function lengthIn(heads: readonly Head[], core: Key): number {
  return heads.find((head) => head.core === core)?.length ?? 0
}

function commonLength(branches: readonly (readonly Entry[])[]): number {
  const [first = []] = branches
  const end = first.findIndex((entry, i) => branches.some((branch) => branch[i] !== entry))
  return end === -1 ? first.length : end
}

/** The highest-ranking acknowledger first, those without an office last, by key; of one acknowledger the greatest length first. */
function byRank(a: Acknowledgement, b: Acknowledgement): number {
  if (a.order !== b.order) return a.order - b.order
  if (a.order === NO_OFFICE && a.identity !== b.identity) return a.identity < b.identity ? -1 : 1
  if (a.head.length !== b.head.length) return b.head.length - a.head.length
  return compareText(a.head.core, b.head.core) || compareText(a.head.treeHash, b.head.treeHash)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
