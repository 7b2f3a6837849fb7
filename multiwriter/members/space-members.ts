/** `space.members`: who is in, with which rights; taking them away, and what was written without. */
import z32 from 'z32'
import { compareRoles, type Key, type Member, type Role } from '../../acl/index.ts'
import { invalid } from '../../errors.ts'
import type { Union } from '../union.ts'
import type { Acts, Target } from './acts.ts'
import { bytesOf, keyOf } from './credentials.ts'
import { documentsUpTo, heldUpTo, shownUpTo, type ExcludedEntry } from './excluded.ts'
import type { Members } from './members.ts'
import { countedLength } from './seals.ts'

export interface MemberInfo {
  /** Names the person; what several devices have in common. */
  readonly identity: string
  /** Null for who was a member, and is none any more. */
  readonly role: Role | null
  /** This device's own. */
  readonly isOwn: boolean
  readonly devices: readonly MemberDeviceInfo[]
}

export interface MemberDeviceInfo {
  /** Its `device.id`. */
  readonly device: string
  /** What it may now; null for nothing. */
  readonly role: Role | null
  /** Its logs in this space, as entries name them: the newest last. */
  readonly writers: readonly string[]
}

/** How far a device has said to hold a log. */
export interface SeenBy {
  readonly device: string
  readonly length: number
}

/** A change of the list of owners that waits for votes. */
export interface BallotInfo {
  readonly change: 'add' | 'remove'
  readonly identity: string
  readonly votes: number
  /** More than half of all owners. */
  readonly needed: number
}

const GREATER_ROLES = ['writer', 'admin', 'owner'] as const

/** What a member can be made. */
export type GreaterRole = (typeof GREATER_ROLES)[number]

/** What was written past a seal. */
export interface ExcludedWork {
  readonly writer: string
  /** Blocks of its log that count. */
  readonly length: number
  /** What would show if all of it did, where that is something else. */
  readonly entries: readonly ExcludedEntry[]
  /** Ids of the documents that it wrote to there. */
  readonly documents: readonly string[]
}

export class SpaceMembers {
  readonly #members: Members
  readonly #union: Union
  readonly #acts: Acts
  readonly #checkOpen: () => void

  /** @param checkOpen throws when the space is closed */
  constructor(members: Members, union: Union, acts: Acts, checkOpen: () => void) {
    this.#members = members
    this.#union = union
    this.#acts = acts
    this.#checkOpen = checkOpen
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
   * Gives a member a greater role. An owner is made by votes of more than half of all owners: each of them says so, and until then it
   * stands in `ballots`. To give less, revoke.
   * @throws NOT_ALLOWED, INVALID_ARGUMENT, STORE_ codes
   * @example await space.members.promote(laptop.id, 'admin')
   */
  async promote(who: string, role: GreaterRole): Promise<void> {
    this.#checkOpen()
    if (!GREATER_ROLES.includes(role)) {
      invalid('role', "'writer', 'admin' or 'owner'", role)
    }
    const target = this.#find(who)
    const now = this.#members.membership.members.get(target.identity)?.role ?? null
    if (now !== null && compareRoles(role, now) <= 0) invalid('role', `more than ${now}`, role)
    await this.#acts.promote(target, role)
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
   * Lets all count that is here of a member's logs, past the seal as well (`excluded`). It gives back no rights.
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
    const core = decodeKey(writer)
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

  /** What does not count of what is here: written by who may not, or not any more. */
  async excluded(): Promise<readonly ExcludedWork[]> {
    this.#checkOpen()
    const works: ExcludedWork[] = []
    for (const standing of this.#members.membership.cores.values()) {
      if (standing.use !== 'data' || countedLength(standing) === Infinity) continue
      const core = bytesOf(standing.core)
      const length = await heldUpTo(this.#union, core, countedLength(standing))
      if ((await heldUpTo(this.#union, core, Infinity)) === length) continue
      const all = new Map([[standing.core, Infinity]])
      const entries = await shownUpTo(this.#union, all)
      const documents = await documentsUpTo(this.#union, all)
      works.push({ writer: textOf(standing.core), length, entries, documents })
    }
    return works
  }

  /** By device, or by identity. A device that is all there is of its identity stands for it, and so for those it may get. */
  #find(who: string): Target {
    const key = typeof who === 'string' ? decodeKey(who) : null
    for (const { identity, devices } of this.#members.membership.members.values()) {
      if (identity === key) return { identity, device: null }
      if (!devices.some(({ device }) => device === key)) continue
      return { identity, device: devices.length === 1 ? null : key }
    }
    return invalid('who', 'the `identity` of a member, or the `id` of its device', who)
  }

  #info({ identity, role, devices }: Member): MemberInfo {
    const { cores } = this.#members.membership
    const isData = (core: Key) => cores.get(core)?.use === 'data'
    return {
      identity: textOf(identity),
      role,
      isOwn: identity === this.#members.identity,
      devices: devices.map((each) => ({
        device: textOf(each.device),
        role: each.role,
        writers: each.cores.filter(isData).map(textOf)
      }))
    }
  }
}

/** Null when it is not the one text form of any key. */
function decodeKey(text: string): Key | null {
  try {
    const key = z32.decode(text)
    return z32.encode(key) === text ? keyOf(key) : null
  } catch {
    return null
  }
}

function textOf(key: Key): string {
  return z32.encode(bytesOf(key))
}
