/** `space.members`: who is in, with which rights; taking them away, and what was written without. */
import z32 from 'z32'
import {
  compareRoles,
  epochId,
  type CoreStanding,
  type Key,
  type Member,
  type MemberDevice,
  type Role,
  type Unusable
} from '../../acl/index.ts'
import type { CoreLength } from '../../clock/index.ts'
import { checkOptions, invalid } from '../../errors.ts'
import { keyIn } from '../key-text.ts'
import { prefixesOf, prefixToText, type Prefixes } from '../prefixes.ts'
import type { Union } from '../union.ts'
import type { Acts, Target } from './acts.ts'
import type { Behind } from '../sync-state.ts'
import { bytesOf, keyOf, keyOfText } from './credentials.ts'
import { documentsUpTo, heldUpTo, shownUpTo, type ExcludedEntry } from './excluded.ts'
import { forksIn, type ForkInfo } from './forks.ts'
import type { LastSeen } from './last-seen.ts'
import type { Members } from './members.ts'
import { countedLength } from './seals.ts'

export interface MemberInfo {
  /** Names the person; what several devices have in common. */
  readonly identity: string
  /** What this device calls them (`device.setPetname`). */
  readonly petname: string | null
  /** Null for who was a member, and is none any more. */
  readonly role: Role | null
  /** This device's own. */
  readonly isOwn: boolean
  /** Where it may write, as `SetRoleOptions` spells it; null for everywhere its role lets it. */
  readonly prefixes: readonly string[] | null
  readonly devices: readonly MemberDeviceInfo[]
}

export interface MemberDeviceInfo {
  /** Its `device.id`. */
  readonly device: string
  /** What it may now; null for nothing. */
  readonly role: Role | null
  /** Its logs in this space, as entries name them: the newest last. */
  readonly writers: readonly string[]
  /** This one, or connected to it now. */
  readonly isConnected: boolean
  /** When it was last heard of, in ms since 1970; null where it never was. */
  readonly lastSeen: number | null
  /** Why less of what it wrote is read than is here: some of it waits for a key. */
  readonly behind: Behind | null
  /** Whether it was given the key that this device writes under now. */
  readonly hasKey: boolean
}

/** A key that content is encrypted under (docs/MEMBERSHIP.md, rule 13). Never the key itself. */
export interface KeyInfo {
  /** What stands in front of each block under it, in hex. */
  readonly id: string
  /** 1 + the highest of those that it gives as well. */
  readonly generation: number
  /** This device writes under it now. */
  readonly isCurrent: boolean
  /** This device has it. */
  readonly isHere: boolean
  /** The `device.id`s of those which were given it, or made it. */
  readonly devices: readonly string[]
  /** Why nothing is to be written under it any more, or not yet; null where it may. */
  readonly unusable: Unusable | null
}

/** How far a device has said to hold a log. */
export interface SeenBy {
  readonly device: string
  readonly length: number
}

/** Which devices have seen something. */
export interface Seen {
  /** Their `device.id`s. */
  readonly by: readonly string[]
  /** How many devices there are of those who are in. */
  readonly of: number
}

/** A device that has the ticket, and waits to be let in. */
export interface AskingDevice {
  readonly device: string
  readonly identity: string
  /** Its log in this space: what `admit` and `space.addWriter` take. */
  readonly writer: string
}

/** A change of the list of owners that waits for votes. */
export interface BallotInfo {
  readonly change: 'add' | 'remove'
  readonly identity: string
  readonly votes: number
  /** More than half of all owners. */
  readonly needed: number
}

const GREATER_ROLES = ['reader', 'writer', 'admin', 'owner'] as const

/** What a member can be made. */
export type GreaterRole = (typeof GREATER_ROLES)[number]

export const FIRST_ROLES = ['mirror', 'reader', 'writer', 'admin'] as const

/** What somebody can be let in as. */
export type FirstRole = (typeof FIRST_ROLES)[number]

export interface RoleOptions {
  /**
   * Of a writer: where it may write; absent is everywhere. What it writes elsewhere is refused, here and everywhere.
   * `db:contacts` is a sub-database with those inside it, `db:contacts/a` its keys that begin with "a", `db` the whole database,
   * `documents:todo` a document, `documents/notes/` those whose ids begin with "notes/", `documents` all. Names and keys are
   * escaped as in links.
   */
  readonly prefixes?: readonly string[]
}

/** What was written past a seal, or where its writer may not write. */
export interface ExcludedWork {
  readonly writer: string
  /** Blocks of its log that count. */
  readonly length: number
  /** What would show if all of it did, where that is something else. */
  readonly entries: readonly ExcludedEntry[]
  /** Ids of the documents that it wrote to there. */
  readonly documents: readonly string[]
}

export interface SpaceMembersParts {
  readonly members: Members
  readonly union: Union
  readonly acts: Acts
  readonly lastSeen: Pick<LastSeen, 'of' | 'isConnected'>
  readonly now: () => number
  /** @see Secrets.petnames */
  petnames(): ReadonlyMap<string, string>
  /** Throws when the space is closed. */
  checkOpen(): void
  /** The data logs of a version. @throws VERSION_ codes */
  lengthsIn(version: string): readonly CoreLength[]
  /** @see WriteQueue.alone */
  alone<T>(task: () => Promise<T>): Promise<T>
}

export class SpaceMembers {
  readonly #parts: SpaceMembersParts
  readonly #members: Members
  readonly #union: Union
  readonly #acts: Acts
  readonly #checkOpen: () => void

  constructor(parts: SpaceMembersParts) {
    this.#parts = parts
    this.#members = parts.members
    this.#union = parts.union
    this.#acts = parts.acts
    this.#checkOpen = () => parts.checkOpen()
  }

  /**
   * All who are or were in, as this device knows it: by rank, then by key. Empty as long as the founder's membership log has not
   * been met.
   */
  list(): readonly MemberInfo[] {
    return [...this.#members.membership.members.values()].map((member) => this.#info(member))
  }

  /**
   * Takes a member's rights away: of one device, or with its identity, of all. What is on this device of its logs goes on
   * counting, and nothing that comes later, here and everywhere, whatever its clock says. Of an owner it is a vote: see `ballots`.
   * @param who a `device.id`, or a member's `identity`
   * @throws NOT_ALLOWED for who does not rank above it, STORE_ codes
   * @example await space.members.revoke(phone.id)
   */
  async revoke(who: string): Promise<void> {
    this.#checkOpen()
    await this.#acts.revoke(this.#find(who))
  }

  /**
   * For `device.identity.revoke`: ends the rights of another device of this person, or sees to it that it never gets any here.
   * @throws NOT_ALLOWED, STORE_ codes
   */
  async end(device: string): Promise<'revoked' | 'barred' | 'absent'> {
    this.#checkOpen()
    const { membership } = this.#members
    const { identity } = this.#members
    const key = keyOf(z32.decode(device))
    const known = membership.members.get(identity)?.devices.find((each) => each.device === key)
    if (known !== undefined && known.role !== null) {
      await this.#acts.revoke({ identity, device: key })
      return 'revoked'
    }
    if (known !== undefined || membership.revokedDevices(identity).has(key)) return 'absent'
    await this.#acts.bar(key)
    return 'barred'
  }

  /**
   * Gives a member a greater role, or lets a writer write elsewhere, too: all that it was ever granted counts together, also for what it
   * has written already. An owner is made by votes of more than half of all owners: each of them says so, and until then it
   * stands in `ballots`. To give less, revoke: the device then leaves, joins again, and is let in with less.
   * @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes
   * @example await space.members.setRole(laptop.id, 'admin')
   * @example await space.members.setRole(laptop.id, 'writer', { prefixes: ['db:contacts', 'documents/notes/'] })
   */
  async setRole(who: string, role: GreaterRole, options: RoleOptions = {}): Promise<void> {
    this.#checkOpen()
    if (!GREATER_ROLES.includes(role)) {
      invalid('role', "'reader', 'writer', 'admin' or 'owner'", role)
    }
    const prefixes = prefixesIn('setRole', role, options)
    const target = this.#find(who)
    const member = this.#members.membership.members.get(target.identity)
    const named = member?.devices.find(({ device }) => device === target.device)
    const now = (named ?? member)?.role ?? null
    const isWider = role === now && role === 'writer' && member?.prefixes !== null
    if (now !== null && compareRoles(role, now) <= 0 && !isWider)
      invalid('role', `more than ${now} (to give less, revoke, and let it in again)`, role)
    await this.#acts.setRole(target, role, prefixes)
  }

  /** Devices that have the ticket and were not let in yet, as far as this one has heard of them. */
  asking(): readonly AskingDevice[] {
    return this.#members.asking().flatMap(({ member, cores }) => {
      const data = cores.find(({ use }) => use === 'data')
      if (data === undefined) return []
      const { device, identity } = member
      return { device: textOf(device), identity: textOf(identity), writer: textOf(data.core) }
    })
  }

  /**
   * Lets in a device that asks, with a role of your choice; `space.addWriter` lets it in as a writer. What a reader writes counts
   * nowhere, and it is told so. A mirror is there to keep and serve everything, and is else as a reader.
   * @param writer of `asking`
   * @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes
   * @example for (const { writer } of space.members.asking()) await space.members.admit(writer, 'reader')
   * @example await space.members.admit(writer, 'writer', { prefixes: ['db:contacts'] })
   */
  async admit(writer: string, role: FirstRole, options: RoleOptions = {}): Promise<void> {
    this.#checkOpen()
    if (!FIRST_ROLES.includes(role))
      invalid('role', "'mirror', 'reader', 'writer' or 'admin'", role)
    const prefixes = prefixesIn('admit', role, options)
    const data = keyOfText(writer)
    const credentials = this.#members
      .asking()
      .find(({ cores }) => cores.some(({ core, use }) => use === 'data' && core === data))
    if (credentials === undefined) return invalid('writer', 'one of `asking`', writer)
    await this.#members.admit(credentials, role, prefixes)
  }

  /**
   * Gives up this device's rights in the space, for good. What it has saved goes on counting; save open documents first. An owner is
   * no owner before a ballot says so: it votes by revoking itself.
   * @throws NOT_ALLOWED, STORE_ codes
   */
  async leave(): Promise<void> {
    this.#checkOpen()
    await this.#parts.alone(() => this.#acts.leave())
  }

  /** The keys that content is encrypted under: those that may be written under first, of these the best, and so on. */
  keys(): readonly KeyInfo[] {
    const { membership, keys } = this.#members
    return [...membership.epochs.all.values()].map(
      ({ epoch, generation, holders, unusable }): KeyInfo => ({
        id: epochId(epoch),
        generation,
        isCurrent: keys?.currentEpoch === epoch,
        isHere: keys?.has(epoch) === true,
        devices: [...holders].map(textOf),
        unusable
      })
    )
  }

  /** Changes of the list of owners that some owners have voted for, and not enough. */
  ballots(): readonly BallotInfo[] {
    const { pendingBallots, owners } = this.#members.membership
    return pendingBallots.map(({ change, identity, votes }) => ({
      change,
      identity: textOf(identity),
      votes: votes.length,
      needed: Math.floor(owners.length / 2) + 1
    }))
  }

  /**
   * Lets all count that is here of a member's logs (`excluded`). Past the seal as well; that gives back no rights. What a writer with
   * prefixes wrote elsewhere counts only where it may write: it may there from then on, at those keys and in those documents
   * (of more than 64, in their sub-databases and in all documents).
   * @throws NOT_ALLOWED, STORE_ codes
   */
  async restore(who: string): Promise<void> {
    this.#checkOpen()
    await this.#acts.restore(this.#find(who))
  }

  /**
   * Says in this device's membership log how far it holds the others' logs, if that is news: no removal takes that back any more. It
   * is done before each act, and by itself ten minutes after something has come.
   * @returns whether it was news
   */
  async acknowledge(): Promise<boolean> {
    this.#checkOpen()
    return this.#acts.acknowledge()
  }

  /** How far other devices have said to hold a log, as blocks of it. Of those who are in; 0 for who has said nothing. */
  seenBy(writer: string): readonly SeenBy[] {
    const { membership } = this.#members
    const core = keyOfText(writer)
    const standing = core === null ? undefined : membership.cores.get(core)
    if (standing === undefined) return invalid('writer', 'a writer of this space', writer)
    return [...membership.members.values()].flatMap(({ devices }) =>
      devices
        .filter(({ device, role }) => role !== null && device !== standing.device)
        .map(({ device }) => ({
          device: textOf(device),
          length: membership.acknowledged(device, standing.core)
        }))
    )
  }

  /**
   * Which devices of those who are in hold an entry, or all of a version: the one that wrote it, this one, and those which have said
   * so (`acknowledge`).
   * @throws INVALID_ARGUMENT, VERSION_INVALID, VERSION_FOREIGN
   * @example
   * const { by, of } = space.members.seen(await space.version())
   * console.log(`seen by ${by.length} of ${of} devices`)
   */
  seen(what: string | { readonly writer: string; readonly seq: number }): Seen {
    const lengths = typeof what === 'string' ? this.#parts.lengthsIn(what) : [lengthOf(what)]
    const { members } = this.#members.membership
    const devices = [...members.values()].flatMap((member) =>
      member.devices.filter(({ role }) => role !== null)
    )
    const isHolder = ({ device }: MemberDevice) =>
      lengths.every((each) => this.#holds(device, each))
    return {
      by: devices.filter(isHolder).map(({ device }) => textOf(device)),
      of: devices.length
    }
  }

  #holds(device: Key, { core, length }: CoreLength): boolean {
    const { membership, device: own } = this.#members
    if (membership.cores.get(keyOf(core))?.device === device) return true
    if (device === own) return (this.#union.log(core)?.lengthHere ?? 0) >= length
    return membership.acknowledged(device, keyOf(core)) >= length
  }

  /** What does not count of what is here: written by who may not, or not any more. */
  async excluded(): Promise<readonly ExcludedWork[]> {
    this.#checkOpen()
    const works: ExcludedWork[] = []
    for (const standing of this.#members.membership.cores.values()) {
      const work = await this.#excludedOf(standing)
      if (work !== null) works.push(work)
    }
    return works
  }

  /** Of a log that nothing ends what stands outside its prefixes, of others what was written past the seal. */
  async #excludedOf(standing: CoreStanding): Promise<ExcludedWork | null> {
    const { use, prefixes } = standing
    const counted = countedLength(standing, this.#members.lengthOf)
    const isOpen = counted === Infinity
    if (use !== 'data' || counted === null || (isOpen && prefixes === null)) return null
    const core = bytesOf(standing.core)
    const length = await heldUpTo(this.#union, core, counted)
    if (!isOpen && (await heldUpTo(this.#union, core, Infinity)) === length) return null
    const limits = new Map([
      [standing.core, { length: Infinity, prefixes: isOpen ? null : prefixes }]
    ])
    const entries = await shownUpTo(this.#union, limits)
    const documents = await documentsUpTo(this.#union, limits)
    if (isOpen && entries.length + documents.length === 0) return null
    return { writer: textOf(standing.core), length, entries, documents }
  }

  /**
   * Logs of which their devices have written two histories: a store that was copied or restored, and both went on; or an attack. One
   * history counts, the same on every device; its device writes no more under this log.
   */
  forks(): readonly ForkInfo[] {
    return forksIn(this.#members)
  }

  /** By device, or by identity. A device that is all there is of its identity stands for it, and so for those it may get. */
  #find(who: string): Target {
    const key = keyOfText(who)
    for (const { identity, devices } of this.#members.membership.members.values()) {
      if (identity === key) return { identity, device: null }
      if (!devices.some(({ device }) => device === key)) continue
      return { identity, device: devices.length === 1 ? null : key }
    }
    return invalid('who', 'the `identity` of a member, or the `id` of its device', who)
  }

  #info({ identity, role, prefixes, devices }: Member): MemberInfo {
    return {
      identity: textOf(identity),
      petname: this.#parts.petnames().get(identity) ?? null,
      role,
      isOwn: identity === this.#members.identity,
      prefixes: prefixes?.map(prefixToText) ?? null,
      devices: devices.map((each) => this.#deviceInfo(each))
    }
  }

  #hasKey(device: Key): boolean {
    const { membership, keys, device: own } = this.#members
    const current = keys?.currentEpoch ?? null
    if (keys === null) return true
    if (current === null || device === own) return current !== null
    const { holders, asking } = membership.epochs.all.get(current) ?? {}
    return holders?.has(device) === true && asking?.has(device) === false
  }

  #deviceInfo({ device: key, role, cores }: MemberDevice): MemberDeviceInfo {
    const { membership, device: own } = this.#members
    const { lastSeen, now, union } = this.#parts
    const device = textOf(key)
    const writers = cores
      .filter((core) => membership.cores.get(core)?.use === 'data')
      .map((core) => textOf(core))
    const isBehind = cores.some((core) => (union.log(bytesOf(core))?.behind ?? null) !== null)
    return {
      device,
      role,
      writers,
      isConnected: key === own || lastSeen.isConnected(device),
      lastSeen: key === own ? now() : lastSeen.of(device, writers),
      behind: isBehind ? 'NO_EPOCH_KEY' : null,
      hasKey: this.#hasKey(key)
    }
  }
}

function prefixesIn(what: string, role: Role, options: RoleOptions): Prefixes {
  checkOptions(what, options, ['prefixes'])
  const { prefixes } = options
  if (prefixes !== undefined && role !== 'writer')
    invalid('prefixes', 'those of a writer', prefixes)
  return prefixesOf(prefixes)
}

function lengthOf({ writer, seq }: { readonly writer: string; readonly seq: number }): CoreLength {
  const core = keyIn(writer)
  if (core === null) return invalid('writer', 'the `writer` of an entry', writer)
  if (!Number.isSafeInteger(seq) || seq < 0) invalid('seq', 'the `seq` of an entry', seq)
  return { core, length: seq + 1 }
}

function textOf(key: Key): string {
  return z32.encode(bytesOf(key))
}
