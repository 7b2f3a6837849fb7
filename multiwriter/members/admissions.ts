/**
 * Who asks to be let in, and letting in those who were chosen: by `addWriter`, or everybody in an open space. A device shows its
 * credentials to its peers, which pass them on until somebody who may has granted them. Whoever was removed is not let in again
 * by itself.
 */
import { mayAct, type Key, type Role } from '../../acl/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Prefixes } from '../prefixes.ts'
import type { AclLogs } from './acl-logs.ts'
import {
  areSound,
  decodeCredentials,
  encodeCredentials,
  keyOf,
  type Credentials
} from './credentials.ts'

/** Whoever knows the space can make up devices. */
const MAX_ASKING = 4096

export interface AdmissionsParts {
  readonly logs: AclLogs
  readonly space: Uint8Array
  readonly own: Credentials
  /** Whether the device with this data core was chosen. */
  isChosen(data: Key): boolean
}

export class Admissions {
  readonly #parts: AdmissionsParts
  /** By data core. */
  readonly #asking = new Map<Key, Credentials>()
  #granting: Promise<void> = Promise.resolve()

  constructor(parts: AdmissionsParts) {
    this.#parts = parts
  }

  /** What to tell peers: this device's own, until it is let in, and others' that wait as well. */
  told(): readonly Uint8Array[] {
    return [this.#parts.own, ...this.#asking.values()]
      .filter((each) => !this.#isKnown(each))
      .map(encodeCredentials)
  }

  /** A peer tells of a device. @returns whether that is news; null where it is none or is forged */
  hear(bytes: Uint8Array): boolean | null {
    const credentials = decodeCredentials(bytes)
    const data = credentials === null ? undefined : dataCoreOf(credentials)
    if (credentials === null || data === undefined) return null
    if (this.#asking.has(data) || this.#isKnown(credentials)) return false
    if (!areSound(credentials, keyOf(this.#parts.space))) return null
    if (this.#asking.size >= MAX_ASKING) return false
    this.#asking.set(data, credentials)
    return true
  }

  /** Who waits to be let in, by data core. */
  asking(): ReadonlyMap<Key, Credentials> {
    return new Map([...this.#asking].filter(([, each]) => !this.#isKnown(each)))
  }

  /** Lets one in that asks. @param prefixes where a writer may write @throws NOT_ALLOWED, STORE_ codes */
  async admit(credentials: Credentials, role: Role, prefixes: Prefixes): Promise<void> {
    const { logs, own } = this.#parts
    const { identity } = credentials.member
    const act = { kind: 'grant', identity, role } as const
    const permission = mayAct(logs.membership, own.member.identity, act)
    if (!permission.ok) {
      const why = `${permission.why} (rule ${permission.rule})`
      throw new ManyhandsError('NOT_ALLOWED', `This device may not: ${why}`)
    }
    await this.#grant(credentials, role, prefixes)
  }

  /** Grants to all who are chosen, if this device may. */
  settle(): Promise<void> {
    this.#granting = this.#granting.then(() => this.#grantAll())
    return this.#granting
  }

  async #grantAll(): Promise<void> {
    for (const [data, credentials] of this.#asking) {
      if (this.#isKnown(credentials)) this.#asking.delete(data)
      else if (this.#parts.isChosen(data) && this.#mayGrant(credentials)) {
        // What the disk refuses now is tried again at the next occasion.
        await this.#grant(credentials, 'writer').catch(() => {})
      }
    }
  }

  #grant({ member, cores }: Credentials, role: Role, prefixes: Prefixes = null): Promise<void> {
    return this.#parts.logs.write({ kind: 'grant', member, role, prefixes, cores })
  }

  #mayGrant({ member: { identity, device } }: Credentials): boolean {
    const { logs, own } = this.#parts
    const known = logs.membership.members.get(identity)
    const before = known?.devices.find((each) => each.device === device)
    if (known?.role === null || before?.role === null) return false
    return mayAct(logs.membership, own.member.identity, { kind: 'grant', identity, role: 'writer' })
      .ok
  }

  #isKnown({ cores }: Credentials): boolean {
    const { membership } = this.#parts.logs
    return cores.every(({ core }) => membership.cores.has(core))
  }
}

function dataCoreOf({ cores }: Credentials): Key | undefined {
  return cores.find(({ use }) => use === 'data')?.core
}
