/**
 * Where each core ends. Five hands can end a core: a fork, a ballot, the recovery key, its own identity, and whoever ranks above
 * it. Each is decided for itself and the lowest binds. The answer depends on whom one asks for: under an office that a revocation
 * ended, no later readmission counts.
 */
import type { Claims } from './claims.ts'
import { push } from './claims.ts'
import type { Acknowledgement, Logs } from './forks.ts'
import type { Entry, History } from './history.ts'
import { liveRecoveries, phraseCut, type Owners, type Term } from './owners.ts'
import type { Head, Key } from './records.ts'
import {
  NO_OFFICE,
  type Ballot,
  type Core,
  type Device,
  type Grant,
  type Registry
} from './registry.ts'

/** What an identity holds by one grant of owner or admin. */
export interface Office {
  /** Its place among all offices; 0 is the highest. */
  readonly order: number
  readonly role: 'owner' | 'admin'
  readonly identity: Key
  readonly grant: Grant
  readonly term: Term | null
}

/** Somebody says where cores end. */
export interface Statement {
  readonly kind: 'revoke' | 'seal' | 'leave'
  readonly entry: Entry
  /** Rank of the office under which it was made. */
  readonly order: number
  readonly identity: Key
  /** Place of the author's device among those of its identity. */
  readonly seniority: number
  /** Of a revocation: whose. */
  readonly target: { readonly identity: Key; readonly device: Key | null } | null
  readonly cuts: ReadonlyMap<Key, Head>
  /** What had been found before it. */
  readonly tick: number
}

export type CutBy = 'fork' | 'ballot' | 'recovery' | 'own' | 'rank' | 'successor'

export interface Cut {
  /** Infinity where nothing ends it. */
  readonly length: number
  /** Of the core at this length, where somebody named it. */
  readonly treeHash: Key | null
  readonly by: CutBy | null
}

/** A statement about one core, raised to its floor. */
interface Said {
  readonly statement: Statement
  readonly length: number
  readonly treeHash: Key | null
}

/** A log was read up to a length, its records taking the ticks from `from` on. So it is known of each acknowledgement in it when it was heard. */
interface Reading {
  readonly from: number
  length: number
}

/** For what the log's author says of itself. */
interface OwnReading extends Reading {
  readonly identity: Key
  readonly seniority: number
}

/** For what the author does to others. */
interface OfficeReading extends Reading {
  readonly office: Office
}

const OPEN: Cut = { length: Infinity, treeHash: null, by: null }
const NO_STATEMENTS: readonly Statement[] = []

export interface CutsOptions {
  readonly history: History
  readonly claims: Claims
  readonly logs: Logs
  readonly registry: Registry
  readonly owners: Owners
}

export class Cuts {
  readonly #history: History
  readonly #claims: Claims
  readonly #logs: Logs
  readonly #registry: Registry
  readonly #owners: Owners
  readonly #removals = new Map<Key, Ballot[]>()
  readonly #ownerNow = new Map<Key, Term>()
  readonly #offices = new Map<Key, Office[]>()
  readonly #revocations = new Map<Key, Statement[]>()
  readonly #seals = new Map<Key, Statement[]>()
  readonly #own = new Map<Key, Statement[]>()
  readonly #ownReadings = new Map<Key, OwnReading[]>()
  readonly #officeReadings = new Map<Key, OfficeReading[]>()
  #tick = 0
  /** Once all is said. */
  #settled: Map<Core, Cut> | null = null

  constructor({ history, claims, logs, registry, owners }: CutsOptions) {
    this.#history = history
    this.#claims = claims
    this.#logs = logs
    this.#registry = registry
    this.#owners = owners
    for (const ballot of owners.ballots) {
      if (ballot.change === 'remove') push(this.#removals, ballot.identity, ballot)
    }
    for (const term of owners.terms)
      if (term.until === null) this.#ownerNow.set(term.identity, term)
  }

  isOwner(identity: Key): boolean {
    return this.#ownerNow.has(identity)
  }

  openOffice(office: Office): void {
    push(this.#offices, office.identity, office)
  }

  /** The log is read for what its author says of itself; the reader sets where that ends. */
  listen(core: Key, { identity, seniority }: Device): Reading {
    const reading = { identity, seniority, from: this.#tick, length: Infinity }
    push(this.#ownReadings, core, reading)
    this.#tick += this.#logs.countOf(core)
    return reading
  }

  /** The log is read under an office, up to this length. @returns the tick of its first record */
  heed(core: Key, length: number, office: Office): number {
    const from = this.#tick
    push(this.#officeReadings, core, { from, length, office })
    this.#tick += this.#logs.countOf(core)
    return from
  }

  /** Whether this acknowledgement counts. */
  isHeard(entry: Entry): boolean {
    return this.#logs.has(entry) && this.#ownReadingOf(entry) !== undefined
  }

  #ownReadingOf({ core, index }: Entry): OwnReading | undefined {
    return this.#ownReadings.get(core)?.find(({ length }) => index < length)
  }

  /** Of the highest office under which an acknowledgement counts. */
  #officeReadingOf(entry: Entry): OfficeReading | undefined {
    return this.#officeReadings
      .get(entry.core)
      ?.find(({ length, office }) => entry.index < length && this.sees(entry, office.grant))
  }

  heardOf(core: Key): readonly Acknowledgement[] {
    return this.#claims.acknowledgedOf(core).flatMap(({ entry, head }) => {
      const heard = this.isHeard(entry) ? this.#ownReadingOf(entry) : undefined
      if (heard === undefined) return []
      const order = this.#officeReadingOf(entry)?.office.order ?? NO_OFFICE
      return { entry, head, identity: heard.identity, order }
    })
  }

  /** An act on others: of a revocation, on an identity, else on the cores it names. */
  state(statement: Statement): void {
    const { target } = statement
    if (target !== null) push(this.#revocations, target.identity, statement)
    else for (const core of statement.cuts.keys()) push(this.#seals, core, statement)
  }

  /** An act on the author's own devices. */
  stateOwn(statement: Statement): void {
    push(this.#own, statement.identity, statement)
  }

  // Who may.

  /**
   * RULE 3: You act only on those of lower rank. On owners nobody acts alone.
   * @returns whether a holder of the office `order` may not act on this identity
   */
  isProtected(identity: Key, order: number): boolean {
    if (this.#ownerNow.has(identity)) return true
    const offices = this.#offices.get(identity) ?? []
    return offices.some((office) => office.order < order && !this.isEnded(office))
  }

  /** RULE 2: Demotion or removal ends an office; so does leaving. */
  isEnded({ identity, grant, order, role }: Office): boolean {
    const removals = this.#removals.get(identity) ?? []
    if (removals.some((ballot) => !this.isSpared(grant, ballot))) return true
    if (role === 'owner') return false
    const revocations = this.#revocationsOf(identity, order)
    return revocations.some((each) => !this.isExempt(grant, each)) || this.#isLeft(identity, grant)
  }

  /** Revocations of the whole identity by those who rank above `order` and may. */
  #revocationsOf(identity: Key, order: number): readonly Statement[] {
    const all = this.#revocations.get(identity)
    if (all === undefined) return NO_STATEMENTS
    return all.filter(
      (each) =>
        each.order < order &&
        each.target?.device === null &&
        !this.isProtected(identity, each.order)
    )
  }

  /** RULE 10: Whether the grant comes from below a revocation of the identity or the device that it had seen. */
  isBarred(grant: Grant, identity: Key, device: Key): boolean {
    const isRemoved = this.#removals
      .get(identity)
      ?.some((each) => this.#seesBallot(grant.entry, each) && !this.isSpared(grant, each))
    if (isRemoved === true) return true
    const isRevoked = this.#revocations.get(identity)?.some((each) => {
      const { device: revoked } = each.target ?? { device: null }
      if (revoked !== null && revoked !== device) return false
      if (this.isProtected(identity, each.order)) return false
      return this.#history.sees(grant.entry, each.entry) && !this.isExempt(grant, each)
    })
    return isRevoked === true
  }

  /** RULE 8, RULE 10: Devices of an identity that were revoked by name, also such as nobody has let in. */
  revokedDevices(identity: Key): ReadonlySet<Key> {
    const own = this.#own.get(identity) ?? NO_STATEMENTS
    const others = this.#revocations.get(identity) ?? NO_STATEMENTS
    const said = [...own, ...others.filter(({ order }) => !this.isProtected(identity, order))]
    return new Set(
      said.flatMap(({ kind, target }) => (kind === 'revoke' ? (target?.device ?? []) : []))
    )
  }

  /** The highest office of an identity that has not ended. */
  officeOf(identity: Key): Office | null {
    const open = (this.#offices.get(identity) ?? []).filter((office) => !this.isEnded(office))
    return open.length === 0 ? null : open.reduce((a, b) => (a.order < b.order ? a : b))
  }

  /** Whether what others gave the identity still stands. */
  stands(identity: Key, grant: Grant): boolean {
    const removals = this.#removals.get(identity)
    if (removals?.some((ballot) => !this.isSpared(grant, ballot)) === true) return false
    const revocations = this.#revocationsOf(identity, NO_OFFICE)
    if (revocations.some((each) => !this.isExempt(grant, each))) return false
    return !this.#isLeft(identity, grant)
  }

  #isLeft(identity: Key, grant: Grant): boolean {
    return this.#farewells(identity, grant).length > 0
  }

  /** The identity's first device leaves, and so do all, but under later grants. */
  #farewells(identity: Key, grant: Grant): readonly Statement[] {
    const own = this.#own.get(identity)
    if (own === undefined || this.#ownerNow.has(identity)) return NO_STATEMENTS
    const isFarewell = ({ kind, seniority }: Statement) => kind === 'leave' && seniority === 0
    return own.filter((each) => isFarewell(each) && !this.isExempt(grant, each))
  }

  // Who had seen what.

  /** Whether the record holds the grant in its causal past: of a ballot, votes of a majority. */
  sees(entry: Entry, { ballot, entry: grant }: Grant): boolean {
    return ballot === null ? this.#history.sees(entry, grant) : this.#seesBallot(entry, ballot)
  }

  #seesBallot(entry: Entry, { votes, electorate }: Ballot): boolean {
    const seen = votes.filter((vote) => this.#history.sees(entry, vote)).length
    return seen * 2 > electorate
  }

  /**
   * RULE 10: Unlisted cores count with length 0, except under a later grant that has seen the revocation; such a grant is void
   * if its author ranks below the revoker, unless it has also seen a grant that lifted the revocation.
   */
  isExempt(grant: Grant, revocation: Statement): boolean {
    if (grant.basis !== 'ballot' && !this.#history.sees(grant.entry, revocation.entry)) return false
    switch (grant.basis) {
      case 'root':
        return false
      case 'ballot':
        return this.#ballotSaw(grant, revocation.entry)
      case 'grant':
        return grant.order <= revocation.order || this.#isLifted(grant, revocation)
      case 'own':
        return this.#isOwnExempt(grant, revocation)
      case 'successor':
        return this.#restsOn(grant, grant.old[0]?.core, (each) => this.isExempt(each, revocation))
      case 'recovery':
        return revocation.identity === this.#identityOf(grant) || this.#isLifted(grant, revocation)
    }
  }

  #ballotSaw({ ballot }: Grant, entry: Entry): boolean {
    if (ballot === null) return false
    const seen = ballot.votes.filter((vote) => this.#history.sees(vote, entry)).length
    return seen * 2 > ballot.electorate
  }

  #isOwnExempt(grant: Grant, revocation: Statement): boolean {
    const author = this.#registry.cores.get(grant.entry.core)
    if (author === undefined) return false
    if (revocation.identity === author.device.identity)
      return grant.seniority <= revocation.seniority
    const device = revocation.target?.device ?? null
    if (device !== null) return this.#isLifted(grant, revocation)
    return this.#restsOn(grant, grant.entry.core, (each) => this.isExempt(each, revocation))
  }

  /** Whether a grant of this core that passes the test is in the grant's causal past. */
  #restsOn(grant: Grant, core: Key | undefined, passes: (each: Grant) => boolean): boolean {
    const grants = core === undefined ? [] : (this.#registry.cores.get(core)?.grants ?? [])
    return grants.some((each) => this.sees(grant.entry, each) && passes(each))
  }

  /** Whether the grant has seen another, of somebody who could, that let the same identity or device in again. */
  #isLifted(grant: Grant, revocation: Statement): boolean {
    const identity = this.#identityOf(grant)
    if (identity === undefined) return false
    const device = revocation.target?.device ?? null
    return this.#registry.givenTo(identity).some((each) => {
      if (each === grant || !this.sees(grant.entry, each)) return false
      if (device !== null && deviceOf(each) !== device) return false
      return this.isExempt(each, revocation)
    })
  }

  #identityOf({ entry: { record } }: Grant): Key | undefined {
    if (typeof record === 'string') return undefined
    if (record.kind === 'vote') {
      return record.change.kind === 'add' ? record.change.member.identity : undefined
    }
    return 'member' in record ? record.member.identity : undefined
  }

  /** RULE 7, RULE 10: what a ballot removed comes back by a later ballot, or by an owner that has seen it. */
  isSpared(grant: Grant, removal: Ballot): boolean {
    switch (grant.basis) {
      case 'root':
        return false
      case 'ballot':
        return (grant.ballot?.generation ?? -1) > removal.generation
      case 'grant': {
        if (!this.#seesBallot(grant.entry, removal)) return false
        return this.#isOwnersOrder(grant.order) || this.#isGivenSince(grant, removal)
      }
      case 'own':
        return this.#restsOn(grant, grant.entry.core, (each) => this.isSpared(each, removal))
      case 'successor':
        return this.#restsOn(grant, grant.old[0]?.core, (each) => this.isSpared(each, removal))
      case 'recovery':
        return this.#isGivenSince(grant, removal)
    }
  }

  #isOwnersOrder(order: number): boolean {
    return order < this.#owners.terms.length
  }

  #isGivenSince(grant: Grant, removal: Ballot): boolean {
    return this.#registry
      .givenTo(removal.identity)
      .some(
        (each) => each !== grant && this.sees(grant.entry, each) && this.isSpared(each, removal)
      )
  }

  // Where a core ends.

  /** Nothing is said any more: where a core ends is found once, however many go on from it. */
  settle(): void {
    this.#settled = new Map()
  }

  /** RULE 4: Each log counts up to the cut that higher ranks and its own identity gave it; the lower length counts. */
  of(core: Core, office: Office | null = null): Cut {
    // Nearly all go on from none: to remember those would cost more than to find them.
    const settled = office === null && core.grants[0]?.basis === 'successor' ? this.#settled : null
    const known = settled?.get(core)
    if (known !== undefined) return known
    const cut = this.#find(core, office)
    settled?.set(core, cut)
    return cut
  }

  #find(core: Core, office: Office | null): Cut {
    let cut = lower(this.#byFork(core), this.#byBallots(core, office))
    cut = lower(lower(cut, this.#byPhrase(core)), this.#byOwn(core))
    cut = lower(lower(cut, this.#byLeaving(core, office)), this.#byRanks(core, office))
    return lower(cut, this.#bySuccession(core, office))
  }

  #byFork({ core }: Core): Cut {
    const length = this.#logs.lengthOf(core)
    return length === Infinity ? OPEN : { length, treeHash: this.#logs.hashOf(core), by: 'fork' }
  }

  #byBallots(core: Core, office: Office | null): Cut {
    const removals = this.#removals.get(core.device.identity)
    if (removals === undefined) return OPEN
    let low = Infinity
    for (const removal of removals) {
      const named = removal.cuts.get(core.core)
      const isEnder = office !== null && !this.isSpared(office.grant, removal)
      if (named !== undefined) low = Math.min(low, named)
      else if (isEnder || !core.grants.some((grant) => this.isSpared(grant, removal))) low = 0
    }
    return { length: low, treeHash: null, by: 'ballot' }
  }

  #byPhrase({ core, device }: Core): Cut {
    const recoveries = liveRecoveries(this.#claims, this.#logs, device.identity)
    if (recoveries.length === 0) return OPEN
    const length = phraseCut(this.#history, recoveries, core, device.device) ?? Infinity
    return { length, treeHash: null, by: 'recovery' }
  }

  /** RULE 8: An identity revokes its own devices; among them the earlier has the higher rank. */
  #byOwn(core: Core): Cut {
    const statements = this.#own.get(core.device.identity)
    if (statements === undefined) return OPEN
    const said = statements.flatMap((each) => this.#saidByOwn(each, core) ?? [])
    return this.#decide(said, ({ statement }) => statement.seniority, 'own')
  }

  #saidByOwn(statement: Statement, core: Core): Said | null {
    const { seniority, kind, target, cuts } = statement
    const { device } = core
    const isSelf = device.seniority === seniority
    if (device.seniority < seniority) return null
    if (kind === 'leave' && this.#ownerNow.has(device.identity)) return null
    if (kind === 'revoke' && (isSelf || target?.device !== device.device)) return null
    if (!isSelf && this.#isVotingCore(core)) return null
    const isNamed = cuts.has(core.core)
    if (!isNamed && kind === 'seal') return null
    if (!isNamed && core.grants.some((grant) => this.isExempt(grant, statement))) return null
    return this.#sayOwn(statement, core)
  }

  /** A log cannot take back the very record that says so, nor what that log goes on from. */
  #sayOwn(statement: Statement, core: Core): Said {
    const { entry, cuts } = statement
    const said = this.#raise(statement, core.core, cuts.get(core.core))
    if (entry.core === core.core && said.length <= entry.index) {
      return { ...said, length: entry.index + 1, treeHash: entry.treeHash }
    }
    const length = this.#lengthUnder(entry.core, core.core)
    return said.length < length ? { ...said, length, treeHash: null } : said
  }

  /** How much of a core a successor, or one of a successor, goes on from; 0 where it does not. */
  #lengthUnder(successor: Key, core: Key): number {
    const grants = this.#registry.cores.get(successor)?.grants ?? []
    const lengths = grants.flatMap(({ old }) =>
      old.map((each) => (each.core === core ? each.length : this.#lengthUnder(each.core, core)))
    )
    return Math.max(0, ...lengths)
  }

  /** RULE 2: Under an office that its holder left, nothing said or granted since brings a core back. */
  #byLeaving(core: Core, office: Office | null): Cut {
    if (office === null) return OPEN
    const left = this.#farewells(core.device.identity, office.grant)
    const said = left.map((each) => this.#sayOwn(each, core))
    return this.#decide(said, ({ statement }) => statement.seniority, 'own')
  }

  #isVotingCore({ core, device }: Core): boolean {
    const term = this.#ownerNow.get(device.identity)
    return term !== undefined && this.#owners.votingCores.get(term)?.has(core) === true
  }

  /** RULE 5: Of several seals of one core the highest-ranking author's decides. */
  #byRanks(core: Core, office: Office | null): Cut {
    const { identity } = core.device
    const revocations = this.#revocations.get(identity) ?? NO_STATEMENTS
    const seals = this.#seals.get(core.core) ?? NO_STATEMENTS
    if (revocations.length === 0 && seals.length === 0) return OPEN
    const said: Said[] = []
    for (const statement of revocations) {
      if (this.isProtected(identity, statement.order)) continue
      const { device } = statement.target ?? { device: null }
      if (device !== null && device !== core.device.device) continue
      const named = statement.cuts.get(core.core)
      if (named !== undefined || !this.#isReadmitted(core, statement, office)) {
        said.push(this.#raise(statement, core.core, named))
      }
    }
    for (const statement of seals) {
      if (statement.identity === identity || this.isProtected(identity, statement.order)) continue
      said.push(this.#raise(statement, core.core, statement.cuts.get(core.core)))
    }
    return this.#decide(said, ({ statement }) => statement.order, 'rank')
  }

  #isReadmitted({ grants }: Core, statement: Statement, office: Office | null): boolean {
    const isEnder = statement.target?.device === null && office !== null
    if (isEnder && !this.isExempt(office.grant, statement)) return false
    return grants.some((grant) => this.isExempt(grant, statement))
  }

  /** RULE 9: A successor names the length it continues; if the core ends before, the successor is void, whoever grants it. */
  #bySuccession(core: Core, office: Office | null): Cut {
    const isHeld = core.grants.every(({ old }) =>
      old.every(({ core: key, length }) => {
        const known = this.#registry.cores.get(key)
        return known !== undefined && this.of(known, office).length >= length
      })
    )
    return isHeld ? OPEN : { length: 0, treeHash: null, by: 'successor' }
  }

  /**
   * RULE 6: A seal counts as raised to its floor: the greatest length of that core acknowledged, in the seal's causal past, by its
   * author or anyone of higher rank.
   */
  #raise(statement: Statement, core: Key, named: Head | undefined): Said {
    let length = named?.length ?? 0
    let treeHash = named?.treeHash ?? null
    for (const { entry, head } of this.#claims.acknowledgedOf(core)) {
      if (head.length <= length || !this.#binds(entry, statement)) continue
      length = head.length
      treeHash = head.treeHash
    }
    return { statement, length, treeHash }
  }

  /** Whether an acknowledgement is the statement's author's, or of anyone of higher rank, and was seen. */
  #binds(entry: Entry, { identity, seniority, order, tick, entry: by }: Statement): boolean {
    if (!this.#history.sees(by, entry) || !this.#logs.has(entry)) return false
    const isBefore = ({ from }: Reading) => from + entry.index < tick
    const own = this.#ownReadingOf(entry)
    if (own === undefined) return false
    if (own.identity === identity && own.seniority <= seniority && isBefore(own)) return true
    const reading = this.#officeReadingOf(entry)
    return reading !== undefined && reading.office.order < order && isBefore(reading)
  }

  /** How far a statement of a seal was raised; null where it was not. */
  raisedTo(statement: Statement, core: Key): number | null {
    const named = statement.cuts.get(core)
    const { length } = this.#raise(statement, core, named)
    return length > (named?.length ?? 0) ? length : null
  }

  /**
   * RULE 5: Of several seals of one core (each first raised to its floor) the highest-ranking author's decides; of one author's, the
   * one that has seen the others; if concurrent, the higher-ranking device's, then the lower length.
   */
  #decide(said: readonly Said[], rankOf: (said: Said) => number, by: CutBy): Cut {
    if (said.length === 0) return OPEN
    const top = Math.min(...said.map(rankOf))
    const ofTop = said.filter((each) => rankOf(each) === top)
    const last = ofTop.filter(({ statement }) => !this.#isSeenBy(statement, ofTop))
    last.sort((a, b) => a.statement.seniority - b.statement.seniority || a.length - b.length)
    const [{ length, treeHash } = OPEN] = last
    return { length, treeHash, by }
  }

  #isSeenBy({ entry }: Statement, others: readonly Said[]): boolean {
    return others.some(({ statement }) => this.#history.sees(statement.entry, entry))
  }
}

function lower(a: Cut, b: Cut): Cut {
  return b.length < a.length ? b : a
}

function deviceOf({ entry: { record } }: Grant): Key | undefined {
  if (typeof record === 'string') return undefined
  if (record.kind === 'vote') {
    return record.change.kind === 'add' ? record.change.member.device : undefined
  }
  return 'member' in record ? record.member.device : undefined
}
