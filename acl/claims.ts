/**
 * What proves itself, whoever passes it on: the first records of logs that say whom they belong to, and proofs of forks. And the
 * signatures inside records, each checked once; how is the caller's business.
 */
import type { Entry } from './history.ts'
import type {
  CoreClaim,
  DeviceClaim,
  ForkRecord,
  Head,
  Key,
  RecoveryRecord,
  SuccessorRecord
} from './records.ts'

/** Checks signatures. Must answer the same for the same arguments, on every device. */
export interface Verifier {
  /** Whether the identity says that the device is its own. */
  device(member: DeviceClaim): boolean
  /** Whether the device says, for this space, that the core is its own and that it is this identity's. */
  core(space: Key, member: DeviceClaim, claim: CoreClaim): boolean
  /** Whether the device signed this as the first record of `core`. */
  successor(space: Key, core: Key, record: SuccessorRecord): boolean
  /** Whether the identity's recovery key signed this as the first record of `core`. */
  recovery(space: Key, core: Key, record: RecoveryRecord): boolean
  /** Whether it shows two signed histories of the core that agree up to `common` and differ in the next block. */
  fork(record: ForkRecord): boolean
}

export interface Successor {
  readonly entry: Entry
  readonly record: SuccessorRecord
}

export interface Recovery {
  readonly entry: Entry
  readonly record: RecoveryRecord
}

/** An acknowledgement of one core, in the record it stands in. */
export interface Said {
  readonly entry: Entry
  readonly head: Head
}

const NOTHING_SAID: readonly Said[] = []
const NO_SUCCESSORS: readonly Successor[] = []
const NO_RECOVERIES: readonly Recovery[] = []
const NONE_BEFORE: ReadonlySet<string> = new Set()

export class Claims {
  readonly space: Key
  readonly #verify: Verifier
  readonly #before: ReadonlySet<string>
  readonly #signed = new Map<Entry, boolean>()
  readonly #successors = new Map<Key, Successor[]>()
  readonly #recoveries = new Map<Key, Recovery[]>()
  readonly #acknowledged = new Map<Key, Said[]>()
  /** Proved: up to where the histories of a core agree. */
  readonly forks = new Map<Key, number>()

  /** @param before records in which all was found signed before */
  constructor(space: Key, verify: Verifier, before: ReadonlySet<string> = NONE_BEFORE) {
    this.space = space
    this.#verify = verify
    this.#before = before
  }

  note(entry: Entry): void {
    const { record } = entry
    if (typeof record === 'string' || !this.isSigned(entry)) return
    if (record.kind === 'fork') {
      const known = this.forks.get(record.core) ?? Infinity
      this.forks.set(record.core, Math.min(known, record.common))
    }
    if (record.kind === 'ack')
      for (const head of record.lengths) push(this.#acknowledged, head.core, { entry, head })
    if (record.kind === 'recovery') {
      push(this.#recoveries, record.member.identity, { entry, record })
    }
    if (record.kind !== 'successor') return
    for (const { core } of record.old) push(this.#successors, core, { entry, record })
  }

  /** Succession records that name the core as one of the old ones, by the core they stand in. */
  successorsOf(core: Key): readonly Successor[] {
    return this.#successors.get(core) ?? NO_SUCCESSORS
  }

  /** What anybody, member or not, says to hold of a core. */
  acknowledgedOf(core: Key): readonly Said[] {
    return this.#acknowledged.get(core) ?? NOTHING_SAID
  }

  /** Cores that some successor continues. */
  succeeded(): Iterable<Key> {
    return this.#successors.keys()
  }

  recoveriesOf(identity: Key): readonly Recovery[] {
    return this.#recoveries.get(identity) ?? NO_RECOVERIES
  }

  /** Whether all that a record needs to have signed is signed. */
  isSigned(entry: Entry): boolean {
    const { record } = entry
    if (typeof record !== 'string' && record.kind === 'ack') return true
    const known = this.#signed.get(entry)
    if (known !== undefined) return known
    const isSigned = this.#wasSigned(entry) || this.#check(entry)
    this.#signed.set(entry, isSigned)
    return isSigned
  }

  #wasSigned({ core, index, treeHash }: Entry): boolean {
    return this.#before.size > 0 && this.#before.has(`${core} ${index + 1} ${treeHash}`)
  }

  #check({ record, core, index }: Entry): boolean {
    if (typeof record === 'string') return false
    switch (record.kind) {
      case 'found':
        return (
          index === 0 && this.#isMember(record.member, record.cores) && hasAcl(record.cores, core)
        )
      case 'grant':
        return this.#isMember(record.member, record.cores)
      case 'vote': {
        const { change } = record
        if (change.kind === 'remove') return true
        return this.#isMember(change.member, change.cores) && hasAcl(change.cores)
      }
      case 'successor':
        if (index > 0 || !this.#isMember(record.member, record.cores)) return false
        return this.#verify.successor(this.space, core, record)
      case 'recovery':
        if (index > 0 || !this.#isMember(record.member, record.cores)) return false
        return this.#verify.recovery(this.space, core, record)
      case 'fork':
        return this.#verify.fork(record)
      default:
        return true
    }
  }

  #isMember(member: DeviceClaim, cores: readonly CoreClaim[]): boolean {
    return (
      this.#verify.device(member) &&
      cores.every((claim) => this.#verify.core(this.space, member, claim))
    )
  }
}

function hasAcl(cores: readonly CoreClaim[], core?: Key): boolean {
  return cores.some((claim) => claim.use === 'acl' && (core === undefined || claim.core === core))
}

export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
