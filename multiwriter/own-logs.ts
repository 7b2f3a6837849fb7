/**
 * This device's logs of a space: the two that it writes, and those that it wrote before it went on under new ones (docs/MEMBERSHIP.md,
 * rule 9). It does so when it is told to, and when a log is not what it was: a tail that was lost here may be held by others, and
 * appending would then fork the log. What comes back of an old log is read like anybody's.
 */
import type { Stamp } from '../clock/index.ts'
import {
  ownLogKey,
  saltsOf,
  type DeviceStore,
  type OwnLog,
  type SpaceSecrets
} from '../core/index.ts'
import { newestStamp } from './own-clock.ts'
import type { SpaceLogs } from './space-logs.ts'

/** A pair of logs, by their keys. */
export interface LogPair {
  /** What they are derived with. */
  readonly salt: Uint8Array
  readonly acl: Uint8Array
  readonly data: Uint8Array
}

export interface OwnLogs {
  readonly acl: OwnLog
  readonly data: OwnLog
  readonly salt: Uint8Array
  /** Those of before, the newest last. */
  readonly earlier: readonly LogPair[]
}

export interface OwnLogsParts {
  readonly store: Pick<DeviceStore, 'secrets'>
  readonly logs: Pick<SpaceLogs, 'own'>
  /** As the store has them now. */
  secrets(): SpaceSecrets
  /** @see DeviceStore.succeed */
  succeed(why: string): Promise<void>
}

/** Never gives logs of which something is lost. */
export async function openOwnLogs(parts: OwnLogsParts): Promise<OwnLogs> {
  for (;;) {
    const salts = saltsOf(parts.secrets())
    const salt = salts.at(-1) ?? parts.secrets().salt
    const acl = await parts.logs.own('acl', salt)
    const data = await parts.logs.own('data', salt)
    const lost = acl.lost ?? data.lost
    if (lost === null) return { acl, data, salt, earlier: earlierLogs(parts, salts) }
    await closeLogs({ acl, data })
    await parts.succeed(lost)
  }
}

function earlierLogs(
  { store: { secrets } }: OwnLogsParts,
  salts: readonly Uint8Array[]
): readonly LogPair[] {
  const keyOf = (use: string, salt: Uint8Array) => ownLogKey(secrets.seed, use, salt)
  return salts
    .slice(0, -1)
    .map((salt) => ({ salt, acl: keyOf('acl', salt), data: keyOf('data', salt) }))
}

/** What the clock went on to in the newest of the earlier logs that was written to. */
export async function stampBefore(parts: OwnLogsParts): Promise<Stamp | null> {
  for (const salt of saltsOf(parts.secrets()).slice(0, -1).toReversed()) {
    const data = await parts.logs.own('data', salt)
    try {
      if (data.core.length > 0) return await newestStamp(data)
    } finally {
      await data.close()
    }
  }
  return null
}

async function closeLogs({ acl, data }: Pick<OwnLogs, 'acl' | 'data'>): Promise<void> {
  await acl.close()
  await data.close()
}
