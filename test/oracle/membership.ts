/**
 * Membership, the obvious slow way: written from the rules, sharing nothing with acl/ but the record types. There is one flat list of
 * facts, and each question filters all of it again. The next office is found by replaying everything from nothing, with the offices found so
 * far, and taking the highest of what they granted.
 */
import type {
  AclLog,
  AclRecord,
  CoreClaim,
  DeviceClaim,
  Head,
  Key,
  MembershipOptions,
  Role
} from '../../acl/index.ts'

interface Rec {
  readonly core: Key
  readonly index: number
  readonly hash: Key
  readonly body: AclRecord | null
  readonly before: Rec | null
}
type As<K extends AclRecord['kind']> = Extract<AclRecord, { readonly kind: K }>
interface Ballot {
  readonly change: As<'vote'>['change']
  readonly identity: Key
  readonly votes: readonly Rec[]
  readonly voters: number
  readonly cuts: ReadonlyMap<Key, number>
}
interface Owner {
  readonly identity: Key
  readonly member: DeviceClaim
  readonly core: Key
  /** Number of the ballot that made and that ended it. */
  readonly from: number
  readonly to: number
}
interface List {
  readonly name: Key
  readonly owners: readonly Owner[]
  readonly ballots: readonly Ballot[]
}
interface Office {
  readonly identity: Key
  readonly role: 'owner' | 'admin'
  readonly by: Right
  readonly distance: number
}
/** A core counts, by this. */
interface Right {
  readonly fact: 'right'
  readonly how: 'root' | 'ballot' | 'office' | 'own' | 'next' | 'phrase'
  readonly rec: Rec
  readonly core: Key
  readonly use: 'acl' | 'data'
  readonly member: DeviceClaim
  readonly role: Role
  /** Of the keys that are asked about, those that it lets a core write. */
  readonly keys: readonly Key[]
  readonly office: number
  readonly place: number
  readonly ballot: number
  readonly after: readonly Head[]
}
interface Word {
  readonly fact: 'word'
  readonly kind: 'revoke' | 'seal' | 'leave'
  readonly own: boolean
  readonly rec: Rec
  readonly office: number
  readonly identity: Key
  readonly place: number
  readonly whom: Key
  readonly device: Key | null
  readonly cuts: readonly Head[]
}
interface Heard {
  readonly fact: 'heard'
  readonly rec: Rec
  readonly head: Head
  readonly office: number
  readonly identity: Key
  readonly place: number
}
type Fact = Right | Word | Heard
interface Fork {
  readonly length: number
  readonly hash: Key | null
}
type Forks = ReadonlyMap<Key, Fork>

const RANKS: readonly Role[] = ['mirror', 'reader', 'writer', 'admin', 'owner']
const strength = (role: Role): number => RANKS.indexOf(role)
const NONE = Infinity
/** Whether a core may write these is what is told of prefixes. */
const KEYS = ['aa', 'ab', 'b'] as const
const keysIn = ({ role, prefixes }: As<'grant'>): readonly Key[] =>
  KEYS.filter(
    (key) =>
      strength(role) >= 2 &&
      (prefixes === null || prefixes.some((each) => key.startsWith(String.fromCharCode(...each))))
  )
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const greatest = (heads: readonly Head[], core: Key): Head | undefined =>
  heads.filter((head) => head.core === core).sort((a, b) => b.length - a.length)[0]

/** All records held, whatever they were held twice in. */
class Held {
  readonly all = new Map<string, Rec>()
  readonly starts: readonly Rec[]
  readonly signed = new Map<Rec, boolean>()
  readonly #pasts = new Map<Rec, ReadonlySet<Rec>>()

  constructor(logs: readonly AclLog[]) {
    for (const { core, records } of logs) {
      let before: Rec | null = null
      for (const [index, { record, treeHash }] of records.entries()) {
        const name = `${core} ${index} ${treeHash}`
        const body = typeof record === 'string' ? null : record
        const rec: Rec = this.all.get(name) ?? { core, index, hash: treeHash, body, before }
        this.all.set(name, rec)
        before = rec
      }
    }
    this.starts = [...this.all.values()].filter(({ index }) => index === 0)
  }

  at({ core, length, treeHash }: Head): Rec | undefined {
    return this.all.get(`${core} ${length - 1} ${treeHash}`)
  }

  past(rec: Rec): ReadonlySet<Rec> {
    const known = this.#pasts.get(rec)
    if (known !== undefined) return known
    const past = new Set<Rec>()
    for (const seen of [rec.before, ...(rec.body?.heads ?? []).map((head) => this.at(head))]) {
      if (seen === null || seen === undefined) continue
      past.add(seen)
      for (const each of this.past(seen)) past.add(each)
    }
    this.#pasts.set(rec, past)
    return past
  }

  sees(later: Rec, earlier: Rec): boolean {
    return this.past(later).has(earlier)
  }

  up(tip: Rec): Rec[] {
    return tip.before === null ? [tip] : [...this.up(tip.before), tip]
  }

  readonly #branches = new Map<Key, Rec[][]>()

  branches(core: Key): Rec[][] {
    const known = this.#branches.get(core) ?? this.#findBranches(core)
    this.#branches.set(core, known)
    return known
  }

  #findBranches(core: Key): Rec[][] {
    const of = [...this.all.values()].filter((rec) => rec.core === core)
    return of.filter((rec) => !of.some((next) => next.before === rec)).map((tip) => this.up(tip))
  }
}

class Telling {
  readonly held: Held
  readonly options: MembershipOptions
  readonly forks: Forks
  facts: Fact[] = []
  offices: Office[] = []
  list: List

  constructor(held: Held, options: MembershipOptions, forks: Forks) {
    this.held = held
    this.options = options
    this.forks = forks
    this.list = { name: '', owners: [], ballots: [] }
  }

  log(core: Key): Rec[] {
    const fork = this.forks.get(core)
    const branches = this.held.branches(core)
    if (fork === undefined) return branches[0] ?? []
    const chosen = branches.find((branch) => branch[fork.length - 1]?.hash === fork.hash)
    return (chosen ?? branches[0] ?? []).slice(0, fork.length)
  }

  counts(rec: Rec): boolean {
    return this.log(rec.core)[rec.index] === rec
  }

  signed(rec: Rec): boolean {
    const known = this.held.signed.get(rec) ?? this.isSigned(rec)
    this.held.signed.set(rec, known)
    return known
  }

  isSigned(rec: Rec): boolean {
    const { verify, space } = this.options
    const mine = (member: DeviceClaim, cores: readonly CoreClaim[]) =>
      verify.device(member) && cores.every((each) => verify.core(space, member, each))
    const { body } = rec
    if (body === null) return false
    if (body.kind === 'grant') return mine(body.member, body.cores)
    if (body.kind === 'found') {
      const own = body.cores.some(({ core, use }) => core === rec.core && use === 'acl')
      return rec.index === 0 && own && mine(body.member, body.cores)
    }
    if (body.kind === 'vote' && body.change.kind === 'add') {
      const { member, cores } = body.change
      return cores.some(({ use }) => use === 'acl') && mine(member, cores)
    }
    if (body.kind === 'successor') {
      return (
        rec.index === 0 && mine(body.member, body.cores) && verify.successor(space, rec.core, body)
      )
    }
    if (body.kind === 'recovery') {
      return (
        rec.index === 0 && mine(body.member, body.cores) && verify.recovery(space, rec.core, body)
      )
    }
    return body.kind !== 'fork' || verify.fork(body)
  }

  firsts<K extends 'successor' | 'recovery'>(kind: K): { rec: Rec; body: As<K> }[] {
    return this.held.starts
      .flatMap((rec) => {
        const { body } = rec
        const isIt = body?.kind === kind && this.signed(rec) && this.counts(rec)
        return isIt ? [{ rec, body: body as As<K> }] : []
      })
      .sort((a, b) => byText(a.rec.core, b.rec.core))
  }

  phrases(identity: Key): { rec: Rec; body: As<'recovery'> }[] {
    return this.firsts('recovery').filter(({ body }) => body.member.identity === identity)
  }

  phraseEnd(identity: Key, device: Key, core: Key): number {
    const said = this.phrases(identity).flatMap(({ rec, body }) => {
      const named = body.cuts.find((cut) => cut.core === core)
      if (named !== undefined) return [{ rec, length: named.length }]
      const isOwn = rec.core === core || body.cores.some((each) => each.core === core)
      return body.revoked.includes(device) && !isOwn ? [{ rec, length: 0 }] : []
    })
    const last = said.filter((a) => !said.some((b) => this.held.sees(b.rec, a.rec)))
    return Math.min(NONE, ...last.map(({ length }) => length))
  }

  // Owners.

  /** Each acl core in which an owner's vote may stand, with its end. */
  votingPlaces(owner: Owner, ballots: readonly Ballot[]): { core: Key; end: number }[] {
    const made = ballots[owner.from]
    let moves = this.phrases(owner.identity).filter(
      ({ rec, body }) => body.movesVote && !made?.votes.some((vote) => this.held.sees(vote, rec))
    )
    const starts: { core: Key; member: DeviceClaim }[] = []
    while (moves.length > 0) {
      const last = moves.find((a) => !moves.some((b) => this.held.sees(b.rec, a.rec)))
      if (last === undefined) break
      starts.unshift({ core: last.rec.core, member: last.body.member })
      moves = moves.filter(({ rec }) => this.held.sees(last.rec, rec))
    }
    starts.unshift({ core: owner.core, member: owner.member })
    const places: { core: Key; end: number }[] = []
    for (const { core, member } of starts) {
      for (let at: Key | undefined = core; at !== undefined;) {
        const end = Math.min(
          this.phraseEnd(member.identity, member.device, at),
          this.forks.get(at)?.length ?? NONE
        )
        places.push({ core: at, end })
        at = this.nextOf(at, member, end)
      }
    }
    return places
  }

  nextOf(core: Key, member: DeviceClaim, end: number): Key | undefined {
    return this.firsts('successor').find(({ body }) => {
      const old = body.old.find((head) => head.core === core)
      const isSame =
        body.member.device === member.device && body.member.identity === member.identity
      return isSame && old !== undefined && old.length <= end && this.isHeld(old)
    })?.rec.core
  }

  isHeld(head: Head): boolean {
    return head.length === 0 || this.held.at(head) !== undefined
  }

  title(change: As<'vote'>['change']): string {
    if (change.kind === 'remove') return `remove/${change.identity}`
    const acl = change.cores.filter(({ use }) => use === 'acl').map(({ core }) => core)
    return `add/${change.member.identity}/${change.member.device}/${acl.sort()[0] ?? ''}`
  }

  votes(list: List): { owner: Owner; rec: Rec; change: As<'vote'>['change'] }[] {
    const now = list.owners.filter(({ to }) => to === NONE)
    const removed = list.ballots.flatMap((ballot) =>
      ballot.change.kind === 'remove' ? [...ballot.cuts.keys()] : []
    )
    const may = (rec: Rec, change: As<'vote'>['change']): boolean => {
      if (change.kind === 'remove') {
        return now.length > 1 && now.some(({ identity }) => identity === change.identity)
      }
      if (now.some(({ identity }) => identity === change.member.identity)) return false
      return this.signed(rec) && !change.cores.some(({ core }) => removed.includes(core))
    }
    return now.flatMap((owner) => {
      for (const { core, end } of this.votingPlaces(owner, list.ballots)) {
        for (const rec of this.log(core)) {
          if (rec.body?.kind !== 'vote' || rec.body.generation !== list.name) continue
          if (!may(rec, rec.body.change)) continue
          if (rec.index < end || this.isReliedOn(rec, owner, now, list)) {
            return [{ owner, rec, change: rec.body.change }]
          }
        }
      }
      return []
    })
  }

  /** Most other owners, but whom it removes, had seen it when voting on another list. */
  isReliedOn(vote: Rec, owner: Owner, now: readonly Owner[], list: List): boolean {
    const gone =
      vote.body?.kind === 'vote' && vote.body.change.kind === 'remove'
        ? vote.body.change.identity
        : null
    const others = now.filter(({ identity }) => ![owner.identity, gone].includes(identity))
    const relying = others.filter((other) =>
      this.votingPlaces(other, list.ballots).some(({ core, end }) =>
        this.log(core).some(
          ({ index, body }, i, log) =>
            index < end &&
            body?.kind === 'vote' &&
            body.generation !== list.name &&
            this.held.sees(log[i] ?? vote, vote)
        )
      )
    )
    return relying.length > others.length / 2
  }

  /** The list after one more ballot, or null where none has a majority. */
  next(list: List, counted: readonly Rec[]): List | null {
    const voters = list.owners.filter(({ to }) => to === NONE).length
    const votes = this.votes(list)
    for (const { change } of votes) {
      const title = this.title(change)
      const same = votes.filter((each) => this.title(each.change) === title)
      if (same.length * 2 <= voters) continue
      const name = this.options.hash(`${list.name}/${title}`)
      const recs = same.map(({ rec }) => rec)
      const number = list.ballots.length
      if (change.kind === 'add') {
        const { identity } = change.member
        const core =
          change.cores
            .filter(({ use }) => use === 'acl')
            .map((each) => each.core)
            .sort()[0] ?? ''
        const ballot = { change, identity, votes: recs, voters, cuts: new Map<Key, number>() }
        const owner = { identity, member: change.member, core, from: number, to: NONE }
        return { name, owners: [...list.owners, owner], ballots: [...list.ballots, ballot] }
      }
      const gone = list.owners.find(
        ({ identity, to }) => identity === change.identity && to === NONE
      )
      if (gone === undefined) continue
      const cuts = this.removalEnds(gone, list, same, voters, counted)
      const ballot = { change, identity: change.identity, votes: recs, voters, cuts }
      const owners = list.owners.map((owner) => (owner === gone ? { ...owner, to: number } : owner))
      return { name, owners, ballots: [...list.ballots, ballot] }
    }
    return null
  }

  removalEnds(
    gone: Owner,
    list: List,
    votes: readonly { readonly rec: Rec; readonly change: As<'vote'>['change'] }[],
    voters: number,
    counted: readonly Rec[]
  ): Map<Key, number> {
    const places = this.votingPlaces(gone, list.ballots).map(({ core }) => core)
    const by = votes.filter(({ rec }) => !places.includes(rec.core))
    const isEnough = (count: number) => count * 2 > voters || count === by.length
    const named = by.map(({ change }) => (change.kind === 'remove' ? change.cuts : []))
    const cores = new Set(named.flat().map(({ core }) => core))
    const ends = new Map<Key, number>()
    for (const core of cores) {
      const lengths = named.map((cuts) => greatest(cuts, core)?.length ?? 0)
      const enough = lengths.filter((length) =>
        isEnough(lengths.filter((other) => other >= length).length)
      )
      ends.set(core, Math.max(0, ...enough))
    }
    for (const core of places) {
      const last = counted
        .filter((rec) => rec.core === core && this.counts(rec))
        .filter((rec) => isEnough(by.filter((vote) => this.held.sees(vote.rec, rec)).length))
        .map(({ index }) => index + 1)
      ends.set(core, Math.max(ends.get(core) ?? 0, ...last))
    }
    return ends
  }

  elect(founder: DeviceClaim): List {
    const first: Owner = {
      identity: founder.identity,
      member: founder,
      core: this.options.space,
      from: -1,
      to: NONE
    }
    let list: List = {
      name: this.options.hash(`owners/${this.options.space}`),
      owners: [first],
      ballots: []
    }
    const counted: Rec[] = []
    for (;;) {
      counted.push(...this.votes(list).map(({ rec }) => rec))
      const next = this.next(list, counted)
      if (next === null) return list
      list = next
    }
  }

  isOwner(identity: Key): boolean {
    return this.list.owners.some((owner) => owner.identity === identity && owner.to === NONE)
  }

  // Questions to the facts.

  get rights(): Right[] {
    return this.facts.filter((fact) => fact.fact === 'right')
  }

  get words(): Word[] {
    return this.facts.filter((fact) => fact.fact === 'word')
  }

  memberOf(core: Key): DeviceClaim | undefined {
    return this.rights.find((right) => right.core === core)?.member
  }

  devices(identity: Key): Key[] {
    const of = this.rights.filter(({ member }) => member.identity === identity)
    return [...new Set(of.map(({ member }) => member.device))]
  }

  place(identity: Key, device: Key): number {
    return this.devices(identity).indexOf(device)
  }

  sawBallot(rec: Rec, number: number): boolean {
    const ballot = this.list.ballots[number]
    if (ballot === undefined) return false
    return ballot.votes.filter((vote) => this.held.sees(rec, vote)).length * 2 > ballot.voters
  }

  saw(rec: Rec, right: Right): boolean {
    return right.how === 'ballot'
      ? this.sawBallot(rec, right.ballot)
      : this.held.sees(rec, right.rec)
  }

  given(identity: Key): Right[] {
    return this.rights.filter(
      ({ member, how }) =>
        member.identity === identity && (how === 'root' || how === 'ballot' || how === 'office')
    )
  }

  isExempt(right: Right, word: Word): boolean {
    const { how, rec, member } = right
    if (how === 'root') return false
    if (how === 'ballot') {
      const ballot = this.list.ballots[right.ballot]
      const seen = ballot?.votes.filter((vote) => this.held.sees(vote, word.rec)).length ?? 0
      return seen * 2 > (ballot?.voters ?? 0)
    }
    if (!this.held.sees(rec, word.rec)) return false
    const isLifted = () =>
      this.given(member.identity).some(
        (each) =>
          each.rec !== rec &&
          this.saw(rec, each) &&
          (word.device === null || word.kind === 'leave' || each.member.device === word.device) &&
          this.isExempt(each, word)
      )
    const rests = (core: Key) =>
      this.rights.some(
        (each) => each.core === core && this.saw(rec, each) && this.isExempt(each, word)
      )
    if (how === 'office') return right.office <= word.office || isLifted()
    if (how === 'phrase') return word.identity === member.identity || isLifted()
    if (how === 'next') return rests(right.after[0]?.core ?? '')
    if (word.identity === member.identity) return right.place <= word.place
    return word.device === null ? rests(rec.core) : isLifted()
  }

  isSpared(right: Right, number: number): boolean {
    const { how, rec, member } = right
    const since = () =>
      this.given(member.identity).some(
        (each) => each.rec !== rec && this.saw(rec, each) && this.isSpared(each, number)
      )
    const rests = (core: Key) =>
      this.rights.some(
        (each) => each.core === core && this.saw(rec, each) && this.isSpared(each, number)
      )
    if (how === 'root') return false
    if (how === 'ballot') return right.ballot > number
    if (how === 'office') {
      return (
        this.sawBallot(rec, number) && (this.offices[right.office]?.role === 'owner' || since())
      )
    }
    if (how === 'phrase') return since()
    return rests(how === 'own' ? rec.core : (right.after[0]?.core ?? ''))
  }

  removals(identity: Key): number[] {
    return this.list.ballots.flatMap((ballot, i) =>
      ballot.change.kind === 'remove' && ballot.identity === identity ? [i] : []
    )
  }

  isAbove(identity: Key, rank: number): boolean {
    if (this.isOwner(identity)) return true
    return this.offices.some(
      (office, i) => i < rank && office.identity === identity && !this.isOver(i)
    )
  }

  isOver(number: number): boolean {
    const office = this.offices[number]
    if (office === undefined) return true
    if (this.removals(office.identity).some((i) => !this.isSpared(office.by, i))) return true
    if (office.role === 'owner') return false
    if (this.hasLeft(office.by)) return true
    return this.revocations(office.identity).some(
      (word) =>
        word.office < number &&
        !this.isAbove(office.identity, word.office) &&
        !this.isExempt(office.by, word)
    )
  }

  hasLeft(right: Right): boolean {
    return this.farewells(right).length > 0
  }

  farewells(right: Right): Word[] {
    const { identity } = right.member
    if (this.isOwner(identity)) return []
    return this.words.filter(
      (word) =>
        word.own &&
        word.kind === 'leave' &&
        word.place === 0 &&
        word.identity === identity &&
        !this.isExempt(right, word)
    )
  }

  revocations(identity: Key): Word[] {
    return this.words.filter(
      ({ own, kind, whom, device }) =>
        !own && kind === 'revoke' && whom === identity && device === null
    )
  }

  raised(word: Word, core: Key): number {
    const floor = this.facts.slice(0, this.facts.indexOf(word)).flatMap((fact) => {
      if (fact.fact !== 'heard' || fact.head.core !== core) return []
      const isOwn = fact.identity === word.identity && fact.place <= word.place
      return (isOwn || fact.office < word.office) && this.held.sees(word.rec, fact.rec)
        ? [fact.head.length]
        : []
    })
    return Math.max(greatest(word.cuts, core)?.length ?? 0, ...floor)
  }

  verdict(core: Key, words: readonly Word[], rank: (word: Word) => number): number {
    const top = words.filter((a) => !words.some((b) => rank(b) < rank(a)))
    const last = top.filter((a) => !top.some((b) => this.held.sees(b.rec, a.rec)))
    const senior = last.filter((a) => !last.some((b) => b.place < a.place))
    const ends = senior.map((word) => {
      const end = this.raised(word, core)
      return word.own ? Math.max(end, this.neededBy(word.rec, core)) : end
    })
    return Math.min(NONE, ...ends)
  }

  /** How much of a core a record stands on: in it, or in what its log goes on from. */
  neededBy(rec: Rec, core: Key): number {
    const needed: Head[] = [{ core: rec.core, length: rec.index + 1, treeHash: rec.hash }]
    for (const each of needed)
      for (const right of this.rights) if (right.core === each.core) needed.push(...right.after)
    return greatest(needed, core)?.length ?? 0
  }

  end(core: Key, member: DeviceClaim, under: Office | null): number {
    const { identity, device } = member
    const of = this.rights.filter((right) => right.core === core)
    const ends = [this.forks.get(core)?.length ?? NONE, this.phraseEnd(identity, device, core)]
    for (const number of this.removals(identity)) {
      const named = this.list.ballots[number]?.cuts.get(core)
      const isOver = under !== null && !this.isSpared(under.by, number)
      if (named !== undefined) ends.push(named)
      else if (isOver || !of.some((right) => this.isSpared(right, number))) ends.push(0)
    }
    const place = this.place(identity, device)
    const own = this.words.filter((word) => {
      if (!word.own || word.identity !== identity || place < word.place) return false
      if (word.kind === 'leave' && this.isOwner(identity)) return false
      if (word.kind === 'revoke' && (place === word.place || word.device !== device)) return false
      if (place !== word.place && this.isVotingCore(core, identity)) return false
      if (greatest(word.cuts, core) !== undefined) return true
      return word.kind !== 'seal' && !of.some((right) => this.isExempt(right, word))
    })
    ends.push(this.verdict(core, own, (word) => word.place))
    if (under !== null) ends.push(this.verdict(core, this.farewells(under.by), () => 0))
    const others = this.words.filter((word) => {
      if (word.own || word.identity === identity || this.isAbove(identity, word.office))
        return false
      const isNamed = greatest(word.cuts, core) !== undefined
      if (word.kind === 'seal') return isNamed
      if (word.whom !== identity || (word.device !== null && word.device !== device)) return false
      if (isNamed) return true
      const isOver = word.device === null && under !== null && !this.isExempt(under.by, word)
      return isOver || !of.some((right) => this.isExempt(right, word))
    })
    ends.push(this.verdict(core, others, (word) => word.office))
    for (const old of of.flatMap(({ after }) => after)) {
      const owner = this.memberOf(old.core)
      if (owner === undefined || this.end(old.core, owner, under) < old.length) ends.push(0)
    }
    return Math.min(...ends)
  }

  isVotingCore(core: Key, identity: Key): boolean {
    const owner = this.list.owners.find((each) => each.identity === identity && each.to === NONE)
    if (owner === undefined) return false
    return this.votingPlaces(owner, this.list.ballots).some((place) => place.core === core)
  }

  roleOf(core: Key): Role {
    const roles = this.rights
      .filter((right) => right.core === core)
      .map(({ how, role, after }) =>
        how === 'next' ? this.roleOf(after.at(-1)?.core ?? '') : role
      )
    return roles.sort((a, b) => strength(b) - strength(a))[0] ?? 'mirror'
  }

  /** What its rights let a core do, and no more than its identity has; where it ended, had. */
  may(core: Key, identity: Key, end: number): { readonly role: Role; readonly keys: Key[] } {
    const given = this.given(identity).filter((right) => end !== NONE || this.stands(right))
    const most = Math.max(0, ...given.map(({ role }) => strength(role)))
    const role = RANKS[Math.min(most, strength(this.roleOf(core)))] ?? 'mirror'
    const own = this.keysOf(core)
    return { role, keys: own.filter((key) => given.some(({ keys }) => keys.includes(key))) }
  }

  keysOf(core: Key): Key[] {
    return KEYS.filter((key) =>
      this.rights.some(
        ({ core: of, how, keys, after }) =>
          of === core &&
          (how === 'next' ? this.keysOf(after.at(-1)?.core ?? '') : keys).includes(key)
      )
    )
  }

  // Telling.

  /** Everything, told anew with these offices, and the highest office that they granted and that is not among them. */
  tell(root: Rec, offices: readonly Office[]): Office | null {
    this.facts = []
    this.offices = []
    const body = root.body as As<'found'>
    this.list = this.elect(body.member)
    const seats = this.list.owners.map((owner) => this.seat(owner, root, body))
    const granted: { office: Office; from: number }[] = []
    for (const [i, office] of [...seats, ...offices].entries()) {
      this.offices.push(office)
      for (const each of this.read(office.identity, office, i))
        granted.push({ office: each, from: i })
    }
    const rest = granted.filter(({ office }) => !offices.some(({ by }) => by.rec === office.by.rec))
    rest.sort((a, b) => a.office.distance - b.office.distance || a.from - b.from)
    return rest[0]?.office ?? null
  }

  seat(owner: Owner, root: Rec, found: As<'found'>): Office {
    const ballot = this.list.ballots[owner.from]
    const rec = ballot?.votes[0] ?? root
    const change = rec.body?.kind === 'vote' ? rec.body.change : null
    const cores = change?.kind === 'add' ? change.cores : found.cores
    const how = ballot === undefined ? 'root' : 'ballot'
    const right = { how, rec, role: 'owner', ballot: owner.from } as const
    const [by] = this.admit(owner.member, cores, right)
    return {
      identity: owner.identity,
      role: 'owner',
      by: by ?? this.right(owner.member, found.cores[0], right),
      distance: 0
    }
  }

  right(
    member: DeviceClaim,
    claim: Pick<CoreClaim, 'core' | 'use'> | undefined,
    right: Partial<Right> & Pick<Right, 'how' | 'rec' | 'role'>
  ): Right {
    const { core, use } = claim ?? { core: '', use: 'acl' }
    return {
      fact: 'right',
      core,
      use,
      member,
      office: NONE,
      place: 0,
      ballot: -1,
      keys: KEYS,
      after: [],
      ...right
    }
  }

  admit(
    member: DeviceClaim,
    cores: readonly CoreClaim[],
    right: Partial<Right> & Pick<Right, 'how' | 'rec' | 'role'>
  ): Right[] {
    if (this.devices(member.identity).length === 0) this.admitByPhrase(member.identity)
    const added: Right[] = []
    for (const claim of cores) added.push(...this.add(member, claim, right))
    for (const { core, use } of added) if (use === 'acl') this.follow(core)
    return added
  }

  add(
    member: DeviceClaim,
    claim: Pick<CoreClaim, 'core' | 'use'>,
    right: Partial<Right> & Pick<Right, 'how' | 'rec' | 'role'>
  ): Right[] {
    const elsewhere = this.rights.some(
      (each) => each.member.device === member.device && each.member.identity !== member.identity
    )
    const others = this.rights.some(
      (each) =>
        each.core === claim.core && (each.member.device !== member.device || each.use !== claim.use)
    )
    if (elsewhere || others) return []
    const fact = this.right(member, claim, right)
    this.facts.push(fact)
    return [fact]
  }

  admitByPhrase(identity: Key): void {
    const left = this.phrases(identity)
    while (left.length > 0) {
      const at = left.findIndex((a) => !left.some((b) => this.held.sees(a.rec, b.rec)))
      for (const { rec, body } of left.splice(at, 1)) {
        const right = { how: 'phrase', rec, role: 'owner' } as const
        const own = this.add(body.member, { core: rec.core, use: 'acl' }, right)
        if (own.length === 0) continue
        const more = body.cores.flatMap((claim) => this.add(body.member, claim, right))
        // As often as it is named: a name adds nothing.
        for (const each of [...own, ...more]) if (each.use === 'acl') this.follow(each.core)
      }
    }
  }

  follow(core: Key): void {
    const member = this.memberOf(core)
    for (const { rec, body } of this.firsts('successor')) {
      const old = body.old.find((head) => head.core === core)
      const isSame =
        body.member.device === member?.device && body.member.identity === member.identity
      if (old === undefined || !isSame || this.memberOf(rec.core) !== undefined) continue
      if (!this.isHeld(old)) continue
      const right = { how: 'next', rec, role: this.roleOf(core), after: [old] } as const
      const data = [...new Set(this.rights.map((each) => each))]
        .filter(({ member: { device }, use }) => device === body.member.device && use === 'data')
        .map((each) => each.core)
      const order = [...new Set(data)].filter((each) => body.old.some((head) => head.core === each))
      const from = body.old.find((head) => head.core === order.at(-1))
      if (this.memberOf(rec.core) === undefined)
        this.add(body.member, { core: rec.core, use: 'acl' }, right)
      for (const claim of body.cores) {
        if (claim.use !== 'data' || from === undefined || this.memberOf(claim.core) !== undefined)
          continue
        this.add(body.member, claim, { ...right, role: this.roleOf(from.core), after: [old, from] })
      }
      this.follow(rec.core)
    }
  }

  /** All logs of an identity: first all that it says of itself, then what it does to others. @returns the offices it grants */
  read(identity: Key, office: Office | null, number: number): Office[] {
    const done: Right[] = []
    for (;;) {
      const acl = this.devices(identity).flatMap((device) =>
        this.rights.filter(({ member, use }) => member.device === device && use === 'acl')
      )
      const next = acl.find(({ core }) => !done.some((each) => each.core === core))
      if (next === undefined) break
      done.push(next)
      for (const rec of this.log(next.core)) {
        if (rec.index >= this.end(next.core, next.member, office)) break
        this.hearOwn(rec, next.member, office === null ? NONE : number)
      }
    }
    if (office === null) return []
    return done.flatMap(({ core, member }) => {
      const end = this.end(core, member, office)
      if (strength(this.roleOf(core)) < strength(office.role)) return []
      return this.log(core)
        .slice(0, Math.min(end, 1e9))
        .flatMap((rec) => this.hearAct(rec, member, office, number))
    })
  }

  readonly looked = new Set<Rec>()
  readonly done = new Set<Rec>()

  hearOwn(rec: Rec, member: DeviceClaim, rank: number): void {
    if (rec.body === null || !this.signed(rec) || this.looked.has(rec)) return
    this.looked.add(rec)
    const place = this.place(member.identity, member.device)
    this.own(rec.body, { rec, identity: member.identity, place }, rank)
  }

  hearAct(rec: Rec, member: DeviceClaim, office: Office, number: number): Office[] {
    const { body } = rec
    if (body === null || !this.signed(rec)) return []
    if (this.done.has(rec) || !this.saw(rec, office.by)) return []
    const place = this.place(member.identity, member.device)
    return this.ofOffice(body, { rec, identity: member.identity, place }, office, number)
  }

  own(body: AclRecord, by: Pick<Word, 'rec' | 'identity' | 'place'>, rank: number): void {
    const word = { fact: 'word', own: true, ...by, office: rank, whom: by.identity } as const
    if (body.kind === 'grant' && body.member.identity === by.identity) {
      if (!this.isInvited(by.rec, body)) return
      this.admit(body.member, body.cores, {
        how: 'own',
        ...by,
        role: body.role,
        keys: keysIn(body),
        office: rank
      })
    } else if (body.kind === 'revoke' && body.identity === by.identity && body.device !== null) {
      const whose = this.place(by.identity, body.device)
      if (whose !== -1 && whose <= by.place) return
      this.facts.push({ ...word, kind: 'revoke', device: body.device, cuts: body.cuts })
    } else if (body.kind === 'seal') {
      this.facts.push({ ...word, kind: 'seal', device: null, cuts: body.cuts })
    } else if (body.kind === 'leave' && !this.isOwner(by.identity)) {
      this.facts.push({ ...word, kind: 'leave', device: null, cuts: body.cuts })
    } else if (body.kind === 'ack') {
      for (const head of body.lengths) this.facts.push({ fact: 'heard', ...by, head, office: NONE })
    }
  }

  ofOffice(
    body: AclRecord,
    by: Pick<Word, 'rec' | 'identity' | 'place'>,
    office: Office,
    number: number
  ): Office[] {
    const word = { fact: 'word', own: false, ...by, office: number } as const
    if (body.kind === 'ack') {
      this.done.add(by.rec)
      for (const head of body.lengths)
        this.facts.push({ fact: 'heard', ...by, head, office: number })
    }
    if (body.kind === 'seal') {
      this.done.add(by.rec)
      this.facts.push({ ...word, kind: 'seal', whom: '', device: null, cuts: body.cuts })
    }
    if (
      body.kind === 'revoke' &&
      body.identity !== by.identity &&
      !this.isAbove(body.identity, number)
    ) {
      this.done.add(by.rec)
      const { identity, device, cuts } = body
      this.facts.push({ ...word, kind: 'revoke', whom: identity, device, cuts })
    }
    if (body.kind !== 'grant' || body.member.identity === by.identity || body.role === 'owner')
      return []
    const { role } = body
    const right = { how: 'office', rec: by.rec, role, keys: keysIn(body), office: number } as const
    if (this.isBarred(this.right(body.member, body.cores[0], right))) return []
    if (!this.isInvited(by.rec, body)) return []
    const [first] = this.admit(body.member, body.cores, right)
    if (first === undefined) return []
    this.done.add(by.rec)
    const { identity } = body.member
    return body.role === 'admin'
      ? [{ identity, role: 'admin', by: first, distance: office.distance + 1 }]
      : []
  }

  /** Whether the invite that a grant names, if it does, has let in fewer others than it may. */
  isInvited(rec: Rec, { invite, member }: As<'grant'>): boolean {
    if (invite === undefined) return true
    const made = this.held.at(invite)
    if (made?.body?.kind !== 'invite' || !this.held.sees(rec, made)) return false
    const others = this.rights.flatMap((right) => {
      const { body } = right.rec
      const isBy = body?.kind === 'grant' && body.invite && this.held.at(body.invite) === made
      return isBy && right.member.device !== member.device ? right.member.device : []
    })
    return new Set(others).size < made.body.uses
  }

  isBarred(right: Right): boolean {
    const { identity, device } = right.member
    if (
      this.removals(identity).some((i) => this.sawBallot(right.rec, i) && !this.isSpared(right, i))
    )
      return true
    return this.words.some(
      (word) =>
        !word.own &&
        word.kind === 'revoke' &&
        word.whom === identity &&
        (word.device === null || word.device === device) &&
        !this.isAbove(identity, word.office) &&
        this.held.sees(right.rec, word.rec) &&
        !this.isExempt(right, word)
    )
  }

  stands(right: Right): boolean {
    const { identity } = right.member
    if (this.removals(identity).some((i) => !this.isSpared(right, i))) return false
    const ends = this.words.filter(
      (word) =>
        !word.own &&
        word.kind === 'revoke' &&
        word.whom === identity &&
        word.device === null &&
        !this.isAbove(identity, word.office)
    )
    return !this.hasLeft(right) && ends.every((word) => this.isExempt(right, word))
  }
}

/** The two passes, and what they come to. */
export function naiveMembership(logs: readonly AclLog[], options: MembershipOptions) {
  const held = new Held(logs)
  const first = tellAll(held, options, provisional(held, options))
  if (first === null) return { owners: [], members: [], cores: [], ballots: [], forks: [] }
  const forks = decided(held, options, first)
  const last = tellAll(held, options, forks) ?? first
  return outcome(last, forks)
}

function tellAll(held: Held, options: MembershipOptions, forks: Forks): Telling | null {
  const [root] = new Telling(held, options, forks).log(options.space)
  if (root?.body?.kind !== 'found' || !new Telling(held, options, forks).signed(root)) return null
  const offices: Office[] = []
  for (;;) {
    const telling = new Telling(held, options, forks)
    const next = telling.tell(root, offices)
    if (next === null) {
      for (const identity of new Set(telling.rights.map(({ member }) => member.identity))) {
        telling.read(identity, null, NONE)
      }
      return telling
    }
    offices.push(next)
  }
}

function outcome(telling: Telling, forks: Forks) {
  const { list, rights, offices } = telling
  const cores = [...new Set(rights.map(({ core }) => core))].flatMap((core) => {
    const member = telling.memberOf(core)
    if (member === undefined) return []
    const length = telling.end(core, member, null)
    return [{ core, member, length, ...telling.may(core, member.identity, length) }]
  })
  const members = [...new Set(rights.map(({ member }) => member.identity))].map((identity) => {
    const roles = telling
      .given(identity)
      .filter((right) => telling.stands(right))
      .map(({ role }) => strength(role))
    const most = Math.max(-1, ...roles)
    const rank = offices.findIndex(
      (office, i) => office.identity === identity && !telling.isOver(i)
    )
    const devices = telling.devices(identity).map((device) => {
      const open = cores.filter(({ member, length }) => member.device === device && length === NONE)
      const own = most < 0 ? -1 : Math.max(-1, ...open.map(({ role }) => strength(role)))
      return `${device} ${RANKS[own] ?? '-'}`
    })
    return { identity, role: RANKS[most] ?? null, rank: rank === -1 ? null : rank, devices }
  })
  members.sort((a, b) => (a.rank ?? 1e9) - (b.rank ?? 1e9) || byText(a.identity, b.identity))
  return {
    owners: list.owners.filter(({ to }) => to === NONE).map(({ identity }) => identity),
    members,
    cores: cores
      .map(
        ({ core, member, role, keys, length }) =>
          `${core} ${member.identity} ${member.device} ${role} ${length} ${keys.join()}`
      )
      .sort(),
    ballots: list.ballots.map(
      ({ change, identity, cuts }) =>
        `${change.kind} ${identity} ${JSON.stringify([...cuts].sort(([a], [b]) => byText(a, b)))}`
    ),
    forks: [...forks].map(([core, { length }]) => `${core} ${length}`).sort()
  }
}

// Forks.

interface Parting {
  readonly old: Key
  readonly nexts: readonly {
    readonly core: Key
    readonly from: number
    readonly member: DeviceClaim
  }[]
  readonly least: number
}

/** Up to where the branches of a core, or proofs of others, agree. */
function partings(held: Held, { verify }: MembershipOptions): Map<Key, number> {
  const common = new Map<Key, number>()
  const agree = (core: Key, length: number) =>
    common.set(core, Math.min(common.get(core) ?? NONE, length))
  for (const { core, body } of held.all.values()) {
    if (body?.kind === 'fork' && verify.fork(body)) agree(body.core, body.common)
    const branches = held.branches(core)
    for (const a of branches) {
      for (const b of branches) {
        if (a !== b) agree(core, a.filter((rec, i) => rec === b[i]).length)
      }
    }
  }
  return common
}

function successions(held: Held, options: MembershipOptions): Parting[] {
  const teller = new Telling(held, options, new Map())
  const all = [...held.all.values()].flatMap((rec) =>
    rec.body?.kind === 'successor' && teller.signed(rec) ? [{ ...rec.body, rec }] : []
  )
  const olds = new Set(all.flatMap(({ old }) => old.map(({ core }) => core)))
  return [...olds].flatMap((old) => {
    if (held.branches(old).length === 0) return []
    const nexts = all.flatMap(({ rec, old: heads, member }) => {
      const from = heads.find(({ core }) => core === old)
      if (from === undefined || rec.core === old) return []
      return [{ core: rec.core, from: from.length, member }]
    })
    return [{ old, nexts, least: Math.min(...nexts.map(({ from }) => from)) }]
  })
}

const isDouble = ({ nexts }: Parting): boolean => new Set(nexts.map(({ core }) => core)).size > 1

function saidBeyond(held: Held, old: Key, length: number): boolean {
  return [...held.all.values()].some(
    ({ body }) =>
      body?.kind === 'ack' &&
      body.lengths.some(
        (head) => head.core === old && head.length > length && held.at(head) !== undefined
      )
  )
}

class Lowest extends Map<Key, Fork> {
  readonly #held: Held
  readonly #root: Key
  readonly #isFounding: (rec: Rec) => boolean

  constructor(held: Held, options: MembershipOptions) {
    super()
    this.#held = held
    this.#root = options.space
    const teller = new Telling(held, options, new Map())
    this.#isFounding = (rec) => rec.body?.kind === 'found' && teller.signed(rec)
  }

  /** Whether a branch may be the root's. */
  canBe(core: Key, first: Rec | undefined): boolean {
    return core !== this.#root || (first !== undefined && this.#isFounding(first))
  }

  low(core: Key, length: number, hash: Key | null = null): void {
    if (core === this.#root && length === 0) {
      const firsts = this.#held
        .branches(core)
        .flatMap(([first]) => (first !== undefined && this.#isFounding(first) ? first.hash : []))
      return this.low(core, 1, firsts.sort()[0] ?? null)
    }
    const known = this.get(core)
    if (known === undefined || length < known.length) this.set(core, { length, hash })
  }
}

function provisional(held: Held, options: MembershipOptions): Forks {
  const cuts = new Lowest(held, options)
  for (const [core, common] of partings(held, options)) cuts.low(core, common)
  for (const parting of successions(held, options)) {
    if (!isDouble(parting) && !saidBeyond(held, parting.old, parting.least)) continue
    if (!isDouble(parting)) cuts.low(parting.old, parting.least)
    for (const { core } of parting.nexts) cuts.low(core, 0)
  }
  return cuts
}

function decided(held: Held, options: MembershipOptions, first: Telling): Forks {
  const cuts = new Lowest(held, options)
  const heard = first.facts.filter((fact) => fact.fact === 'heard')
  const order = (a: Heard, b: Heard): number => {
    if (a.office !== b.office) return a.office < b.office ? -1 : 1
    if (a.office === NONE && a.identity !== b.identity) return byText(a.identity, b.identity)
    return (
      b.head.length - a.head.length ||
      byText(a.head.core, b.head.core) ||
      byText(a.head.treeHash, b.head.treeHash)
    )
  }
  const byOthers = (core: Key) =>
    heard
      .filter((ack) => ack.head.core === core && ack.identity !== first.memberOf(core)?.identity)
      .sort(order)
  const along = (core: Key, common: number) => {
    const isLog = held.branches(core).length > 0
    const acks = byOthers(core)
      .map(({ head }) => head)
      .filter(({ length }) => length > common)
    let best = acks.find((head) => {
      const at = held.at(head)
      return at === undefined ? !isLog : cuts.canBe(core, held.up(at)[0])
    })
    if (best === undefined) return cuts.low(core, common)
    for (const head of acks) {
      const [later, earlier] = [held.at(head), held.at(best)]
      if (
        later !== undefined &&
        earlier !== undefined &&
        held.up(later).slice(0, -1).includes(earlier)
      )
        best = head
    }
    cuts.low(core, best.length, best.treeHash)
  }
  const teller = new Telling(held, options, new Map())
  const recs = [...held.all.values()]
  /** A log of a device, and all that go on from it. */
  const chain = (core: Key, device: Key): Key[] => {
    const cores = [core]
    for (const each of cores)
      for (const rec of recs) {
        const { body } = rec
        if (body?.kind !== 'successor' || !teller.signed(rec) || cores.includes(rec.core)) continue
        const isNext = body.old.some((head) => head.core === each)
        if (isNext && body.member.device === device) cores.push(rec.core)
      }
    return cores
  }
  const letIn = ({ core, member }: Parting['nexts'][number]): number => {
    const cores = chain(core, member.device)
    const identities = recs.flatMap((rec) => {
      const isGrant = rec.body?.kind === 'grant' && cores.includes(rec.core) && teller.signed(rec)
      return isGrant && rec.body?.kind === 'grant' ? rec.body.member.identity : []
    })
    return new Set(identities.filter((identity) => identity !== member.identity)).size
  }
  const unheard = ({ nexts }: Parting) =>
    [...nexts].sort((a, b) => letIn(b) - letIn(a) || byText(a.core, b.core))[0]?.core
  for (const [core, common] of partings(held, options)) along(core, common)
  for (const parting of successions(held, options)) {
    const { old, nexts, least } = parting
    const ofOld = byOthers(old).filter(
      ({ head }) => head.length > least && held.at(head) !== undefined
    )
    if (!isDouble(parting) && ofOld.length === 0) continue
    const ofNew = nexts
      .flatMap(({ core }) => byOthers(core))
      .filter(({ head }) => held.at(head) !== undefined)
    const winner = [...ofOld, ...ofNew].sort(order)[0]?.head.core ?? unheard(parting)
    for (const { core, from } of nexts) {
      if (core !== winner) cuts.low(core, 0)
      if (core === winner && ofOld.some(({ head }) => head.length > from)) cuts.low(old, from)
    }
    if (winner === old) along(old, least)
  }
  return cuts
}
