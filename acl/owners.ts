/**
 * The list of owners: who has a vote, where it is given, and which ballots were carried. Resolved before anything else, from votes
 * and from what the recovery keys say, because everything else depends on it.
 */
import type { Claims, Recovery, Successor } from './claims.ts'
import type { Logs } from './forks.ts'
import type { Entry, History } from './history.ts'
import type { BallotChange, DeviceClaim, Head, Key, VoteRecord } from './records.ts'
import type { Ballot } from './registry.ts'

/** One time of being an owner. */
export interface Term {
  readonly identity: Key
  readonly member: DeviceClaim
  /** The acl core in which its vote is given, until it is succeeded or the recovery key moves it. */
  readonly core: Key
  /** Null of the founder. */
  readonly ballot: Ballot | null
  /** The ballot that ended it. */
  readonly until: Ballot | null
}

/** A ballot with votes but no majority. */
export interface PendingBallot {
  readonly change: BallotChange['kind']
  readonly identity: Key
  /** For an addition, the acl core it names. */
  readonly core: Key | null
  readonly votes: readonly Entry[]
}

export interface Owners {
  readonly generation: Key
  readonly terms: readonly Term[]
  readonly ballots: readonly Ballot[]
  readonly pending: readonly PendingBallot[]
  /** In which cores each term's vote is given. */
  readonly votingCores: ReadonlyMap<Term, ReadonlySet<Key>>
  /** All votes that were the first of their owner in their generation. */
  readonly counted: ReadonlySet<Entry>
}

/** Where an owner's votes are found: a core, and how far it counts. */
interface VotingLog {
  readonly core: Key
  readonly length: number
}

interface Vote {
  readonly entry: Entry
  readonly change: BallotChange
}

/** One way of changing the list: votes for the same are added up. */
interface Proposal {
  readonly change: BallotChange
  readonly votes: Vote[]
}

/** Makes a key of text: BLAKE2b-256 in real spaces. */
export type Hash = (text: string) => Key

export class Electorate {
  readonly #history: History
  readonly #claims: Claims
  readonly #logs: Logs
  readonly #hash: Hash
  readonly #terms: Term[] = []
  readonly #ballots: Ballot[] = []
  readonly #counted = new Set<Entry>()
  /** Cores of removed owners: they stay where the ballot left them. */
  readonly #stale = new Set<Key>()

  constructor(history: History, claims: Claims, logs: Logs, hash: Hash) {
    this.#history = history
    this.#claims = claims
    this.#logs = logs
    this.#hash = hash
  }

  /** RULE 7: Owners are a closed list, changed only by a ballot: votes of more than half of all current owners. */
  resolve(founder: DeviceClaim): Owners {
    const root = this.#claims.space
    this.#terms.push({
      identity: founder.identity,
      member: founder,
      core: root,
      ballot: null,
      until: null
    })
    let generation = this.#hash(`owners/${root}`)
    for (;;) {
      const proposals = this.#proposals(generation)
      const electorate = this.#current().length
      const carried = proposals.find(({ votes }) => votes.length * 2 > electorate)
      if (carried === undefined) return this.#result(generation, proposals)
      generation = this.#hash(`${generation}/${nameOf(carried.change)}`)
      this.#carry(carried, electorate, generation)
    }
  }

  #current(): readonly Term[] {
    return this.#terms.filter(({ until }) => until === null)
  }

  #proposals(generation: Key): readonly Proposal[] {
    const proposals = new Map<string, Proposal>()
    for (const term of this.#current()) {
      const vote = this.#firstVote(term, generation)
      if (vote === null) continue
      this.#counted.add(vote.entry)
      const name = nameOf(vote.change)
      const proposal = proposals.get(name) ?? { change: vote.change, votes: [] }
      proposals.set(name, proposal)
      proposal.votes.push(vote)
    }
    return [...proposals.values()]
  }

  #firstVote(term: Term, generation: Key): Vote | null {
    for (const { core, length } of this.#votingLogs(term)) {
      for (const entry of this.#logs.votes(core)) {
        const { record } = entry
        if (!isVote(record) || record.generation !== generation) continue
        if (!this.#isPossible(entry, record.change)) continue
        if (entry.index < length || this.#isBuiltOn(entry, record, term)) {
          return { entry, change: record.change }
        }
      }
    }
    return null
  }

  #isPossible(entry: Entry, change: BallotChange): boolean {
    const current = this.#current()
    if (change.kind === 'remove') {
      // RULE 11: A space never ends without an owner: removal of the only owner is void.
      return current.length > 1 && current.some(({ identity }) => identity === change.identity)
    }
    const isOwner = current.some(({ identity }) => identity === change.member.identity)
    const isFresh = change.cores.every(({ core }) => !this.#stale.has(core))
    return !isOwner && isFresh && this.#claims.isSigned(entry)
  }

  #carry({ change, votes }: Proposal, electorate: number, id: Key): void {
    const identity = change.kind === 'add' ? change.member.identity : change.identity
    const generation = this.#ballots.length
    const entries = votes.map(({ entry }) => entry)
    const ballot = { generation, id, change: change.kind, identity, votes: entries, electorate }
    if (change.kind === 'remove') return this.#remove(ballot, votes)
    const carried = { ...ballot, cuts: new Map<Key, number>() }
    this.#ballots.push(carried)
    const core = aclCoreOf(change) ?? ''
    this.#terms.push({ identity, member: change.member, core, ballot: carried, until: null })
  }

  #remove(ballot: Omit<Ballot, 'cuts'>, votes: readonly Vote[]): void {
    const at = this.#terms.findIndex((t) => t.identity === ballot.identity && t.until === null)
    const term = this.#terms[at]
    if (term === undefined) return
    const until = { ...ballot, cuts: this.#removalCuts(term, ballot, votes) }
    this.#ballots.push(until)
    this.#terms[at] = { ...term, until }
    for (const core of until.cuts.keys()) this.#stale.add(core)
  }

  /**
   * The greatest length that the votes of a majority name or exceed; it never reaches the votes counted before it. Whom it removes has no
   * say in it: by voting late it would raise its own cut. Where its vote made the majority, all the others must agree.
   */
  #removalCuts(term: Term, { electorate }: Omit<Ballot, 'cuts'>, votes: readonly Vote[]) {
    const own = this.#votingLogs(term)
    const others = votes.filter(({ entry }) => !own.some(({ core }) => core === entry.core))
    const named = new Map<Key, number[]>()
    for (const { change } of others) {
      if (change.kind === 'add') continue
      for (const { core, length } of firstOfEach(change.cuts)) {
        named.set(core, [...(named.get(core) ?? []), length])
      }
    }
    const majority = Math.floor(electorate / 2) + 1
    const agreeing = Math.min(majority, others.length)
    const cuts = new Map<Key, number>()
    for (const [core, lengths] of named) {
      lengths.sort((a, b) => b - a)
      cuts.set(core, lengths[agreeing - 1] ?? 0)
    }
    for (const { core } of own) {
      const settled = this.#logs
        .votes(core)
        .filter((vote) => this.#isSettled(vote, others, agreeing))
      const floor = Math.max(0, ...settled.map(({ index }) => index + 1))
      cuts.set(core, Math.max(cuts.get(core) ?? 0, floor))
    }
    return cuts
  }

  /** Counted, and known to a majority when it voted: what a removed owner votes afterwards must not move its own cut. */
  #isSettled(vote: Entry, removal: readonly Vote[], majority: number): boolean {
    const knowing = removal.filter(({ entry }) => this.#history.sees(entry, vote))
    return this.#counted.has(vote) && knowing.length >= majority
  }

  /**
   * Whether most other owners, voting on another list, had seen this vote. Then not even the recovery key takes it back: a removed owner
   * would undo all ballots that its vote decided, its own removal among them. Whom the vote removes is none of the others: by voting
   * late it would choose between two cuts of its own.
   */
  #isBuiltOn(vote: Entry, { generation, change }: VoteRecord, { identity }: Term): boolean {
    const removed = change.kind === 'remove' ? change.identity : null
    const others = this.#current().filter(
      (term) => term.identity !== identity && term.identity !== removed
    )
    const relying = others.filter((term) =>
      this.#votingLogs(term).some(({ core, length }) =>
        this.#logs.votes(core).some((later) => {
          const isLater = isVote(later.record) && later.record.generation !== generation
          return isLater && later.index < length && this.#history.sees(later, vote)
        })
      )
    )
    return relying.length * 2 > others.length
  }

  /** RULE 7: one identity, one vote, given in one core only: the acl core that its ballot names, and its successors. */
  #votingLogs(term: Term): readonly VotingLog[] {
    const moves = liveRecoveries(this.#claims, this.#logs, term.identity).filter(
      ({ entry, record }) => record.movesVote && !this.#isBefore(entry, term)
    )
    const places = movedPlaces(this.#history, moves)
    const first = { core: term.core, member: term.member }
    return [
      first,
      ...places.map(({ entry, record }) => ({ core: entry.core, member: record.member }))
    ].flatMap(({ core, member }) => this.#withSuccessors(core, member))
  }

  /** Whether the ballot that made the owner already knew of this. */
  #isBefore(recovery: Entry, { ballot }: Term): boolean {
    return ballot !== null && ballot.votes.some((vote) => this.#history.sees(vote, recovery))
  }

  #withSuccessors(core: Key, member: DeviceClaim): readonly VotingLog[] {
    const length = this.#votingLength(core, member)
    const next = successorsOf(this.#claims, this.#logs, core).find(
      ({ record }) =>
        continues(this.#history, record.old, core, length) &&
        record.member.device === member.device &&
        record.member.identity === member.identity
    )
    const own = { core, length }
    return next === undefined ? [own] : [own, ...this.#withSuccessors(next.entry.core, member)]
  }

  /** RULE 8: an owner's voting core is cut by no other device of its identity, only by the phrase. */
  #votingLength(core: Key, { identity, device }: DeviceClaim): number {
    const recoveries = liveRecoveries(this.#claims, this.#logs, identity)
    const phrase = phraseCut(this.#history, recoveries, core, device)
    return Math.min(this.#logs.lengthOf(core), phrase ?? Infinity)
  }

  #result(generation: Key, proposals: readonly Proposal[]): Owners {
    const pending = proposals.map(({ change, votes }) => ({
      change: change.kind,
      identity: change.kind === 'add' ? change.member.identity : change.identity,
      core: change.kind === 'add' ? aclCoreOf(change) : null,
      votes: votes.map(({ entry }) => entry)
    }))
    const votingCores = new Map(
      this.#terms.map((term) => [term, new Set(this.#votingLogs(term).map(({ core }) => core))])
    )
    return {
      generation,
      terms: this.#terms,
      ballots: this.#ballots,
      pending,
      votingCores,
      counted: this.#counted
    }
  }
}

function isVote(record: Entry['record']): record is VoteRecord {
  return typeof record !== 'string' && record.kind === 'vote'
}

/** What a ballot is about, as the next generation's name is made of it. */
function nameOf(change: BallotChange): string {
  if (change.kind === 'remove') return `remove/${change.identity}`
  const { identity, device } = change.member
  return `add/${identity}/${device}/${aclCoreOf(change) ?? ''}`
}

/** The least, where there are several: the order of a list says nothing. */
function aclCoreOf({ cores }: Extract<BallotChange, { readonly kind: 'add' }>): Key | null {
  const acl = cores.filter(({ use }) => use === 'acl').map(({ core }) => core)
  return acl.sort()[0] ?? null
}

/** A core that a record names twice counts once, with the greater length. */
export function firstOfEach(cuts: readonly Head[]): Iterable<Head> {
  const each = new Map<Key, Head>()
  for (const cut of cuts) {
    const known = each.get(cut.core)
    if (known === undefined || known.length < cut.length) each.set(cut.core, cut)
  }
  return each.values()
}

/** Succession records that stand on the surviving history of their own core, the least core first. */
export function successorsOf(claims: Claims, logs: Logs, core: Key): readonly Successor[] {
  const all = claims.successorsOf(core)
  if (all.length === 0) return all
  return all
    .filter(({ entry }) => logs.has(entry))
    .sort((a, b) => (a.entry.core < b.entry.core ? -1 : 1))
}

/** RULE 9: A successor counts only while the old acl core is held to the length it names: of one in which nothing stands, always. */
export function continues(
  history: History,
  old: readonly Head[],
  core: Key,
  length: number
): boolean {
  const head = old.find((each) => each.core === core)
  if (head === undefined || head.length > length) return false
  return head.length === 0 || history.at(head) !== null
}

/** The statements of the identity's recovery key; one that has seen another comes after it, the rest by core. */
export function liveRecoveries(claims: Claims, logs: Logs, identity: Key): readonly Recovery[] {
  const all = claims.recoveriesOf(identity)
  if (all.length === 0) return all
  return all
    .filter(({ entry }) => logs.has(entry))
    .sort((a, b) => (a.entry.core < b.entry.core ? -1 : 1))
}

/** The last place that the recovery key moved the vote to, and the places on the way to it. */
function movedPlaces(history: History, moves: readonly Recovery[]): readonly Recovery[] {
  const last = moves.find(({ entry }) => !moves.some((other) => history.sees(other.entry, entry)))
  if (last === undefined) return []
  const before = moves.filter(({ entry }) => history.sees(last.entry, entry))
  return [...movedPlaces(history, before), last]
}

/** Where the recovery key says that a core ends; null where it says nothing. The one that has seen the others, else the lower. */
export function phraseCut(
  history: History,
  recoveries: readonly Recovery[],
  core: Key,
  device: Key
): number | null {
  const said = recoveries.flatMap(({ entry, record }) => {
    const named = record.cuts.find((cut) => cut.core === core)
    const isOwn = entry.core === core || record.cores.some((claim) => claim.core === core)
    if (named !== undefined) return { entry, length: named.length }
    return record.revoked.includes(device) && !isOwn ? { entry, length: 0 } : []
  })
  const last = said.filter(({ entry }) => !said.some((other) => history.sees(other.entry, entry)))
  return last.length === 0 ? null : Math.min(...last.map(({ length }) => length))
}
