/**
 * Who asks to be let in, and letting in those who were chosen: by `addWriter`, or everybody in an open space. A device shows its
 * credentials to its peers, which pass them on until somebody who may has granted them. Whoever was removed is not let in again
 * by itself.
 */
import { mayAct, type DeviceClaim, type Key, type Role } from '../../acl/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Prefixes } from '../prefixes.ts'
import type { AclLogs } from './acl-logs.ts'
import {
  areSound,
  decodeCredentials,
  devicesIn,
  encodeCredentials,
  keyOf,
  type Credentials
} from './credentials.ts'

/** Whoever knows the space can make up devices. */
const MAX_ASKING = 4096

/** Who goes on under new logs shows one pair more, and others tell of older ones of it in any order. */
const MAX_OF_DEVICE = 8

export interface AdmissionsParts {
  readonly logs: AclLogs
  readonly space: Uint8Array
  /** Of this device. */
  readonly identity: Key
  /** This device's, as they are to be shown now. */
  own(): Credentials
  /** Somebody was let in, by this device. */
  ongrant(): Promise<void>
  /** Of this person's devices, those whose rights were ended in all spaces. */
  revoked(): ReadonlySet<Key>
  /** Whether the device with this data core was chosen. */
  isChosen(data: Key): boolean
}

export class Admissions {
  readonly #parts: AdmissionsParts
  /** By device, what it has shown, the latest first. Not that alone: peers pass on older things after newer ones. */
  readonly #asking = new Map<Key, readonly Credentials[]>()
  #granting: Promise<void> = Promise.resolve()

  constructor(parts: AdmissionsParts) {
    this.#parts = parts
  }

  /**
   * What to tell peers: this device's own, until it is let in, and others' that wait as well; and the newest logs of all who went on
   * under new ones, by which the others find those.
   */
  told(): readonly Uint8Array[] {
    return [this.#parts.own(), ...this.#shown()]
      .filter((each) => !this.#isKnown(each))
      .concat(this.#parts.logs.begunByThemselves())
      .slice(0, MAX_ASKING)
      .map(encodeCredentials)
  }

  /** A peer tells of a device. @returns whether that is news; null where it is none or is forged */
  hear(bytes: Uint8Array): boolean | null {
    const credentials = decodeCredentials(bytes)
    if (credentials?.cores.some(({ use }) => use === 'data') !== true) return null
    const { device } = credentials.member
    const before = this.#asking.get(device) ?? []
    const isOld = before.some((each) => isWithin(credentials, each))
    if (this.#isKnown(credentials) || isOld) return false
    if (!areSound(credentials, keyOf(this.#parts.space))) return null
    this.#follow(credentials)
    if (before.length === 0 && this.#asking.size >= MAX_ASKING) return false
    const others = before.filter((each) => !isWithin(each, credentials))
    this.#asking.set(device, [credentials, ...others].slice(0, MAX_OF_DEVICE))
    return true
  }

  /** Who waits to be let in. */
  asking(): readonly Credentials[] {
    return this.#shown().filter((each) => !this.#isKnown(each) && !this.#isGoingOn(each))
  }

  #shown(): readonly Credentials[] {
    return [...this.#asking.values()].flat()
  }

  /** A device that is in, under new logs which say so themselves. (One that asks may have made a key in its new log.) */
  #isGoingOn(credentials: Credentials): boolean {
    const { logs } = this.#parts
    const acl = this.#aclOf(credentials).filter((core) => !logs.membership.cores.has(core))
    return this.#isDevice(credentials) && acl.every((core) => logs.isBegunByItself(core))
  }

  /** Lets one in that asks. @param prefixes where a writer may write @throws NOT_ALLOWED, STORE_ codes */
  async admit(credentials: Credentials, role: Role, prefixes: Prefixes): Promise<void> {
    const { logs } = this.#parts
    const { identity } = credentials.member
    const act = { kind: 'grant', identity, role } as const
    const permission = mayAct(logs.membership, this.#parts.identity, act)
    if (!permission.ok) {
      const why = `${permission.why} (rule ${permission.rule})`
      throw new ManyhandsError('NOT_ALLOWED', `This device may not: ${why}`)
    }
    if (!logs.isOwnCounted) {
      throw new ManyhandsError('NOT_ALLOWED', 'This device may not: its newest logs do not count')
    }
    await this.#grant(credentials, role, prefixes)
  }

  /** Grants to all who are chosen, if this device may. */
  settle(): Promise<void> {
    this.#granting = this.#granting.then(() => this.#grantAll())
    return this.#granting
  }

  async #grantAll(): Promise<void> {
    await this.#barRevoked()
    for (const [device, shown] of this.#asking)
      if (shown.every((each) => this.#isKnown(each))) this.#asking.delete(device)
    for (const credentials of this.#shown()) {
      if (!this.#isKnown(credentials)) this.#follow(credentials)
      if (!this.#isKnown(credentials) && !this.#isDevice(credentials)) {
        const role = this.#roleFor(credentials)
        // What the disk refuses now is tried again at the next occasion.
        if (role !== null && this.#mayGrant(credentials, role))
          await this.#grant(credentials, role).catch(() => {})
      }
    }
  }

  /**
   * What was said of all spaces is said in one that was made since, and in one where such a device asks: so that no other device of this
   * person lets it in, either. Whoever is in already is left to `revoke`, which says how far its logs count.
   */
  async #barRevoked(): Promise<void> {
    const { logs, identity, space } = this.#parts
    const { membership } = logs
    const known = new Set(this.#devices().map(({ device }) => device))
    const isFounder = keyOf(logs.ownCore) === keyOf(space)
    for (const device of this.#parts.revoked()) {
      const isDue = isFounder || this.#asking.has(device)
      if (!isDue || known.has(device) || membership.revokedDevices(identity).has(device)) continue
      if (
        !logs.isOwnCounted ||
        !mayAct(membership, identity, { kind: 'revoke', identity, device }).ok
      )
        return
      // What the disk refuses now is tried again at the next occasion.
      await logs.write({ kind: 'revoke', identity, device, cuts: [] }).catch(() => {})
    }
  }

  /** Of this person, as far as they were let in. */
  #devices() {
    return this.#parts.logs.membership.members.get(this.#parts.identity)?.devices ?? []
  }

  /** What a device is let in as by itself: one's own as what one is. */
  #roleFor(credentials: Credentials): Role | null {
    const { logs, identity } = this.#parts
    if (credentials.member.identity !== identity)
      return this.#isChosen(credentials) ? 'writer' : null
    return logs.membership.members.get(identity)?.role ?? null
  }

  #isChosen({ cores }: Credentials): boolean {
    return cores.some(({ core, use }) => use === 'data' && this.#parts.isChosen(core))
  }

  async #grant({ member, cores }: Credentials, role: Role, prefixes: Prefixes = null) {
    await this.#parts.logs.write({ kind: 'grant', member, role, prefixes, cores })
    await this.#parts.ongrant()
  }

  #mayGrant({ member }: Credentials, role: Role): boolean {
    const { logs, identity: own } = this.#parts
    const { identity } = member
    const known = logs.membership.members.get(identity)
    if (known?.role === null || this.#isOfRemoved(member) || !logs.isOwnCounted) return false
    return mayAct(logs.membership, own, { kind: 'grant', identity, role }).ok
  }

  /** Whether it, or a device by whose word it is its identity's, was removed: a thief could certify more. */
  #isOfRemoved({ identity, attestation }: DeviceClaim): boolean {
    const { membership } = this.#parts.logs
    const known = membership.members.get(identity)?.devices ?? []
    const removed = known.filter(({ role }) => role === null).map(({ device }) => device)
    // Whoever was revoked by name and let in again by somebody since is in.
    const isIn = new Set(known.flatMap(({ device, role }) => (role === null ? [] : device)))
    const named = [...membership.revokedDevices(identity), ...this.#parts.revoked()]
    const ended = new Set([...removed, ...named.filter((device) => !isIn.has(device))])
    return devicesIn(attestation).some((device) => ended.has(device))
  }

  /**
   * A device that is in shows other logs: it went on under new ones, which their first record says. Where it does not, somebody is to
   * decide (`admit`): rights that were given once are not given again by themselves.
   */
  #isDevice({ member }: Credentials): boolean {
    return this.#parts.logs.isDevice(member)
  }

  /** Of those who are in, more devices may say themselves by what right: the recovery key's. */
  #follow(credentials: Credentials): void {
    const { logs } = this.#parts
    if (logs.isMember(credentials.member.identity)) logs.follow(this.#aclOf(credentials))
  }

  #aclOf({ cores }: Credentials): readonly Key[] {
    return cores.flatMap(({ core, use }) => (use === 'acl' ? core : []))
  }

  #isKnown({ cores }: Credentials): boolean {
    const { membership } = this.#parts.logs
    return cores.every(({ core }) => membership.cores.has(core))
  }
}

/** Whether there is nothing in it that is not in what the same device has shown otherwise. */
function isWithin({ cores }: Credentials, other: Credentials): boolean {
  const shown = new Set(other.cores.map(({ core }) => core))
  return cores.every(({ core }) => shown.has(core))
}
