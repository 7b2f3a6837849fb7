/**
 * One pass over all offices, from the founder down. Offices are resolved one after the other in rank order, each once: when an
 * office's turn comes, whoever could cut its logs has had theirs, so what it says up to its cut can be taken as said. What it grants goes to the
 * end of the queue, which makes the queue the rank order. Then come the members without an office, whose acts concern themselves alone.
 *
 * It departs from walking the graph in topological order, as most group managers do: there a removal must be undone when its author turns out
 * to be removed. Here nothing is ever undone. It costs two looks at each record per office of its author; none at acknowledgements, of which there
 * are more than of all others together: how far each log was read says which of them count. The slow twin, which asks every question from scratch, is
 * test/oracle/membership.ts.
 */
import type { Claims, Recovery } from './claims.ts'
import { Cuts, type Office, type Statement } from './cuts.ts'
import type { Logs } from './forks.ts'
import { isAck, type Entry, type History } from './history.ts'
import { Invites } from './invites.ts'
import { continues, Electorate, firstOfEach, liveRecoveries, successorsOf } from './owners.ts'
import type { Hash, Owners, Term } from './owners.ts'
import {
  compareRoles,
  type AclRecord,
  type DeviceClaim,
  type GrantRecord,
  type Key
} from './records.ts'
import { NO_OFFICE, Registry, type Ballot, type Core, type Device, type Grant } from './registry.ts'

/** The rules of docs/MEMBERSHIP.md; 0 is what no rule needs to be asked about: unreadable, unsigned. */
export type Rule = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12

/** Why a record does not count. */
export interface Refusal {
  readonly rule: Rule
  readonly why: string
}

type Body<K extends AclRecord['kind']> = Extract<AclRecord, { readonly kind: K }>

export interface PassOptions {
  readonly history: History
  readonly claims: Claims
  readonly logs: Logs
  readonly hash: Hash
}

/** What a statement is, but for its author and its cuts. */
type Word = Pick<Statement, 'kind' | 'target' | 'tick'>

/** Whose acl core is read, and under what. */
interface Author {
  readonly core: Core
  readonly device: Device
  readonly identity: Key
  readonly office: Office | null
}

export class Pass {
  readonly registry = new Registry()
  readonly owners: Owners
  readonly cuts: Cuts
  readonly invites: Invites
  readonly offices: Office[] = []
  readonly refusals = new Map<Entry, Refusal>()
  /** Records that count, with the rank under which they do; for acknowledgements, `cuts.isHeard` says it. */
  readonly counted = new Map<Entry, number>()
  /** What was said about cores by those who may. */
  readonly statements: Statement[] = []
  readonly #history: History
  readonly #claims: Claims
  readonly #logs: Logs
  readonly #known = new Set<Key>()

  private constructor({ history, claims, logs, hash }: PassOptions, founder: DeviceClaim) {
    this.#history = history
    this.#claims = claims
    this.#logs = logs
    this.owners = new Electorate(history, claims, logs, hash).resolve(founder)
    const { registry, owners } = this
    this.cuts = new Cuts({ history, claims, logs, registry, owners })
    this.invites = new Invites(history)
  }

  /** @returns null where the root does not begin with its founding */
  static run(options: PassOptions): Pass | null {
    const [root] = options.logs.entries(options.claims.space)
    if (root === undefined || typeof root.record === 'string' || root.record.kind !== 'found')
      return null
    if (!options.claims.isSigned(root)) return null
    const pass = new Pass(options, root.record.member)
    pass.#seatOwners(root, root.record)
    // The queue grows while it is worked off.
    for (let i = 0; i < pass.offices.length; i++) pass.#resolve(pass.offices[i])
    for (const identity of pass.registry.identities()) pass.#read(identity, null)
    pass.cuts.settle()
    pass.registry.settle()
    return pass
  }

  counts(entry: Entry): boolean {
    return this.counted.has(entry) || (isAck(entry) && this.cuts.isHeard(entry))
  }

  // Offices.

  /** RULE 2: Owners before admins; owners by founder first, then by the generation that admitted them. */
  #seatOwners(root: Entry, record: Body<'found'>): void {
    for (const term of this.owners.terms) {
      const grant = term.ballot === null ? this.#found(root, record) : this.#seat(term, term.ballot)
      if (grant !== null) this.#open(grant, term.identity, 'owner', term)
    }
    for (const entry of this.owners.counted) this.counted.set(entry, 0)
  }

  /** RULE 1: The founder's acl core is the root and the space's address; the founder is the first owner. */
  #found(root: Entry, { member, cores }: Body<'found'>): Grant {
    const grant = grantOf('root', root, { role: 'owner', order: -1 })
    this.#admit(member, cores, grant)
    this.registry.give(member.identity, grant)
    this.counted.set(root, 0)
    return grant
  }

  #seat({ member }: Term, ballot: Ballot): Grant | null {
    const [entry] = ballot.votes
    if (entry === undefined || typeof entry.record === 'string') return null
    if (entry.record.kind !== 'vote' || entry.record.change.kind !== 'add') return null
    const grant = grantOf('ballot', entry, { role: 'owner', order: -1, ballot })
    this.#admit(member, entry.record.change.cores, grant)
    this.registry.give(member.identity, grant)
    return grant
  }

  #open(grant: Grant, identity: Key, role: Office['role'], term: Term | null): void {
    const office = { order: this.offices.length, role, identity, grant, term }
    this.offices.push(office)
    this.cuts.openOffice(office)
  }

  /** RULE 4: Offices are resolved one after the other in rank order, each once. */
  #resolve(office: Office | undefined): void {
    if (office !== undefined) this.#read(office.identity, office)
  }

  /**
   * All acl logs of an identity, its first device's first, each up to its cut: all that it says of its own devices and cores before
   * anything that it does to others, or what it has cut itself would still act.
   */
  #read(identity: Key, office: Office | null): void {
    const authors: Author[] = []
    const done = new Set<Core>()
    for (let core = this.#nextCore(identity, done); core; core = this.#nextCore(identity, done)) {
      const author = { core, device: core.device, identity, office }
      done.add(core)
      authors.push(author)
      this.#readOwn(author)
    }
    for (const author of authors) this.#readActs(author)
  }

  /** The list grows while it is worked off: devices are admitted, cores are succeeded. */
  #nextCore(identity: Key, done: ReadonlySet<Core>): Core | null {
    for (const { cores } of this.registry.devicesOf(identity)) {
      const next = cores.find((core) => core.use === 'acl' && !done.has(core))
      if (next !== undefined) return next
    }
    return null
  }

  #readOwn(author: Author): void {
    const { core, device, office } = author
    let { length } = this.cuts.of(core, office)
    const reading = this.cuts.listen(core.core, device)
    for (const entry of this.#logs.acts(core.core)) {
      if (entry.index >= length) break
      // What a device says about its own cores can end the very log in which it says it.
      if (this.#isOwnWord(entry, author, reading.from)) ({ length } = this.cuts.of(core, office))
    }
    reading.length = length
  }

  #readActs(author: Author): void {
    const { core, office } = author
    const acts = this.#logs.acts(core.core)
    if (office === null && acts.length === 0) return
    const { length } = this.cuts.of(core, office)
    const isWeak = office !== null && this.#isWeak(core, office)
    const from = office === null || isWeak ? 0 : this.cuts.heed(core.core, length, office)
    for (const entry of acts) {
      if (entry.index >= length) return
      this.#countAct(entry, author, from, isWeak)
    }
  }

  /** RULE 8: A device never has more than its identity: nor may it act under an office of more than its own. */
  #isWeak(core: Core, { role }: Office): boolean {
    return compareRoles(this.registry.rightsOf(core).role, role) < 0
  }

  // Records. Each has the tick of its place: those of a log that is read follow each other.

  /** @returns whether it may have moved a cut of its author's own */
  #isOwnWord(entry: Entry, author: Author, from: number): boolean {
    const { record } = entry
    if (this.counted.has(entry) || this.refusals.has(entry)) return false
    if (typeof record === 'string') return this.#refuse(entry, 0, record)
    if (!this.#claims.isSigned(entry)) return this.#refuse(entry, 0, 'unsigned')
    this.#countOwn(entry, record, author, from + entry.index)
    return record.kind === 'seal' || record.kind === 'leave'
  }

  #refuse(entry: Entry, rule: Rule, why: string): false {
    if (!this.counted.has(entry)) this.refusals.set(entry, { rule, why })
    return false
  }

  #accept(entry: Entry, order: number): void {
    this.counted.set(entry, order)
    this.refusals.delete(entry)
  }

  /** What needs no office: acts on one's own devices. */
  #countOwn(entry: Entry, record: AclRecord, author: Author, tick: number): void {
    switch (record.kind) {
      case 'grant':
        if (record.member.identity === author.identity) this.#grantOwn(entry, record, author)
        return
      case 'revoke':
        if (record.identity === author.identity) this.#revokeOwn(entry, record, author, tick)
        return
      case 'seal':
        return this.#stateOwn(entry, author, { kind: 'seal', target: null, tick }, record.cuts)
      case 'leave':
        return this.#leave(entry, record, author, tick)
      case 'ack':
        return
      case 'successor':
      case 'recovery':
        // Taken up where the core that they begin was registered.
        if (author.core.grants.some((grant) => grant.entry === entry))
          this.#accept(entry, NO_OFFICE)
        else this.#refuse(entry, 9, 'it begins no core of its device')
        return
      case 'fork':
      case 'epoch':
      case 'share':
        // What an epoch comes to is told once it is known who is in: epochs.ts.
        return this.#accept(entry, NO_OFFICE)
      case 'vote':
        if (!this.counted.has(entry))
          this.#refuse(entry, 7, 'not the first vote of an owner in its voting core')
        return
      case 'found':
        if (!this.counted.has(entry)) this.#refuse(entry, 1, 'only the root is founded')
        return
      case 'invite':
      case 'withdraw':
        return
    }
  }

  /** RULE 8: An identity admits its own devices, with no more rights than its own. */
  #grantOwn(entry: Entry, record: GrantRecord, { device, office }: Author): void {
    const { seniority } = device
    const order = office?.order ?? NO_OFFICE
    const { role, prefixes } = record
    const grant = grantOf('own', entry, { role, prefixes, order, seniority })
    if (this.#admitBy(entry, record, grant)) this.#accept(entry, NO_OFFICE)
  }

  #revokeOwn(entry: Entry, record: Body<'revoke'>, author: Author, tick: number): void {
    const { identity, device, cuts } = record
    if (device === null) return void this.#refuse(entry, 3, 'nobody changes their own role')
    const known = this.registry.devices.get(device)
    if (known !== undefined && known.seniority <= author.device.seniority) {
      return void this.#refuse(entry, 8, 'the device is no later one')
    }
    this.#stateOwn(entry, author, { kind: 'revoke', target: { identity, device }, tick }, cuts)
  }

  /** RULE 11: An owner's leave record only announces the wish. */
  #leave(entry: Entry, { cuts }: Body<'leave'>, author: Author, tick: number): void {
    if (this.cuts.isOwner(author.identity))
      return void this.#refuse(entry, 11, 'an owner leaves by a ballot')
    this.#stateOwn(entry, author, { kind: 'leave', target: null, tick }, cuts)
  }

  #stateOwn(entry: Entry, author: Author, what: Word, cuts: Body<'seal'>['cuts']): void {
    const order = author.office?.order ?? NO_OFFICE
    this.cuts.stateOwn(statementOf(entry, author, order, what, cuts))
    this.#accept(entry, NO_OFFICE)
  }

  /** RULE 2: A record counts under an office only if its causal past holds the grant of that office. */
  #countAct(entry: Entry, author: Author, from: number, isWeak: boolean): void {
    const { record } = entry
    const { office, identity } = author
    if (typeof record === 'string' || !isOfOffice(record, identity)) return
    if (!this.#claims.isSigned(entry) || (this.counted.get(entry) ?? NO_OFFICE) < NO_OFFICE) return
    if (office === null || !this.cuts.sees(entry, office.grant)) {
      // What a higher office of the same author met with says more.
      if (this.refusals.has(entry)) return
      return void this.#refuse(entry, 2, 'its author held no office that it had seen')
    }
    if (isWeak) return void this.#refuse(entry, 8, 'its device has less than the office')
    const tick = from + entry.index
    if (record.kind === 'grant') this.#grant(entry, record, office)
    if (record.kind === 'invite') this.#invite(entry, record, office)
    if (record.kind === 'withdraw') this.#withdraw(entry, record, office)
    if (record.kind === 'revoke') this.#revoke(entry, record, author, office.order, tick)
    if (record.kind === 'seal') {
      this.#state(entry, author, office.order, { kind: 'seal', target: null, tick }, record.cuts)
    }
  }

  /** RULE 3: You give at most your own role. RULE 7: Owners are a closed list. */
  #grant(entry: Entry, record: GrantRecord, { order }: Office): void {
    const { member, role, prefixes } = record
    if (role === 'owner') return void this.#refuse(entry, 7, 'owners are made by ballots')
    const grant = grantOf('grant', entry, { role, prefixes, order })
    if (this.cuts.isBarred(grant, member.identity, member.device)) {
      return void this.#refuse(entry, 10, 'its author ranks below the revoker')
    }
    if (!this.#admitBy(entry, record, grant)) return
    this.registry.give(member.identity, grant)
    if (role === 'admin') this.#open(grant, member.identity, 'admin', null)
    this.#accept(entry, order)
  }

  /** RULE 12: An invite is by somebody who may give its role. */
  #invite(entry: Entry, { role }: Body<'invite'>, office: Office): void {
    if (compareRoles(role, office.role) > 0)
      return void this.#refuse(entry, 3, 'more than its own role')
    this.invites.make(entry, office.identity)
    this.#accept(entry, office.order)
  }

  #withdraw(entry: Entry, { invite }: Body<'withdraw'>, { order }: Office): void {
    if (this.invites.withdraw(entry, invite)) this.#accept(entry, order)
    else this.#refuse(entry, 12, 'it names no invite that it had seen')
  }

  #revoke(
    entry: Entry,
    { identity, device, cuts }: Body<'revoke'>,
    author: Author,
    order: number,
    tick: number
  ): void {
    if (this.cuts.isProtected(identity, order)) {
      return void this.#refuse(entry, 3, 'its author does not rank above')
    }
    this.#state(entry, author, order, { kind: 'revoke', target: { identity, device }, tick }, cuts)
  }

  #state(
    entry: Entry,
    author: Author,
    order: number,
    what: Word,
    cuts: Body<'seal'>['cuts']
  ): void {
    const statement = statementOf(entry, author, order, what, cuts)
    this.cuts.state(statement)
    this.statements.push(statement)
    this.#accept(entry, order)
  }

  // Cores.

  /** @returns whether the grant counts */
  #admitBy(entry: Entry, record: GrantRecord, grant: Grant): boolean {
    const why = this.invites.refuses(entry, record)
    if (why !== null) return this.#refuse(entry, 12, why)
    if (!this.#admit(record.member, record.cores, grant))
      return this.#refuse(entry, 2, 'the device or a core is somebody else’s')
    this.invites.use(entry, record)
    return true
  }

  /** @returns whether one of the cores is the device's */
  #admit(member: DeviceClaim, cores: Body<'grant'>['cores'], grant: Grant): boolean {
    this.#meet(member.identity)
    const admitted = cores.filter((claim) => this.registry.register(member, claim, grant))
    for (const { core, use } of admitted) if (use === 'acl') this.#succeed(core)
    return admitted.length > 0
  }

  /** RULE 8: Those the phrase admitted come first. */
  #meet(identity: Key): void {
    if (this.#known.has(identity)) return
    this.#known.add(identity)
    const left = [...liveRecoveries(this.#claims, this.#logs, identity)]
    while (left.length > 0) {
      const first = left.findIndex(
        ({ entry }) => !left.some((other) => this.#history.sees(entry, other.entry))
      )
      for (const each of left.splice(Math.max(first, 0), 1)) this.#recover(each)
    }
  }

  #recover({ entry, record }: Recovery): void {
    const grant = grantOf('recovery', entry, { role: 'owner' })
    const own = { core: entry.core, use: 'acl' } as const
    if (!this.registry.register(record.member, own, grant)) return
    for (const claim of record.cores) this.registry.register(record.member, claim, grant)
    for (const { core, use } of [own, ...record.cores]) if (use === 'acl') this.#succeed(core)
  }

  /** RULE 9: A device key may at any time replace its own cores by new ones; no right grows. */
  #succeed(core: Key): void {
    const old = this.registry.cores.get(core)
    if (old === undefined) return
    for (const { entry, record } of successorsOf(this.#claims, this.#logs, core)) {
      const { member } = record
      const isOwn = member.device === old.device.device && member.identity === old.device.identity
      if (!isOwn || this.registry.cores.has(entry.core)) continue
      if (!continues(this.#history, record.old, core, Infinity)) continue
      this.#continue(entry, record, old)
    }
  }

  #continue(entry: Entry, record: Body<'successor'>, old: Core): void {
    const acl = { core: old.core, length: lengthIn(record, old.core) }
    const register = (core: Key, use: Core['use'], from: Core, rest: Grant['old']) => {
      const { role, prefixes } = this.registry.rightsOf(from)
      const grant = grantOf('successor', entry, { role, prefixes, old: [acl, ...rest] })
      if (!this.registry.cores.has(core))
        this.registry.register(record.member, { core, use }, grant)
    }
    register(entry.core, 'acl', old, [])
    const data = old.device.cores.findLast(
      ({ use, core }) => use === 'data' && record.old.some((head) => head.core === core)
    )
    for (const { core, use } of record.cores) {
      if (use !== 'data' || data === undefined) continue
      register(core, use, data, [{ core: data.core, length: lengthIn(record, data.core) }])
    }
    this.#succeed(entry.core)
  }
}

/** Those that act on others. */
function isOfOffice(record: AclRecord, author: Key): boolean {
  switch (record.kind) {
    case 'grant':
      return record.member.identity !== author
    case 'revoke':
      return record.identity !== author
    case 'seal':
    case 'invite':
    case 'withdraw':
      return true
    default:
      return false
  }
}

function statementOf(
  entry: Entry,
  { identity, device: { seniority } }: Author,
  order: number,
  what: Word,
  cuts: Body<'seal'>['cuts']
): Statement {
  const byCore = new Map([...firstOfEach(cuts)].map((cut) => [cut.core, cut]))
  return { entry, order, identity, seniority, cuts: byCore, ...what }
}

type Granted = Pick<Grant, 'role'> & Partial<Omit<Grant, 'basis' | 'entry'>>

/** There are thousands: written out, as spreading costs several times as much. */
function grantOf(basis: Grant['basis'], entry: Entry, granted: Granted): Grant {
  const { role, prefixes = null, order = NO_OFFICE, seniority = 0 } = granted
  const { ballot = null, old = NO_OLD } = granted
  return { basis, entry, order, seniority, role, prefixes, ballot, old }
}

const NO_OLD: Grant['old'] = []

function lengthIn({ old }: Body<'successor'>, core: Key): number {
  return old.find((head) => head.core === core)?.length ?? 0
}
