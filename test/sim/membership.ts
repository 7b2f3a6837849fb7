/** Random histories of members who are honest, mistaken or hostile, as their acl logs. */
import type { AclLog, CoreClaim, Head, Key, MembershipOptions, Role } from '../../acl/index.ts'
import {
  attest,
  type Author,
  author,
  claim,
  dataHead,
  founder,
  OPTIONS,
  recovery,
  shortHash,
  succession
} from '../support/acl.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank']
const GRANTED: readonly Role[] = ['admin', 'admin', 'admin', 'writer', 'reader', 'mirror', 'owner']

export interface History {
  readonly logs: readonly AclLog[]
  readonly options: MembershipOptions
  /** The same, after the author of one of the logs went on acting; `isOrdinary`: without its recovery key. */
  later(core: Key, isOrdinary: boolean): readonly AclLog[]
}

/** One in which many come by invites. */
export const inviting = (seed: number): History => randomHistory(seed, true)

export function randomHistory(seed: number, isInviting = false): History {
  const play = new Play(seededRandom(seed), isInviting)
  play.run()
  return { logs: play.logs(), options: OPTIONS, later: (...of) => play.later(...of) }
}

class Play {
  readonly #random: SeededRandom
  readonly #authors: Author[] = [founder(), ...NAMES.slice(1).map((name) => author(name))]
  /** Names of generations that some vote may have led to. */
  readonly #generations: Key[] = [shortHash('owners/alice/1/acl')]
  #fresh = 0
  /** Records of invites. */
  readonly #invites: Head[] = []
  /** In some histories owners come early and many, in others there is only Alice. */
  readonly #ownersWanted: number

  readonly #isInviting: boolean

  constructor(random: SeededRandom, isInviting: boolean) {
    this.#random = random
    this.#isInviting = isInviting
    this.#ownersWanted = random.below(4) === 0 ? 0 : random.below(4)
  }

  run(): void {
    for (let i = 0; i < this.#ownersWanted; i++) this.#electEarly(i)
    if (this.#chance(80)) this.#grantEarly()
    const steps = 6 + this.#random.below(26)
    for (let i = 0; i < steps; i++) this.#step()
  }

  logs(): readonly AclLog[] {
    return this.#authors.filter(({ length }) => length > 0).map(({ log }) => log)
  }

  later(core: Key, isOrdinary: boolean): readonly AclLog[] {
    const one = this.#authors.find((each) => each.core === core)
    if (one === undefined) return this.logs()
    for (let i = 0; i < 4; i++) {
      if (this.#chance(70)) one.sees(...this.#authors)
      this.#act(one, isOrdinary)
    }
    return this.logs()
  }

  #pick<T>(list: readonly T[]): T {
    const chosen = list[this.#random.below(list.length)]
    if (chosen === undefined) throw new Error('Nothing to choose from')
    return chosen
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent
  }

  /** All owners so far vote for one more, having seen each other. */
  #electEarly(i: number): void {
    const next = this.#authors[i + 1]
    const generation = this.#generations.at(-1)
    if (next === undefined || generation === undefined) return
    const owners = this.#authors.slice(0, i + 1)
    for (const owner of owners) {
      owner.sees(...owners)
      owner.write({ kind: 'vote', generation, change: addition(next) })
    }
    const name = `add/${next.identity}/${next.device}/${next.core}`
    this.#generations.push(shortHash(`${generation}/${name}`))
    for (const each of [...owners, next]) each.sees(...owners)
  }

  /** A chain or a tree of admins and members, who know of it. */
  #grantEarly(): void {
    const inside = this.#authors.slice(0, this.#ownersWanted + 1)
    for (const next of this.#authors.slice(this.#ownersWanted + 1)) {
      if (this.#chance(15)) continue
      const granter = this.#pick(inside)
      granter.grants(next, this.#pick(GRANTED.slice(0, -1)))
      next.sees(granter)
      inside.push(next)
    }
  }

  /** Several owners vote for the same, more or less. */
  #campaign(): void {
    const generation = this.#generations.at(-1) ?? ''
    const owners = this.#authors.slice(0, this.#ownersWanted + 1)
    const other = this.#pick(this.#chance(70) ? owners : this.#authors)
    const isRemoval = this.#chance(75)
    const all = this.#authors.filter(({ identity }) => identity === other.identity)
    for (const one of owners) {
      if (this.#chance(20)) continue
      if (this.#chance(70)) one.sees(...this.#authors)
      const cuts = this.#cuts(one, all)
      const change = isRemoval
        ? { kind: 'remove' as const, identity: other.identity, cuts }
        : addition(other)
      one.write({ kind: 'vote', generation, change }, this.#heads(one))
    }
    this.#generations.push(this.#nameOf(generation, other, isRemoval))
  }

  #nameOf(generation: Key, { identity, device, core }: Author, isRemoval: boolean): Key {
    const name = isRemoval ? `remove/${identity}` : `add/${identity}/${device}/${core}`
    return shortHash(`${generation}/${name}`)
  }

  #step(): void {
    const one = this.#pick(this.#authors)
    if (this.#chance(55)) one.sees(this.#pick(this.#authors))
    if (this.#chance(15)) one.sees(...this.#authors)
    this.#act(one)
  }

  #act(one: Author, isOrdinary = false): void {
    const other = this.#pick(this.#authors)
    const acts: readonly [number, () => void][] = [
      [24, () => this.#grant(one, other)],
      [18, () => this.#revoke(one, other)],
      [this.#isInviting ? 16 : 0, () => this.#invite(one)],
      [9, () => this.#seal(one)],
      [14, () => this.#acknowledge(one)],
      [14, () => this.#vote(one)],
      [isOrdinary ? 0 : 8, () => this.#campaign()],
      [5, () => this.#addDevice(one)],
      [4, () => this.#succeed(one)],
      [isOrdinary ? 0 : 4, () => this.#recover(one)],
      [isOrdinary ? 0 : 3, () => this.#fork(one)],
      [3, () => one.write({ kind: 'leave', cuts: this.#cuts(one, [one]) }, this.#heads(one))],
      [isOrdinary ? 0 : 2, () => this.#forge(one, other)]
    ]
    let left = this.#random.below(acts.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, act] of acts) {
      left -= weight
      if (left < 0) return act()
    }
  }

  /** Usually all that was seen; sometimes some of it is concealed, or more is pretended. */
  #heads(one: Author): readonly Head[] {
    const seen = [...one.seen.values()]
    if (this.#chance(80)) return seen
    if (this.#chance(50)) return seen.filter(() => this.#chance(60))
    if (this.#chance(50))
      return [...seen, { core: this.#pick(NAMES) + '/1/acl', length: 7, treeHash: 'none' }]
    return seen.map((head) => this.#older(head))
  }

  #older(head: Head): Head {
    const of = this.#authors.find(({ core }) => core === head.core)
    return of === undefined ? head : of.head(this.#random.below(head.length + 1))
  }

  #grant(one: Author, other: Author): void {
    const role = this.#pick(GRANTED)
    const prefixes = role === 'writer' && this.#chance(30) ? [below(this.#random.below(9))] : null
    const cores = this.#chance(85) ? other.claims : other.claims.slice(this.#random.below(2))
    const grant = { kind: 'grant', member: other.member, role, prefixes, cores } as const
    const heads = this.#heads(one)
    if (this.#invites.length === 0 || this.#chance(30)) one.write(grant, heads)
    else one.write({ ...grant, invite: this.#pick(this.#invites) }, heads)
  }

  /** Others mostly hear of it. */
  #invite(one: Author): void {
    const isNew = this.#invites.length < 2 || this.#chance(70)
    if (!isNew)
      return void one.write(
        { kind: 'withdraw', invite: this.#pick(this.#invites) },
        this.#heads(one)
      )
    const [role, uses] = [this.#pick<Role>(['admin', 'writer']), 1 + this.#random.below(2)]
    const terms = { key: shortHash(`invite ${one.core} ${one.length}`), role, prefixes: null, uses }
    this.#invites.push(one.write({ kind: 'invite', ...terms, expires: 1 }, this.#heads(one)))
    for (const each of this.#authors) if (this.#chance(70)) each.sees(one)
  }

  #revoke(one: Author, other: Author): void {
    const device = this.#chance(20) ? other.device : null
    const cuts = this.#cuts(
      one,
      this.#authors.filter(({ identity }) => identity === other.identity)
    )
    one.write({ kind: 'revoke', identity: other.identity, device, cuts }, this.#heads(one))
  }

  #seal(one: Author): void {
    const some = this.#authors.filter(() => this.#chance(25))
    one.write({ kind: 'seal', cuts: this.#cuts(one, some) }, this.#heads(one))
  }

  /** Cores as they are known, or less, or more, or not at all. */
  #cuts(one: Author, of: readonly Author[]): readonly Head[] {
    return of.flatMap((each) => {
      const known = one.cut(each)
      if (this.#chance(60)) return known
      if (this.#chance(40)) return []
      return known.map(({ core, length }) => dataHead(core, this.#random.below(length + 3)))
    })
  }

  #acknowledge(one: Author): void {
    const some = this.#authors.filter((each) => each !== one && this.#chance(40))
    const lengths = some.flatMap((each) => {
      const acl = one.seen.get(each.core)
      const data = dataHead(each.data, this.#random.below(9), this.#chance(20) ? '!' : '')
      return acl === undefined ? [data] : [this.#chance(90) ? acl : dataHead(acl.core, 9), data]
    })
    one.write({ kind: 'ack', lengths }, this.#heads(one))
  }

  #vote(one: Author): void {
    const generation = this.#chance(70)
      ? (this.#generations.at(-1) ?? '')
      : this.#pick(this.#generations)
    const about = this.#chance(60) ? this.#authors[1 + this.#random.below(2)] : undefined
    const other = about ?? this.#pick(this.#authors)
    const isRemoval = this.#chance(50)
    const cuts = this.#cuts(
      one,
      this.#authors.filter(({ identity }) => identity === other.identity)
    )
    const change = isRemoval
      ? { kind: 'remove' as const, identity: other.identity, cuts }
      : addition(other)
    one.write({ kind: 'vote', generation, change }, this.#heads(one))
    if (this.#chance(40)) this.#generations.push(this.#nameOf(generation, other, isRemoval))
  }

  #addDevice(one: Author): void {
    const next = author(one.identity, 2 + this.#random.below(2), this.#suffix(50))
    if (this.#authors.some(({ core }) => core === next.core)) return
    const role = this.#pick<Role>(['owner', 'admin', 'writer'])
    one.write(
      { kind: 'grant', member: next.member, role, prefixes: null, cores: next.claims },
      this.#heads(one)
    )
    if (this.#chance(80)) next.sees(one)
    this.#authors.push(next)
  }

  #suffix(percent: number): string {
    return this.#chance(percent) ? `-${++this.#fresh}` : ''
  }

  #succeed(one: Author): void {
    if (one.length === 0) return
    const acl = one.head(1 + this.#random.below(one.length))
    const data = dataHead(one.data, this.#random.below(4))
    this.#authors.push(succession(one, this.#suffix(100), this.#chance(80) ? [acl, data] : [acl]))
  }

  #recover(one: Author): void {
    const next = author(one.identity, 1 + this.#random.below(4), this.#suffix(100))
    if (this.#chance(80)) next.sees(one)
    const devices = this.#authors.filter(({ identity }) => identity === one.identity)
    const revoked = [...new Set(devices.filter(() => this.#chance(30)).map(({ device }) => device))]
    this.#authors.push(
      recovery(next, { revoked, cuts: this.#cuts(next, devices), movesVote: this.#chance(50) })
    )
  }

  /** The store was copied: two logs of one name; or somebody only says so. */
  #fork(one: Author): void {
    if (this.#chance(20)) {
      const common = this.#random.below(5)
      const core = this.#chance(50) ? one.core : one.data
      this.#pick(this.#authors).write({
        kind: 'fork',
        core,
        common,
        proof: new Uint8Array(this.#random.below(3))
      })
      return
    }
    if (one.length > 0) this.#authors.push(one.copy(this.#random.below(one.length + 1)))
  }

  /** What nobody signed, or for another space, or in a log that is not the author's. */
  #forge(one: Author, other: Author): void {
    const member = this.#chance(50)
      ? other.member
      : { ...attest(one.identity, other.device), attestation: new Uint8Array(1) }
    const cores: readonly CoreClaim[] = [
      claim(member, other.core, 'acl', 'another space'),
      claim(attest('mallory', 'mallory/1'), other.data, 'data')
    ]
    one.write({
      kind: 'grant',
      member,
      role: 'admin',
      prefixes: null,
      cores: cores.slice(this.#random.below(2))
    })
    if (this.#chance(30)) other.write({ kind: 'found', member: other.member, cores: other.claims })
  }
}

function addition(other: Author) {
  return { kind: 'add', member: other.member, cores: other.claims } as const
}

/** The same logs as somebody else may hold them: shuffled, some twice, some in part first. */
export function shuffled(logs: readonly AclLog[], random: SeededRandom): AclLog[] {
  const parts = logs.flatMap((log) => {
    const length = random.below(log.records.length + 1)
    return random.below(3) === 0 ? [{ ...log, records: log.records.slice(0, length) }, log] : [log]
  })
  const list = random.below(2) === 0 ? parts : [...parts, ...logs]
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const [a, b] = [list[i], list[j]]
    if (a !== undefined && b !== undefined) [list[i], list[j]] = [b, a]
  }
  return list
}

/** What only some have received yet. */
export function prefixes(logs: readonly AclLog[], random: SeededRandom): AclLog[] {
  return logs.map((log) => {
    const isRoot = log.core === 'alice/1/acl'
    const length = random.below(log.records.length + 1)
    return { ...log, records: log.records.slice(0, isRoot ? Math.max(1, length) : length) }
  })
}

/** One of few prefixes, some within others. */
function below(number: number): Uint8Array {
  return Buffer.from(['a', 'ab', 'b'][number % 3] ?? '')
}
