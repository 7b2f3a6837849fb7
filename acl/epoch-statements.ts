/** What counting records say of epochs, and what whoever said it had seen: what epochs.ts goes by. */
import type { Cut } from './cuts.ts'
import type { EpochStatement, VoidStatement } from './epochs.ts'
import type { Entry, History } from './history.ts'
import type { Member } from './membership.ts'
import type { Pass } from './pass.ts'
import {
  compareRoles,
  type AclRecord,
  type EpochRecord,
  type Key,
  type Role,
  type ShareRecord,
  type Unreadable
} from './records.ts'
import type { Core, Device } from './registry.ts'

export interface EpochStatementsParts {
  readonly pass: Pass
  readonly history: History
  readonly members: ReadonlyMap<Key, Member>
  readonly cutOf: (core: Core) => Cut | undefined
  readonly roleOf: (core: Core) => Role
}

/** By whom somebody who may not read now was removed: as many of these as are needed must have been seen. */
interface Removal {
  readonly by: readonly Entry[]
  readonly needed: number
}

export class EpochStatements {
  readonly #parts: EpochStatementsParts
  /** Devices of those who may read: they get keys. A mirror keeps what it cannot read. */
  readonly readers: ReadonlySet<Key>

  constructor(parts: EpochStatementsParts) {
    this.#parts = parts
    this.readers = new Set(this.#findReaders())
  }

  #findReaders(): readonly Key[] {
    return [...this.#parts.members.values()].flatMap((member) =>
      member.devices.flatMap(({ device, role }) =>
        mayRead(role) || (role === null && this.#isOnlyForked(device, member)) ? device : []
      )
    )
  }

  /** A fork costs a log, and not its device: that goes on under new ones, or is let in with them. */
  #isOnlyForked(device: Key, { role }: Member): boolean {
    const { pass, cutOf } = this.#parts
    const { cores = [] } = pass.registry.devices.get(device) ?? {}
    if (!mayRead(role) || !cores.some((core) => cutOf(core)?.by === 'fork')) return false
    return !this.#counted().some(
      ({ entry: { record } }) =>
        typeof record !== 'string' && record.kind === 'revoke' && record.device === device
    )
  }

  /** Those that count. */
  all(): readonly EpochStatement[] {
    const { history, members, roleOf } = this.#parts
    const removals = this.#removals()
    return this.#said().flatMap(({ entry, core, record }) => {
      if (!this.#counts(entry, core)) return []
      const { device, identity } = core.device
      return {
        record,
        device,
        role: roleOf(core),
        rank: members.get(identity)?.rank ?? Infinity,
        isWhole: history.isWhole(entry),
        isUpToDate: removals.every((removal) => hasSeen(history, entry, removal))
      }
    })
  }

  /** Those of members that do not: something that counts may have been written under them all the same. */
  void(): readonly VoidStatement[] {
    const { history } = this.#parts
    return this.#said().flatMap(({ entry, core, record }) =>
      this.#counts(entry, core)
        ? []
        : { record, device: core.device.device, isWhole: history.isWhole(entry) }
    )
  }

  #said() {
    const { history, pass } = this.#parts
    return [...history.allActs()].flatMap((entry) => {
      const { record } = entry
      const core = pass.registry.cores.get(entry.core)
      return core !== undefined && isOfEpoch(record) ? { entry, core, record } : []
    })
  }

  /** RULE 4: What lies past the end of a core is void. */
  #counts(entry: Entry, core: Core): boolean {
    const { pass, cutOf } = this.#parts
    return pass.counted.has(entry) && entry.index < (cutOf(core)?.length ?? 0)
  }

  #counted(): readonly { readonly entry: Entry; readonly core: Core }[] {
    const { counted, registry } = this.#parts.pass
    return [...counted.keys()].flatMap((entry) => {
      const core = registry.cores.get(entry.core)
      return core !== undefined && this.#counts(entry, core) ? { entry, core } : []
    })
  }

  #removals(): readonly Removal[] {
    const { ballots } = this.#parts.pass.owners
    const single = this.#counted().flatMap(({ entry, core }) =>
      this.#isOut(this.#removedBy(entry, core)) ? { by: [entry], needed: 1 } : []
    )
    const voted = ballots.flatMap(({ change, identity, votes, electorate }) => {
      if (change !== 'remove' || !this.#isOut(this.#devicesOf(identity))) return []
      return { by: votes, needed: Math.floor(electorate / 2) + 1 }
    })
    return [...single, ...voted]
  }

  #isOut(devices: readonly (Device | undefined)[]): boolean {
    return devices.some((each) => each !== undefined && !this.readers.has(each.device))
  }

  #removedBy({ record }: Entry, author: Core): readonly (Device | undefined)[] {
    const { devices, cores } = this.#parts.pass.registry
    if (typeof record === 'string') return []
    switch (record.kind) {
      case 'revoke':
        return record.device === null
          ? this.#devicesOf(record.identity)
          : [devices.get(record.device)]
      case 'leave':
        return [author.device]
      case 'seal':
        return record.cuts.map(({ core }) => cores.get(core)?.device)
      case 'recovery':
        return record.revoked.map((device) => devices.get(device))
      default:
        return []
    }
  }

  #devicesOf(identity: Key): readonly Device[] {
    return this.#parts.pass.registry.devicesOf(identity)
  }
}

function mayRead(role: Role | null): boolean {
  return role !== null && compareRoles(role, 'reader') >= 0
}

function hasSeen(history: History, entry: Entry, { by, needed }: Removal): boolean {
  return by.filter((each) => history.sees(entry, each)).length >= needed
}

export function isOfEpoch(record: AclRecord | Unreadable): record is EpochRecord | ShareRecord {
  return typeof record !== 'string' && (record.kind === 'epoch' || record.kind === 'share')
}
