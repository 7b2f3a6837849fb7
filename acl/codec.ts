/**
 * Records to bytes and back. One version byte, one kind, then the fields in the order in which the tables below name them. There is
 * exactly one way to write a record (lists rise, numbers take their shortest form), so that what a device signs is what stands in
 * the log. Reading never throws: whatever is no record is `malformed`, whatever a newer version may know is `unsupported`.
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import {
  ROLES,
  type AclRecord,
  type BallotChange,
  type CoreClaim,
  type DeviceClaim,
  type Head,
  type Key,
  type KeyShare,
  type RecoveryRecord,
  type Role,
  type SuccessorRecord,
  type Unreadable,
  type WrappedKey
} from './records.ts'

export const ACL_FORMAT_VERSION = 1

/** 1 MiB: an acknowledgement of 10,000 cores fits, and a record is read whole. */
export const MAX_RECORD_BYTES = 1024 * 1024

/** `crypto_box_seal` of 32 bytes: a public key, a MAC, the key. */
const SHARE_BYTES = 80

/** `crypto_secretbox` of 32 bytes, its nonce in front. */
const WRAPPED_BYTES = 72

const KINDS = {
  found: 1,
  grant: 2,
  revoke: 3,
  seal: 4,
  ack: 5,
  vote: 6,
  successor: 7,
  recovery: 8,
  fork: 9,
  leave: 10,
  invite: 11,
  withdraw: 12,
  epoch: 16,
  share: 17
} as const satisfies Record<AclRecord['kind'], number>

type Kind = AclRecord['kind']

/** How one field is written and read. Reading throws on what is not one. */
interface Field<T> {
  preencode(state: State, value: T): void
  encode(state: State, value: T): void
  decode(state: State): T
}

type Fields<T> = { readonly [Name in keyof T]-?: Field<T[Name]> }

class Malformed extends Error {}

const key: Field<Key> = {
  preencode: (state) => void (state.end += 32),
  encode(state, text) {
    const bytes = b4a.from(text, 'hex')
    if (bytes.byteLength !== 32 || text.length !== 64) {
      throw new TypeError(`A key has 64 hex digits, got "${text}"`)
    }
    c.fixed32.encode(state, bytes)
  },
  decode: (state) => b4a.toString(c.fixed32.decode(state), 'hex')
}

const bytes: Field<Uint8Array> = {
  preencode: (state, value) => c.uint8array.preencode(state, value),
  encode: (state, value) => c.uint8array.encode(state, value),
  // Nothing read is written as nothing; a copy, because the block it stands in belongs to somebody else.
  decode: (state) => new Uint8Array(c.uint8array.decode(state) ?? [])
}

/** Bytes of a known number: shares are many, and each byte counts a thousand times. */
function fixed(size: number): Field<Uint8Array> {
  return {
    preencode: (state) => void (state.end += size),
    encode(state, value) {
      if (value.byteLength !== size) throw new TypeError(`Expected ${size} bytes`)
      c.raw.encode(state, value)
    },
    decode(state) {
      const start = state.start
      state.start += size
      if (state.start > state.end || state.buffer === null) throw new Malformed()
      return state.buffer.slice(start, state.start)
    }
  }
}

const uint: Field<number> = {
  preencode: (state, value) => c.uint.preencode(state, value),
  encode: (state, value) => c.uint.encode(state, value),
  decode(state) {
    const value = c.uint.decode(state)
    if (!Number.isSafeInteger(value)) throw new Malformed()
    return value
  }
}

const choice = <T>(values: readonly T[]): Field<T> => ({
  preencode: (state) => void (state.end += 1),
  encode: (state, value) => c.uint8.encode(state, values.indexOf(value)),
  decode(state) {
    const value = values[c.uint8.decode(state)]
    if (value === undefined) throw new Malformed()
    return value
  }
})

const flag = choice([false, true])
const role: Field<Role> = choice(ROLES)

function optional<T>(field: Field<T>): Field<T | null> {
  return {
    preencode(state, value) {
      flag.preencode(state, value !== null)
      if (value !== null) field.preencode(state, value)
    },
    encode(state, value) {
      flag.encode(state, value !== null)
      if (value !== null) field.encode(state, value)
    },
    decode: (state) => (flag.decode(state) ? field.decode(state) : null)
  }
}

/** A list in rising order, written so and demanded so: its order says nothing, so it must not make two forms. */
function rising<T>(item: Field<T>, compare: (a: T, b: T) => number): Field<readonly T[]> {
  return {
    preencode(state, list) {
      uint.preencode(state, list.length)
      for (const each of list) item.preencode(state, each)
    },
    encode(state, list) {
      uint.encode(state, list.length)
      for (const each of [...list].sort(compare)) item.encode(state, each)
    },
    decode(state) {
      const list: T[] = []
      for (let left = uint.decode(state); left > 0; left--) {
        const each = item.decode(state)
        const previous = list.at(-1)
        if (previous !== undefined && compare(previous, each) >= 0) throw new Malformed()
        list.push(each)
      }
      return list
    }
  }
}

/** As `optional`, of a field that is absent where there is none. */
function sometimes<T>(field: Field<T>): Field<T | undefined> {
  const inner = optional(field)
  return {
    preencode: (state, value) => inner.preencode(state, value ?? null),
    encode: (state, value) => inner.encode(state, value ?? null),
    decode: (state) => inner.decode(state) ?? undefined
  }
}

function struct<T extends object>(fields: Fields<T>): Field<T> {
  const names = Object.keys(fields) as (keyof T)[]
  return {
    preencode(state, value) {
      for (const name of names) fields[name].preencode(state, value[name])
    },
    encode(state, value) {
      for (const name of names) fields[name].encode(state, value[name])
    },
    decode: (state) =>
      Object.fromEntries(
        names
          .map((name) => [name, fields[name].decode(state)] as const)
          .filter(([, value]) => value !== undefined)
      ) as T
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byCore = (a: { readonly core: Key }, b: { readonly core: Key }) => byText(a.core, b.core)
const byHead = (a: Head, b: Head): number =>
  byCore(a, b) || a.length - b.length || byText(a.treeHash, b.treeHash)

const head = struct<Head>({ core: key, length: uint, treeHash: key })
/** Of one core several: the author may have seen several histories of it. */
const heads = rising(head, byHead)
/** Of one core one: where it ends. */
const cuts = rising(head, byCore)
const member = struct<DeviceClaim>({ identity: key, device: key, attestation: bytes })
const claims = rising(
  struct<CoreClaim>({ core: key, use: choice(['acl', 'data']), signature: bytes }),
  byCore
)
const prefixes = rising(bytes, (a, b) => b4a.compare(a, b))

const shares = rising(struct<KeyShare>({ device: key, box: fixed(SHARE_BYTES) }), (a, b) =>
  byText(a.device, b.device)
)
const wrapped = rising(struct<WrappedKey>({ epoch: key, box: fixed(WRAPPED_BYTES) }), (a, b) =>
  byText(a.epoch, b.epoch)
)

type Named<K extends string, T> = Omit<Extract<T, { readonly kind: K }>, 'kind'>

const CHANGES = ['add', 'remove'] as const
const addition = struct<Named<'add', BallotChange>>({ member, cores: claims })
const removal = struct<Named<'remove', BallotChange>>({ identity: key, cuts })

const change: Field<BallotChange> = {
  preencode(state, value) {
    state.end += 1
    if (value.kind === 'add') addition.preencode(state, value)
    else removal.preencode(state, value)
  },
  encode(state, value) {
    c.uint8.encode(state, CHANGES.indexOf(value.kind))
    if (value.kind === 'add') addition.encode(state, value)
    else removal.encode(state, value)
  },
  decode(state) {
    return choice(CHANGES).decode(state) === 'add'
      ? { kind: 'add', ...addition.decode(state) }
      : { kind: 'remove', ...removal.decode(state) }
  }
}

/** The fields of each kind, in the order in which they are written. */
const BODIES: { readonly [K in Kind]: Field<Named<K, AclRecord>> } = {
  found: struct<Named<'found', AclRecord>>({ heads, member, cores: claims }),
  grant: struct<Named<'grant', AclRecord>>({
    heads,
    member,
    role,
    prefixes: optional(prefixes),
    cores: claims,
    invite: sometimes(head)
  }),
  revoke: struct<Named<'revoke', AclRecord>>({ heads, identity: key, device: optional(key), cuts }),
  seal: struct<Named<'seal', AclRecord>>({ heads, cuts }),
  ack: struct<Named<'ack', AclRecord>>({ heads, lengths: heads }),
  vote: struct<Named<'vote', AclRecord>>({ heads, generation: key, change }),
  successor: struct<Named<'successor', AclRecord>>({
    heads,
    member,
    old: cuts,
    cores: claims,
    signature: bytes
  }),
  recovery: struct<Named<'recovery', AclRecord>>({
    heads,
    member,
    cores: claims,
    revoked: rising(key, byText),
    cuts,
    movesVote: flag,
    signature: bytes
  }),
  fork: struct<Named<'fork', AclRecord>>({ heads, core: key, common: uint, proof: bytes }),
  leave: struct<Named<'leave', AclRecord>>({ heads, cuts }),
  invite: struct<Named<'invite', AclRecord>>({
    heads,
    key,
    role,
    prefixes: optional(prefixes),
    uses: uint,
    expires: uint
  }),
  withdraw: struct<Named<'withdraw', AclRecord>>({ heads, invite: head }),
  epoch: struct<Named<'epoch', AclRecord>>({ heads, epoch: key, parents: wrapped, shares }),
  share: struct<Named<'share', AclRecord>>({ heads, epoch: key, shares })
}

/** The bytes of a record, as they stand in an acl log. Lists may come in any order. */
export function encodeRecord(record: AclRecord): Uint8Array {
  const body = BODIES[record.kind] as Field<AclRecord>
  const state: State = { start: 0, end: 2, buffer: null }
  body.preencode(state, record)
  state.buffer = new Uint8Array(state.end)
  c.uint8.encode(state, ACL_FORMAT_VERSION)
  c.uint8.encode(state, KINDS[record.kind])
  body.encode(state, record)
  return state.buffer
}

/** The record that these bytes are, or why they are none. Never throws. */
export function decodeRecord(block: Uint8Array): AclRecord | Unreadable {
  const [version, number] = block
  if (version === undefined || block.byteLength > MAX_RECORD_BYTES) return 'malformed'
  if (version !== ACL_FORMAT_VERSION) return 'unsupported'
  const kind = KIND_NAMES.find((name) => KINDS[name] === number)
  if (kind === undefined) return number === undefined ? 'malformed' : 'unsupported'
  try {
    return decodeBody(kind, block)
  } catch {
    // The codecs throw plain Errors on short or oversized input: all of them mean the same here.
    return 'malformed'
  }
}

const KIND_NAMES = Object.keys(KINDS) as Kind[]

function decodeBody(kind: Kind, block: Uint8Array): AclRecord | Unreadable {
  const state: State = { start: 2, end: block.byteLength, buffer: block }
  const record = { kind, ...BODIES[kind].decode(state) } as AclRecord
  if (state.start !== state.end || !isSensible(record)) return 'malformed'
  // Numbers have longer forms too; only the shortest is a record.
  return b4a.equals(encodeRecord(record), block) ? record : 'malformed'
}

/** Prefixes narrow what a writer may write; other roles have nothing to narrow. Owners are voted for, not invited. */
function isSensible(record: AclRecord): boolean {
  if (record.kind !== 'grant' && record.kind !== 'invite') return true
  if (record.prefixes !== null && record.role !== 'writer') return false
  return record.kind === 'grant' || (record.role !== 'owner' && record.uses > 0)
}

/** What the device, or the identity, signs: the record without its signature, and the space and the core it is for. */
export function statementBytes(
  space: Key,
  core: Key,
  record: SuccessorRecord | RecoveryRecord
): Uint8Array {
  const unsigned = encodeRecord({ ...record, signature: new Uint8Array(0) })
  return b4a.concat([b4a.from(space, 'hex'), b4a.from(core, 'hex'), unsigned])
}
