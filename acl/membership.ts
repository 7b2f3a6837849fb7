/** What the pass found, told to those who ask: who is there, what they may, and where cores end. */
import type { Claims, Said } from './claims.ts'
import type { Cut, CutBy } from './cuts.ts'
import { EpochStatements, isOfEpoch } from './epoch-statements.ts'
import { resolveEpochs, type Epochs } from './epochs.ts'
import type { ForkCut, ForkCuts } from './forks.ts'
import type { Entry, History } from './history.ts'
import type { Invite } from './invites.ts'
import type { PendingBallot } from './owners.ts'
import type { Pass, Refusal, Rule } from './pass.ts'
import type { Head, Key, Role } from './records.ts'
import { NO_OFFICE, type Ballot, type Core, type Device, type Grant } from './registry.ts'
import { capped, joined, NOTHING, type Rights } from './rights.ts'

export interface Member {
  readonly identity: Key
  /** What the identity has now; null where it has been a member, and is none any more. */
  readonly role: Role | null
  /** Place among all offices, 0 the highest; null below all of them. */
  readonly rank: number | null
  /** What a writer may write below; null is everything. */
  readonly prefixes: readonly Uint8Array[] | null
  /** The earlier has the higher rank. */
  readonly devices: readonly MemberDevice[]
}

export interface MemberDevice {
  readonly device: Key
  /** What it may now: the most of its open cores, and no more than its identity. Null without an open core. */
  readonly role: Role | null
  readonly cores: readonly Key[]
}

/** How far a core counts, and by what right. */
export interface CoreStanding {
  readonly core: Key
  readonly use: 'acl' | 'data'
  readonly identity: Key
  readonly device: Key
  /** The role under which its content was written. */
  readonly role: Role
  readonly prefixes: readonly Uint8Array[] | null
  /** It counts from 0 up to here; Infinity while nothing ends it. */
  readonly length: number
  /** Of the core at `length`, where somebody named it. */
  readonly treeHash: Key | null
  readonly endedBy: CutBy | null
  /** The core that it goes on from, and where. */
  readonly continues: { readonly core: Key; readonly length: number } | null
}

/** A record that does not count. */
export interface RefusedRecord {
  readonly core: Key
  readonly index: number
  readonly treeHash: Key
  /** The rule of docs/MEMBERSHIP.md that says so; 0 for what could not be read or was not signed. */
  readonly rule: Rule
  readonly why: string
}

/** A seal that was named below what had been acknowledged (rule 6). */
export interface RaisedSeal {
  /** The record that sealed. */
  readonly by: { readonly core: Key; readonly index: number }
  readonly core: Key
  readonly named: number
  readonly length: number
}

export interface Membership {
  readonly space: Key
  /** The list of owners, by the ballots that led to it: what a vote must name. Null where the space has no founding. */
  readonly generation: Key | null
  /** In rank order. */
  readonly owners: readonly Key[]
  /** All who are or were members: by rank, then by key. */
  readonly members: ReadonlyMap<Key, Member>
  readonly cores: ReadonlyMap<Key, CoreStanding>
  readonly ballots: readonly Ballot[]
  readonly pendingBallots: readonly PendingBallot[]
  readonly forks: readonly ForkCut[]
  readonly refused: readonly RefusedRecord[]
  readonly raised: readonly RaisedSeal[]
  /** By somebody who might, by rank; also those that let nobody in any more. */
  readonly invites: readonly Invite[]
  /** The keys that content is encrypted under. */
  readonly epochs: Epochs
  /** Devices of an identity that were revoked by name, also such as nobody has let in: those are not to be. */
  revokedDevices(identity: Key): ReadonlySet<Key>
  /** How far a device says to hold a core; 0 where it never said. */
  acknowledged(device: Key, core: Key): number
  /**
   * What no seal of a later date can take away any more: the length of the core that every device of every owner and admin, and every
   * device of the core's own identity, has acknowledged. Below it, pruning is safe.
   */
  finalLength(core: Key): number
  /**
   * Of a forked core: what anybody has acknowledged beyond where its histories part, the last that each acl core says. Of a forked acl
   * core all that is really there must be held to tell which branch counts. None of it is proved.
   */
  branches(core: Key): readonly Head[]
}

interface Context {
  readonly history: History
  readonly claims: Claims
  readonly space: Key
  readonly forks: ForkCuts
}

/** What no acknowledgement changes. */
type Resolved = Omit<
  Membership,
  'refused' | 'epochs' | 'revokedDevices' | 'acknowledged' | 'finalLength' | 'branches'
>

/** Tells what a pass came to, with the acknowledgements held by then. */
export type Describe = () => Membership

export function describe(pass: Pass | null, context: Context): Describe {
  if (pass === null) return () => nothing(context)
  const description = new Description(pass, context)
  return () => description.membership()
}

function inOrder(forks: ForkCuts): readonly ForkCut[] {
  return [...forks.values()].sort((a, b) => (a.core < b.core ? -1 : 1))
}

function branchesOf({ claims, forks }: Context, core: Key): readonly Head[] {
  const fork = forks.get(core)
  if (fork === undefined) return []
  const last = new Map<Key, Said>()
  for (const said of claims.acknowledgedOf(core)) {
    const { entry, head } = said
    if (head.length > fork.common && (last.get(entry.core)?.entry.index ?? -1) < entry.index)
      last.set(entry.core, said)
  }
  return [...last.values()].map(({ head }) => head)
}

function nothing(context: Context): Membership {
  const { history, space, forks } = context
  const why: Refusal = { rule: 1, why: 'the root does not begin with its founding' }
  return {
    space,
    generation: null,
    owners: [],
    members: new Map(),
    cores: new Map(),
    ballots: [],
    pendingBallots: [],
    forks: inOrder(forks),
    refused: history
      .entries(history.size)
      .map((entry) => refusedRecord(entry, why))
      .sort(compareRefused),
    raised: [],
    invites: [],
    epochs: resolveEpochs([], new Set()),
    revokedDevices: () => new Set(),
    acknowledged: () => 0,
    finalLength: () => 0,
    branches: (core) => branchesOf(context, core)
  }
}

class Description {
  readonly #pass: Pass
  readonly #context: Context
  readonly #cuts = new Map<Core, Cut>()
  readonly #rights = new Map<Core, Rights>()
  readonly #resolved: Resolved

  constructor(pass: Pass, context: Context) {
    this.#pass = pass
    this.#context = context
    for (const core of pass.registry.cores.values()) {
      const cut = pass.cuts.of(core)
      this.#cuts.set(core, cut)
      this.#rights.set(core, this.#rightsOf(core, cut.length === Infinity))
    }
    this.#resolved = this.#resolve()
  }

  membership(): Membership {
    const { cores, members } = this.#resolved
    const { history } = this.#context
    // The graph goes on growing; this tells of what there is now.
    const { size } = history
    const lengths = once(() => this.#acknowledgements(history.entries(size)))
    const epochs = once(() => this.#epochs())
    const refused = once(() => this.#refused(history.entries(size), epochs()))
    const acknowledged = (device: Key, core: Key) => lengths().get(device)?.get(core) ?? 0
    return {
      ...this.#resolved,
      get refused() {
        return refused()
      },
      get epochs() {
        return epochs()
      },
      revokedDevices: (identity) => this.#pass.cuts.revokedDevices(identity),
      acknowledged,
      finalLength: (core) => finalLength(core, cores.get(core), members, acknowledged),
      branches: (core) => branchesOf(this.#context, core)
    }
  }

  #resolve(): Resolved {
    const { owners, registry } = this.#pass
    const current = owners.terms.filter(({ until }) => until === null)
    const cores = [...registry.cores.values()].map((core) => this.#standing(core))
    return {
      space: this.#context.space,
      generation: owners.generation,
      owners: current.map(({ identity }) => identity),
      members: this.#members(),
      cores: new Map(cores.map((standing) => [standing.core, standing])),
      ballots: owners.ballots,
      pendingBallots: owners.pending,
      forks: inOrder(this.#context.forks),
      raised: this.#raised(),
      invites: this.#pass.invites.list()
    }
  }

  #standing(core: Core): CoreStanding {
    const { length, treeHash, by } = this.#cuts.get(core) ?? this.#pass.cuts.of(core)
    const { identity, device } = core.device
    const { role, prefixes } = this.#rights.get(core) ?? NOTHING
    const continues = core.grants[0]?.old.at(-1) ?? null
    const { core: key, use } = core
    return {
      core: key,
      use,
      identity,
      device,
      role,
      prefixes,
      length,
      treeHash,
      endedBy: by,
      continues
    }
  }

  /** RULE 8: No device has more than its identity; what was written before that lost something counts as it was written. */
  #rightsOf(core: Core, isOpen: boolean): Rights {
    const { registry, cuts } = this.#pass
    const own = registry.rightsOf(core)
    const [only] = core.grants
    // What others gave this core, they gave its identity.
    if (only !== undefined && core.grants.length === 1 && isGiven(only)) return own
    const { identity } = core.device
    const given = registry.givenTo(identity)
    const most = isOpen ? given.filter((grant) => cuts.stands(identity, grant)) : given
    return capped(own, joined(most))
  }

  // Members.

  #members(): ReadonlyMap<Key, Member> {
    const all = [...this.#pass.registry.identities()].map((identity) => this.#member(identity))
    const rankOf = ({ rank }: Member) => rank ?? NO_OFFICE
    all.sort((a, b) => {
      if (rankOf(a) !== rankOf(b)) return rankOf(a) - rankOf(b)
      return a.identity < b.identity ? -1 : 1
    })
    return new Map(all.map((member) => [member.identity, member]))
  }

  #member(identity: Key): Member {
    const { registry, cuts } = this.#pass
    const standing = registry.givenTo(identity).filter((grant) => cuts.stands(identity, grant))
    const { role: most, prefixes } = joined(standing)
    const role = standing.length === 0 ? null : most
    const devices = registry.devicesOf(identity).map((device) => this.#device(device, role))
    const rank = cuts.officeOf(identity)?.order ?? null
    return { identity, role, rank, prefixes, devices }
  }

  #device({ device, cores }: Device, most: Role | null): MemberDevice {
    const keys = cores.map(({ core }) => core)
    const open = cores.filter((core) => this.#cuts.get(core)?.length === Infinity)
    if (open.length === 0 || most === null) return { device, role: null, cores: keys }
    const { role } = joined(open.map((core) => this.#rights.get(core) ?? NOTHING))
    return { device, role, cores: keys }
  }

  #epochs(): Epochs {
    const { members } = this.#resolved
    const statements = new EpochStatements({
      pass: this.#pass,
      history: this.#context.history,
      members,
      cutOf: (core) => this.#cuts.get(core),
      roleOf: (core) => (this.#rights.get(core) ?? NOTHING).role
    })
    return resolveEpochs(statements.all(), statements.readers, statements.void())
  }

  // Records.

  #refused(entries: readonly Entry[], epochs: Epochs): readonly RefusedRecord[] {
    const refused: RefusedRecord[] = []
    for (const entry of entries) {
      const ofEpoch = isOfEpoch(entry.record) ? epochs.refused.get(entry.record) : undefined
      if (ofEpoch === undefined && this.#pass.counts(entry)) continue
      refused.push(refusedRecord(entry, ofEpoch ?? this.#whyRefused(entry)))
    }
    return refused.sort(compareRefused)
  }

  #whyRefused(entry: Entry): Refusal {
    const known = this.#pass.refusals.get(entry)
    if (known !== undefined) return known
    const core = this.#pass.registry.cores.get(entry.core)
    if (core === undefined) return { rule: 2, why: 'nobody granted its core' }
    return { rule: 4, why: 'it lies past the end of its core' }
  }

  #raised(): readonly RaisedSeal[] {
    const raised: RaisedSeal[] = []
    for (const statement of this.#pass.statements) {
      const { core: author, index } = statement.entry
      for (const [core, { length: named }] of statement.cuts) {
        const length = this.#pass.cuts.raisedTo(statement, core)
        if (length !== null) raised.push({ by: { core: author, index }, core, named, length })
      }
    }
    return raised
  }

  #acknowledgements(entries: readonly Entry[]): ReadonlyMap<Key, ReadonlyMap<Key, number>> {
    const byDevice = new Map<Key, Map<Key, number>>()
    const { registry, cuts } = this.#pass
    for (const entry of entries) {
      const { record, core } = entry
      if (typeof record === 'string' || record.kind !== 'ack' || !cuts.isHeard(entry)) continue
      const device = registry.cores.get(core)?.device.device
      if (device === undefined) continue
      const lengths = byDevice.get(device) ?? new Map<Key, number>()
      byDevice.set(device, lengths)
      for (const head of record.lengths) {
        lengths.set(head.core, Math.max(lengths.get(head.core) ?? 0, head.length))
      }
    }
    return byDevice
  }
}

function isGiven({ basis }: Grant): boolean {
  return basis === 'grant' || basis === 'ballot' || basis === 'root'
}

/** What is seldom asked is worked out when it is asked first. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}

function finalLength(
  key: Key,
  core: CoreStanding | undefined,
  members: ReadonlyMap<Key, Member>,
  acknowledged: (device: Key, core: Key) => number
): number {
  if (core === undefined) return 0
  let final = core.length
  for (const { identity, rank, devices } of members.values()) {
    if (rank === null && identity !== core.identity) continue
    for (const { device, role } of devices) {
      // Who wrote the core holds it, and says no more than that by writing.
      if (role === null || device === core.device) continue
      final = Math.min(final, acknowledged(device, key))
    }
  }
  return final
}

function refusedRecord({ core, index, treeHash }: Entry, { rule, why }: Refusal): RefusedRecord {
  return { core, index, treeHash, rule, why }
}

function compareRefused(a: RefusedRecord, b: RefusedRecord): number {
  if (a.core !== b.core) return a.core < b.core ? -1 : 1
  return a.index - b.index || (a.treeHash < b.treeHash ? -1 : 1)
}
