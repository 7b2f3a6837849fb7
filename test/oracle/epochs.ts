/** The obvious resolution of epochs: every question is asked of all records anew. Of logs without forks. */
import {
  ROLES,
  type AclLog,
  type AclRecord,
  type EpochRecord,
  type Key,
  type Membership,
  type ShareRecord
} from '../../acl/index.ts'

interface Said<R> {
  readonly core: Key
  readonly index: number
  readonly record: R
}

export interface NaiveEpoch {
  readonly epoch: Key
  readonly generation: number
  readonly rank: number
  readonly isUsable: boolean
}

/** The best first, as writers prefer them. */
export function naiveEpochs(
  logs: readonly AclLog[],
  membership: Membership
): readonly NaiveEpoch[] {
  const all = logs.flatMap(({ core, records }) =>
    records.map(({ record }, index) => ({ core, index, record }))
  )
  const counting = all.filter(({ core, index, record }) => {
    if (typeof record === 'string') return false
    const isRefused = membership.refused.some(
      (each) => each.core === core && each.index === index && each.rule !== 12
    )
    return !isRefused && index < (membership.cores.get(core)?.length ?? 0)
  }) as Said<AclRecord>[]
  const epochs = [
    ...new Set(
      counting.flatMap(({ core, record }) =>
        record.kind === 'epoch' && mayAs(core, 'writer') ? record.epoch : []
      )
    )
  ]
  const minted = (epoch: Key) => saying(epoch, 'epoch', 'writer') as Said<EpochRecord>[]
  const told = epochs.map((epoch) => ({
    epoch,
    generation: generation(epoch, []),
    rank: Math.min(...minted(epoch).map(({ core }) => rankOf(core))),
    isUsable: isUsable(epoch)
  }))
  return told.sort(
    (a, b) =>
      Number(b.isUsable) - Number(a.isUsable) ||
      b.generation - a.generation ||
      (a.rank === b.rank ? 0 : a.rank - b.rank) ||
      (a.epoch < b.epoch ? -1 : 1)
  )

  function mayAs(core: Key, role: (typeof ROLES)[number]): boolean {
    const own = membership.cores.get(core)?.role ?? 'mirror'
    return ROLES.indexOf(own) >= ROLES.indexOf(role)
  }

  function saying(epoch: Key, kind: 'epoch' | 'share', role: (typeof ROLES)[number]) {
    return counting.filter(
      ({ core, record }) => record.kind === kind && record.epoch === epoch && mayAs(core, role)
    ) as Said<EpochRecord | ShareRecord>[]
  }

  function rankOf(core: Key): number {
    const identity = membership.cores.get(core)?.identity ?? ''
    return membership.members.get(identity)?.rank ?? Infinity
  }

  function parentsOf(epoch: Key): readonly Key[] {
    const named = minted(epoch).flatMap(({ record }) => record.parents.map((each) => each.epoch))
    return named.filter((each) => each !== epoch && epochs.includes(each))
  }

  function leadsTo(from: Key, to: Key, seen: readonly Key[] = []): boolean {
    if (seen.includes(from)) return false
    return parentsOf(from).some((each) => each === to || leadsTo(each, to, [...seen, from]))
  }

  function generation(epoch: Key, below: readonly Key[]): number {
    const parents = parentsOf(epoch).filter((parent) => !leadsTo(parent, epoch))
    return 1 + Math.max(0, ...parents.map((parent) => generation(parent, [...below, epoch])))
  }

  function mayRead(device: Key): boolean {
    const devices = [...membership.members.values()].flatMap((member) => member.devices)
    const role = devices.find((each) => each.device === device)?.role ?? 'mirror'
    return role !== 'mirror'
  }

  function holders(epoch: Key): readonly Key[] {
    return [...minted(epoch), ...saying(epoch, 'share', 'reader')].flatMap(({ core, record }) => [
      membership.cores.get(core)?.device ?? '',
      ...record.shares.map(({ device }) => device)
    ])
  }

  function isUsable(epoch: Key): boolean {
    const giving = epochs.filter((each) => each === epoch || leadsTo(each, epoch))
    if (!giving.flatMap(holders).every(mayRead)) return false
    const ids = epochs.filter((each) => each.slice(0, 16) === epoch.slice(0, 16))
    if (ids.length > 1) return false
    return minted(epoch).some((said) => {
      const past = pastOf(said)
      return past !== null && removals().every((removal) => past.has(removal))
    })
  }

  /** All records that the author had seen, itself left out; null where some of what it names directly is not here. */
  function pastOf({ core, index }: Said<unknown>): ReadonlySet<string> | null {
    const past = new Set<string>()
    const visit = (of: Key, length: number): void => {
      for (let i = 0; i < length; i++) {
        if (past.has(`${of} ${i}`)) continue
        past.add(`${of} ${i}`)
        for (const head of headsAt(of, i)) if (isHere(head)) visit(head.core, head.length)
      }
    }
    visit(core, index)
    const own = Array.from({ length: index + 1 }, (_, i) => headsAt(core, i)).flat()
    for (const head of own) if (isHere(head)) visit(head.core, head.length)
    return own.every(isHere) ? past : null
  }

  function headsAt(core: Key, index: number) {
    const record = logs.find((log) => log.core === core)?.records[index]?.record
    return record === undefined || typeof record === 'string' ? [] : record.heads
  }

  function isHere({ core, length, treeHash }: { core: Key; length: number; treeHash: Key }) {
    const log = logs.find((each) => each.core === core)
    return log?.records[length - 1]?.treeHash === treeHash
  }

  /** Places of the records by which somebody was removed who is out. Of spaces without ballots and recoveries. */
  function removals(): readonly string[] {
    return counting.flatMap(({ core, index, record }) => {
      const devices = removedBy(core, record)
      return devices.some((device) => !mayRead(device)) ? `${core} ${index}` : []
    })
  }

  function removedBy(core: Key, record: AclRecord): readonly Key[] {
    if (record.kind === 'leave') return [membership.cores.get(core)?.device ?? '']
    if (record.kind !== 'revoke') return []
    const devices = membership.members.get(record.identity)?.devices ?? []
    return devices.flatMap(({ device }) =>
      record.device === null || record.device === device ? device : []
    )
  }
}
