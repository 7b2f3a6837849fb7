/**
 * How a member says that it has no key of an epoch: a share with itself in which nothing stands. It has said so for good until it passes the
 * key on, if only to nobody. So what is known of it depends on the set of records alone, and whoever lies about it costs each holder
 * one share.
 */
import type { EpochRecord, Key, ShareRecord } from './records.ts'

/** Who says something of an epoch, and what. */
export interface Saying {
  readonly record: EpochRecord | ShareRecord
  readonly device: Key
}

/** Members that say to have no key of an epoch, and who has given it to each, for all that the records say. */
export type Asking = ReadonlyMap<Key, ReadonlySet<Key>>

/** As long as a share's box is. */
const NOTHING = new Uint8Array(80)

export function askFor(epoch: Key, device: Key): Omit<ShareRecord, 'heads'> {
  return { kind: 'share', epoch, shares: [{ device, box: NOTHING }] }
}

export function isAsking({ record, device }: Saying): boolean {
  const [share, ...more] = record.kind === 'share' ? record.shares : []
  return more.length === 0 && share?.device === device && share.box.every((byte) => byte === 0)
}

/** Of what is said of one epoch. */
export function whoAsks(said: readonly Saying[]): Asking {
  const asked = said.filter(isAsking).map(({ device }) => device)
  if (asked.length === 0) return NOBODY
  const has = new Set(said.flatMap((each) => (isAsking(each) ? [] : each.device)))
  const asking = asked.filter((device) => !has.has(device))
  return new Map(asking.map((device) => [device, new Set(giversTo(device, said))]))
}

const NOBODY: Asking = new Map()

function giversTo(device: Key, said: readonly Saying[]): readonly Key[] {
  return said.flatMap((each) =>
    !isAsking(each) && each.record.shares.some((share) => share.device === device)
      ? each.device
      : []
  )
}
