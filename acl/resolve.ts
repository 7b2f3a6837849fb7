/** From logs to membership: a pure function of the set of logs, and its incremental twin, which gives the same. */
import { Claims, type Verifier } from './claims.ts'
import { Forks, Logs, type ForkCuts } from './forks.ts'
import { History, type Entry } from './history.ts'
import { describe, type Describe, type Membership } from './membership.ts'
import type { Hash } from './owners.ts'
import { Pass } from './pass.ts'
import type { AclLog, Head, Key } from './records.ts'

export interface MembershipOptions {
  /** The founder's acl core: the root of everything, and the space's address. */
  readonly space: Key
  readonly verify: Verifier
  /** Names generations of owners; in real spaces as docs/FORMAT.md says. */
  readonly hash: Hash
  /** Records in which all was found signed before, as `core length treeHash`: it is not checked again. */
  readonly signed?: ReadonlySet<string>
}

/**
 * Who is a member, with which rights, and how far each core counts.
 *
 * The result depends on the *set* of records alone, not on their order of arrival, and two devices that hold the same logs agree. A log
 * may be held in part (a prefix), and a forked one in several branches. It never throws for what stands in logs: what does
 * not count is listed in `refused` with the rule that says so. A space whose root does not begin with its founding has no members.
 */
export function resolveMembership(logs: Iterable<AclLog>, options: MembershipOptions): Membership {
  return new MembershipResolver(options).add(logs)
}

/**
 * Keeps what it was given, so that one more record does not cost reading all of them again. Signatures are checked and causal pasts found
 * once. The pass over the offices is taken anew, but for acknowledgements, of which there are more than of all others: none of the
 * records there were has seen them, so they decide nothing.
 */
export class MembershipResolver {
  readonly #history = new History()
  readonly #claims: Claims
  readonly #hash: Hash
  #membership: Membership | null = null
  #describe: Describe | null = null
  /** Whether acknowledgements may choose between branches. */
  #isForked = false

  constructor({ space, verify, hash, signed }: MembershipOptions) {
    this.#claims = new Claims(space, verify, signed)
    this.#hash = hash
  }

  /** The membership of all logs added so far. A log may be given again, from its start, when it has grown. */
  add(logs: Iterable<AclLog>): Membership {
    const { revision } = this.#history
    const added = this.#history.add(logs)
    for (const entry of added) this.#claims.note(entry)
    if (added.length === 0 && this.#membership !== null) return this.#membership
    const isNews = this.#history.revision !== revision || added.some((entry) => this.#moves(entry))
    if (isNews || this.#describe === null) this.#describe = this.#resolve()
    this.#membership = this.#describe()
    return this.#membership
  }

  /** Whether all that is to be signed in the last record of a log's beginning was found to be. */
  isSigned(head: Head): boolean {
    const entry = this.#history.at(head)
    return entry !== null && this.#claims.isSigned(entry)
  }

  /** Whether a new record that nobody has named yet can change more than what is acknowledged. */
  #moves({ core, index, record }: Entry): boolean {
    if (typeof record === 'string' || record.kind !== 'ack') return true
    if (index === 0 || this.#isForked || this.#history.tips(core).length > 1) return true
    // A succession may have waited for it, or be contradicted by it: the first sign of a fork.
    const cores = [core, ...record.lengths.map((head) => head.core)]
    return cores.some((each) => this.#claims.successorsOf(each).length > 0)
  }

  #resolve(): Describe {
    const { space } = this.#claims
    const forks = new Forks(this.#history, this.#claims, space)
    this.#isForked = !forks.areNone
    const provisional = forks.provisional()
    const first = this.#pass(provisional)
    if (forks.areNone || first === null) return this.#tell(first, provisional)
    const { cuts, registry } = first
    const decided = forks.decide(
      (core) => cuts.heardOf(core),
      (core) => registry.cores.get(core)?.device.identity
    )
    return this.#tell(this.#pass(decided), decided)
  }

  #pass(cuts: ForkCuts): Pass | null {
    const [history, claims] = [this.#history, this.#claims]
    return Pass.run({ history, claims, logs: new Logs(history, cuts), hash: this.#hash })
  }

  #tell(pass: Pass | null, forks: ForkCuts): Describe {
    const [history, claims] = [this.#history, this.#claims]
    return describe(pass, { history, claims, space: claims.space, forks })
  }
}
