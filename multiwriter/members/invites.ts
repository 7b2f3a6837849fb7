/**
 * Invites of a space: making and revoking them, and letting in who comes with one. An invite is a record that all who may let in hold, so any of
 * them can answer. What decides is what this device knows, and its own clock; of grants that came to more than there were uses, what
 * the membership says (docs/MEMBERSHIP.md, rule 12).
 */
import {
  compareRoles,
  mayAct,
  type Invite,
  type Key,
  type MemberDevice,
  type Role
} from '../../acl/index.ts'
import { randomBytes, type Meeting } from '../../core/index.ts'
import { invalid, ManyhandsError } from '../../errors.ts'
import {
  encodeInviteLink,
  inviteKeyPair,
  meetingOf,
  meetingTopic,
  SECRET_BYTES
} from '../invite-link.ts'
import type { Prefixes } from '../prefixes.ts'
import { TokenBuckets } from '../presence/token-bucket.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf, keyOf, type Credentials } from './credentials.ts'
import {
  decodeInviteRequest,
  encodeAdmission,
  encodeDenial,
  isProven,
  type Denial,
  type InviteRequest
} from './invite-message.ts'
import type { Entrance } from '../ticket.ts'

/** Who asks again every two seconds is heard; who floods costs no signatures. */
const REQUESTS = { burst: 10, perSecond: 1 }

/** So long, in ms, are those told why who come with an invite that has ended: then nobody waits for them any more. */
const TELL_MS = 30 * 24 * 60 * 60 * 1000

export interface InviteTerms {
  readonly role: Role
  readonly prefixes: Prefixes
  readonly uses: number
  /** In ms since 1970. */
  readonly expires: number
}

/** Why an invite lets in nobody any more; null while it does. */
export type InviteEnd = 'expired' | 'used' | 'revoked'

export interface InvitesParts {
  readonly logs: AclLogs
  readonly space: Uint8Array
  readonly membershipKey: Uint8Array
  /** Without a key of the content: who may read finds that in the membership logs. */
  entrance(): Entrance
  /** Somebody was let in. */
  ongrant(): Promise<void>
  /** This device's. */
  readonly identity: Key
  readonly now: () => number
  /** @see Timers.elapsed */
  readonly elapsed: () => number
  /** @param from the device key of who sent it */
  onrefused(reason: 'invite-malformed' | 'invite-forged' | 'invite-flood', from: Uint8Array): void
}

export class Invites {
  readonly meeting: Meeting
  readonly #parts: InvitesParts
  readonly #buckets = new TokenBuckets(REQUESTS)
  /** Requests are answered one after the other: each counts those before it. */
  #answering: Promise<unknown> = Promise.resolve()

  constructor(parts: InvitesParts) {
    this.#parts = parts
    this.meeting = {
      topic: meetingTopic(meetingOf(parts.membershipKey)),
      isOpen: () => this.#hasOffice,
      answer: (request, from) => this.#answer(request, from)
    }
  }

  /** @returns the link, which nobody can make again, and the name of the invite @throws NOT_ALLOWED, STORE_ codes */
  async make(terms: InviteTerms): Promise<{ readonly link: string; readonly key: Key }> {
    const { logs, space: address, membershipKey } = this.#parts
    this.#checkMay(terms.role)
    const secret = randomBytes(SECRET_BYTES)
    const key = keyOf(inviteKeyPair(secret).publicKey)
    await logs.write({ kind: 'invite', key, ...terms })
    return { key, link: encodeInviteLink({ address, secret, meeting: meetingOf(membershipKey) }) }
  }

  /** All that this device knows of, also those that have ended. */
  list(): readonly Invite[] {
    return this.#parts.logs.membership.invites
  }

  find(key: Key | null): Invite | null {
    return this.list().find(({ record }) => record.key === key) ?? null
  }

  /** @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes */
  async revoke(key: Key | null): Promise<void> {
    const invite = this.find(key)
    if (invite === null) return invalid('invite', 'the `id` of one of `invites`', key)
    this.#checkMay('mirror')
    if (!invite.isWithdrawn) await this.#parts.logs.write({ kind: 'withdraw', invite: invite.head })
  }

  endOf({ record, identity, isWithdrawn, devices }: Invite): InviteEnd | null {
    if (isWithdrawn || !this.#mayGive(identity, record.role)) return 'revoked'
    if (this.#parts.now() >= record.expires) return 'expired'
    return devices.length >= record.uses ? 'used' : null
  }

  /** Whether somebody may come with an invite whom this device could let in, or tell why not. */
  get isExpecting(): boolean {
    const { now } = this.#parts
    return this.#hasOffice && this.list().some(({ record }) => now() < record.expires + TELL_MS)
  }

  /** Waits for the answer under way. */
  async close(): Promise<void> {
    await this.#answering
  }

  /** Of its own, too: a device of an admin may have less. */
  get #hasOffice(): boolean {
    const { logs, identity } = this.#parts
    const own = logs.membership.cores.get(keyOf(logs.ownCore))
    return (
      own?.length === Infinity &&
      compareRoles(own.role, 'admin') >= 0 &&
      this.#mayGive(identity, 'mirror')
    )
  }

  #mayGive(by: Key, role: Role): boolean {
    const { membership } = this.#parts.logs
    // To somebody else, whoever that is.
    return mayAct(membership, by, { kind: 'grant', identity: '', role }).ok
  }

  #checkMay(role: Role): void {
    const { logs, identity } = this.#parts
    const permission = mayAct(logs.membership, identity, { kind: 'grant', identity: '', role })
    const why = permission.ok ? null : `${permission.why} (rule ${permission.rule})`
    const all = why ?? (logs.isOwnCounted ? null : 'its newest logs do not count')
    if (all !== null) throw new ManyhandsError('NOT_ALLOWED', `This device may not: ${all}`)
  }

  #answer(bytes: Uint8Array, from: Uint8Array): Promise<Uint8Array | null> {
    const request = this.#read(bytes, from)
    if (request === null) return Promise.resolve(null)
    const answered = this.#answering.then(() => this.#decide(request))
    this.#answering = answered.catch(() => {}) // the disk failed: it is asked again
    return answered.catch(() => null)
  }

  #read(bytes: Uint8Array, from: Uint8Array): InviteRequest | null {
    const parts = this.#parts
    if (!this.#buckets.take(from, parts.elapsed())) {
      parts.onrefused('invite-flood', from)
      return null
    }
    const request = decodeInviteRequest(bytes)
    if (request !== null && isProven(request, parts.space)) return request
    parts.onrefused(request === null ? 'invite-malformed' : 'invite-forged', from)
    return null
  }

  /** Null where somebody else is to say it. */
  async #decide({ key, credentials }: InviteRequest): Promise<Uint8Array | null> {
    if (!this.#hasOffice) return null
    const invite = this.find(keyOf(key))
    if (invite === null) return encodeDenial('unknown')
    if (this.#isIn(credentials)) return this.#admission(credentials)
    const denial = this.#denialOf(invite, credentials)
    if (denial !== null) return encodeDenial(denial)
    if (!this.#mayGive(this.#parts.identity, invite.record.role)) return null
    await this.#grant(invite, credentials)
    if (this.#isIn(credentials)) return this.#admission(credentials)
    // Others have let in as many meanwhile; or this device has lost its office, and says nothing.
    return this.#hasOffice ? encodeDenial('used') : null
  }

  #denialOf(invite: Invite, { member }: Credentials): Denial | null {
    if (this.#wasRemoved(member.identity, member.device)) return 'removed'
    const end = this.endOf(invite)
    // Under other logs than it had: it was stopped before it had the answer.
    return end === 'used' && invite.devices.includes(member.device) ? null : end
  }

  #isIn({ member, cores }: Credentials): boolean {
    const { membership } = this.#parts.logs
    return (
      this.#isMember(member.identity, member.device) &&
      cores.every(({ core }) => membership.cores.get(core)?.length === Infinity)
    )
  }

  #isMember(identity: Key, device: Key): boolean {
    return (this.#deviceOf(identity, device)?.role ?? null) !== null
  }

  #deviceOf(identity: Key, device: Key): MemberDevice | undefined {
    const { devices = [] } = this.#parts.logs.membership.members.get(identity) ?? {}
    return devices.find((each) => each.device === device)
  }

  /** Whether others took its rights: then an invite gives none back. Who left comes as anybody. */
  #wasRemoved(identity: Key, device: Key): boolean {
    const { membership } = this.#parts.logs
    const isNew = this.#deviceOf(identity, device) === undefined
    if (isNew && (membership.members.get(identity)?.role ?? null) !== null) return false
    const cores = [...membership.cores.values()].filter((core) =>
      isNew ? core.identity === identity : core.device === device
    )
    const isOpen = cores.some(({ length }) => length === Infinity)
    return !isOpen && cores.some(({ endedBy }) => endedBy !== 'own' && endedBy !== 'successor')
  }

  async #grant({ head, record }: Invite, { member, cores }: Credentials): Promise<void> {
    const { role, prefixes } = record
    await this.#parts.logs.write({ kind: 'grant', member, role, prefixes, cores, invite: head })
    await this.#parts.ongrant()
  }

  #admission({ member }: Credentials): Uint8Array | null {
    return encodeAdmission(bytesOf(member.device), this.#parts.entrance())
  }
}
