/**
 * Acl logs written by people with short names: `alice` has a device `alice/1` with the cores `alice/1/acl` and `alice/1/data`. Signatures are
 * sentences, hashes are short: what they must not be is forgeable by accident. Nothing here knows a rule.
 */
import type {
  AclLog,
  AclRecord,
  CoreClaim,
  DeviceClaim,
  Head,
  Key,
  LoggedRecord,
  Membership,
  MembershipOptions,
  RecoveryRecord,
  Role,
  SuccessorRecord,
  Verifier
} from '../../acl/index.ts'

const SPACE = 'alice/1/acl'

/** A record before its author's heads are added. */
export type Draft = AclRecord extends infer R
  ? R extends AclRecord
    ? Omit<R, 'heads'>
    : never
  : never

/** 53 bits: short to print, and wide enough for what a test writes. */
export function shortHash(source: string): Key {
  let [a, b] = [0xdeadbeef, 0x41c6ce57]
  for (let i = 0; i < source.length; i++) {
    const code = source.charCodeAt(i)
    a = Math.imul(a ^ code, 2654435761)
    b = Math.imul(b ^ code, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(16)
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    each instanceof Uint8Array ? [...each].join() : each
  )

const words = (sentence: string): Uint8Array => Buffer.from(sentence)

export const attest = (identity: Key, device: Key): DeviceClaim => ({
  identity,
  device,
  attestation: words(`${identity} owns ${device}`)
})

export const claim = (
  { identity, device }: DeviceClaim,
  core: Key,
  use: 'acl' | 'data',
  space: Key = SPACE
): CoreClaim => ({
  core,
  use,
  signature: words(`${device} of ${identity} writes ${core} in ${space}`)
})

type Statement = SuccessorRecord | RecoveryRecord

function statement(
  space: Key,
  core: Key,
  record: Draft & { readonly kind: Statement['kind'] }
): Uint8Array {
  const { signature: _, heads: __, ...rest } = record as Statement
  return words(`${space} ${core} ${shortHash(show(rest))}`)
}

const isSaid = (signature: Uint8Array, sentence: Uint8Array): boolean =>
  Buffer.compare(signature, sentence) === 0

const verify: Verifier = {
  device: ({ identity, device, attestation }) =>
    isSaid(attestation, words(`${identity} owns ${device}`)),
  core: (space, member, { core, use, signature }) =>
    isSaid(signature, claim(member, core, use, space).signature),
  successor: (space, core, record) => isSaid(record.signature, statement(space, core, record)),
  recovery: (space, core, record) => isSaid(record.signature, statement(space, core, record)),
  fork: ({ proof }) => proof.byteLength > 0
}

export const OPTIONS: MembershipOptions = { space: SPACE, verify, hash: shortHash }

/** One acl log with its author, and what that author has seen. */
export class Author {
  readonly member: DeviceClaim
  readonly core: Key
  readonly records: LoggedRecord[] = []
  /** Per log the last head that is known here; of a forked log one for each branch that was met. */
  readonly seen = new Map<string, Head>()

  constructor(member: DeviceClaim, core: Key) {
    this.member = member
    this.core = core
  }

  get identity(): Key {
    return this.member.identity
  }

  get device(): Key {
    return this.member.device
  }

  get length(): number {
    return this.records.length
  }

  get data(): Key {
    return this.core.replace('acl', 'data')
  }

  get claims(): readonly CoreClaim[] {
    return [claim(this.member, this.core, 'acl'), claim(this.member, this.data, 'data')]
  }

  /** Where this log stands, or stood at `length`. */
  head(length = this.length): Head {
    const treeHash = this.records[length - 1]?.treeHash ?? 'nothing'
    return { core: this.core, length, treeHash }
  }

  get log(): AclLog {
    return { core: this.core, records: [...this.records] }
  }

  write(draft: Draft, heads: readonly Head[] = [...this.seen.values()]): Head {
    const record: AclRecord = { ...draft, heads }
    const treeHash = shortHash(`${this.head().treeHash} ${this.core} ${show(record)}`)
    this.records.push({ record, treeHash })
    return this.head()
  }

  /** Learns of the logs of others, and of all that these had seen. */
  sees(...others: readonly Author[]): this {
    for (const other of others) {
      if (other === this) continue
      for (const [core, head] of other.seen) if (core !== this.core) this.learn(head)
      if (other.length > 0 && other.core !== this.core) this.learn(other.head())
    }
    return this
  }

  learn(head: Head): void {
    const known = this.seen.get(head.core)
    if (known === undefined || known.length < head.length) this.seen.set(head.core, head)
  }

  grants(
    other: Author,
    role: Role,
    cores: readonly CoreClaim[] = other.claims,
    prefixes: readonly string[] | null = null
  ): Head {
    const below = prefixes?.map((each) => Buffer.from(each)) ?? null
    return this.write({ kind: 'grant', member: other.member, role, prefixes: below, cores })
  }

  /** Names the acl cores of these as they are known here, and data cores by the same length. */
  revokes(identity: Key, cores: readonly Author[] = [], device: Key | null = null): Head {
    return this.write({
      kind: 'revoke',
      identity,
      device,
      cuts: cores.flatMap((each) => this.cut(each))
    })
  }

  cut(other: Author): readonly Head[] {
    const acl = this.seen.get(other.core)
    if (other === this) return [this.head(), dataHead(other.data, this.length)]
    return acl === undefined ? [] : [acl, dataHead(other.data, acl.length)]
  }

  acknowledges(...lengths: readonly Head[]): Head {
    return this.write({ kind: 'ack', lengths })
  }

  /** The same log, going on by itself from here: what a copied store does. */
  copy(length = this.length): Author {
    const twin = new Author(this.member, this.core)
    twin.records.push(...this.records.slice(0, length))
    for (const [core, head] of this.seen) twin.seen.set(core, head)
    return twin
  }
}

export function dataHead(core: Key, length: number, branch = ''): Head {
  return { core, length, treeHash: `${core}@${length}${branch}` }
}

/** `name`'s device number `number`, its log still empty. */
export function author(name: string, number = 1, suffix = ''): Author {
  const member = attest(name, `${name}/${number}`)
  return new Author(member, `${member.device}/acl${suffix}`)
}

/** Alice, who founds the space. */
export function founder(): Author {
  const alice = author('alice')
  alice.write({ kind: 'found', member: alice.member, cores: alice.claims })
  return alice
}

/** Everybody hears everything. */
export function meet(...authors: readonly Author[]): void {
  for (let i = 0; i < 2; i++) for (const each of authors) each.sees(...authors)
}

/** The first record of a new core that continues the author's. */
export function succession(
  old: Author,
  suffix: string,
  lengths: readonly Head[] = [old.head()]
): Author {
  const next = new Author(old.member, `${old.device}/acl${suffix}`)
  next.sees(old)
  const draft = {
    kind: 'successor' as const,
    member: old.member,
    old: lengths,
    cores: [claim(old.member, next.data, 'data')],
    signature: new Uint8Array()
  }
  next.write({ ...draft, signature: statement(SPACE, next.core, draft) })
  return next
}

/** The first record of a new device, by the identity's recovery key. */
export function recovery(
  next: Author,
  said: Partial<Pick<RecoveryRecord, 'revoked' | 'cuts' | 'movesVote'>> = {}
): Author {
  const { revoked = [], cuts = [], movesVote = false } = said
  const draft = {
    kind: 'recovery' as const,
    member: next.member,
    cores: [claim(next.member, next.data, 'data')],
    revoked,
    cuts,
    movesVote,
    signature: new Uint8Array()
  }
  next.write({ ...draft, signature: statement(SPACE, next.core, draft) })
  return next
}

/** Of some keys those that may be written. */
function writable(role: Role, prefixes: readonly Uint8Array[] | null): string {
  if (role === 'mirror' || role === 'reader') return ''
  const below = prefixes?.map((each) => String.fromCharCode(...each)) ?? ['']
  return ['aa', 'ab', 'b'].filter((key) => below.some((each) => key.startsWith(each))).join()
}

/** What must be the same on every device, as plain data. */
export function summary(membership: Membership) {
  const { generation, owners, members, cores, forks, refused, raised, ballots, pendingBallots } =
    membership
  return {
    generation,
    owners,
    members: [...members.values()].map(({ identity, role, rank, devices }) => ({
      identity,
      role,
      rank,
      devices: devices.map(({ device, role: own }) => `${device} ${own ?? '-'}`)
    })),
    cores: [...cores.values()]
      .map(
        ({ core, identity, device, role, length, prefixes }) =>
          `${core} ${identity} ${device} ${role} ${length} ${writable(role, prefixes)}`
      )
      .sort(),
    forks: forks.map(({ core, length }) => `${core} ${length}`),
    ballots: ballots.map(
      ({ change, identity, cuts }) =>
        `${change} ${identity} ${show([...cuts].sort(([a], [b]) => (a < b ? -1 : 1)))}`
    ),
    pending: pendingBallots
      .map(({ change, identity, votes }) => `${change} ${identity} ${votes.length}`)
      .sort(),
    refused: refused.map(
      ({ core, index, treeHash, rule, why }) => `${core} ${index} ${treeHash} ${rule} ${why}`
    ),
    raised: raised.map((each) => show(each)).sort()
  }
}
