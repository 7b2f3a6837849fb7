/**
 * Before the recovery key ends logs for good: no acknowledgement of others raises such an end again, so all that can be had of them
 * is fetched first. Nobody says that there is no more; it is taken for so when nothing has come for a moment, and what others
 * acknowledged is here.
 */
import type { CoreStanding } from '../../acl/index.ts'
import type { LogReader } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf } from './credentials.ts'
import { signedUpTo } from './excluded.ts'

/** In ms: a peer that has more answers within some round trips. */
const CALM_MS = 500
const LOOK_MS = 50

/** A person waits for it, in ms. */
const PATIENCE_MS = 15_000

export interface LostLogsParts {
  readonly logs: AclLogs
  readonly union: Union
  readonly timers: Timers
}

/** @throws BLOCK_UNAVAILABLE when something of them is known to be elsewhere, and does not come */
export async function fetchLost(
  parts: LostLogsParts,
  cores: () => readonly CoreStanding[]
): Promise<void> {
  const { timers } = parts
  const start = timers.elapsed()
  let before = ''
  for (let calmSince = start; timers.elapsed() - calmSince < CALM_MS;) {
    const state = await stateOf(parts, cores())
    if (state === null || state !== before) calmSince = timers.elapsed()
    before = state ?? ''
    const isAlone = parts.logs.cores().every(({ peers }) => peers.length === 0)
    if (isAlone && state !== null) return
    if (isAlone || timers.elapsed() - start > PATIENCE_MS) throw missing()
    await timers.wait(LOOK_MS)
  }
}

/** How much is here; null while something of it is elsewhere, as is known. */
async function stateOf(
  { logs, union }: LostLogsParts,
  cores: readonly CoreStanding[]
): Promise<string | null> {
  const lengths: number[] = []
  for (const { core, use } of cores) {
    const held = logs.headOf(core)?.length ?? 0
    const log = use === 'data' ? union.log(bytesOf(core)) : null
    const length = use === 'data' ? await dataLength(union, log) : held
    const known = use === 'data' ? (log?.core.length ?? 1) : (logs.log(core)?.length ?? 0)
    if (length < Math.max(known, acknowledged(logs, core))) return null
    lengths.push(length)
  }
  return lengths.join()
}

function dataLength(union: Union, log: LogReader | null): Promise<number> | number {
  return log === null ? 0 : signedUpTo(union, log.key, Infinity)
}

/** The most that anybody who is in has said to hold. */
function acknowledged({ membership }: AclLogs, core: string): number {
  const devices = [...membership.members.values()].flatMap((member) => member.devices)
  return Math.max(0, ...devices.map(({ device }) => membership.acknowledged(device, core)))
}

function missing(): ManyhandsError {
  const why = 'Not all is here that is known of what the lost devices wrote, and it would be lost'
  return new ManyhandsError('BLOCK_UNAVAILABLE', why)
}
