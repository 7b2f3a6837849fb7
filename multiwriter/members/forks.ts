/** Logs with two histories, in a space: what looks for them, and what is told of them. */
import z32 from 'z32'
import type { Key } from '../../acl/index.ts'
import type { Hypercore } from '../../core/index.ts'
import type { Refusals } from '../refusals.ts'
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { Acts } from './acts.ts'
import type { Here } from './archives.ts'
import { bytesOf, keyOf } from './credentials.ts'
import { ForkWatch } from './fork-watch.ts'
import type { Members } from './members.ts'

export interface ForkParts {
  readonly members: Members
  readonly union: Union
  readonly acts: Pick<Acts, 'acknowledge'>
  readonly timers: Timers
  readonly refusals: Refusals
  /** A fork that was not known before, since the space is open. */
  readonly onfork: (fork: ForkInfo) => void
}

/** A log of which its device has written two histories. */
export interface ForkInfo {
  /** The log, as entries name it. */
  readonly writer: string
  readonly use: 'data' | 'membership'
  /** Whose it is: its `device.id`, and the `identity` of `members.list`. */
  readonly device: string
  readonly identity: string
  /** Blocks that all its histories have in common. */
  readonly common: number
  /** Blocks that count: of the history that was chosen, as far as others had acknowledged it, or else the common ones. */
  readonly length: number
  /**
   * What of it is on this device. `chosen`: all that counts. `other`: another history, of which the common blocks are read until the
   * chosen one is fetched. `part`: less than what counts. Whatever was here of others stays on the disk.
   */
  readonly here: Here
}

/** Looks for forks, fetches what was chosen, and counts what others say of it that is not true. */
export function watchForks({
  members,
  union,
  acts,
  timers,
  refusals,
  onfork
}: ForkParts): ForkWatch {
  const { archives } = members
  const live = (core: Key): Hypercore | null => {
    const log = union.log(bytesOf(core))
    if (log !== null) return log.branch === null ? log.core : archives.unread(core)
    return members.log(core)
  }
  const watch = new ForkWatch({
    archives,
    timers,
    live,
    isMembership: (core) => members.log(core) !== null,
    cores: () => [...union.logs().map(({ key }) => keyOf(key)), ...members.followed()],
    known: (core) => members.provedFork(core),
    publish: (found) => members.publishFork(acts, found),
    onrefused: (peer, reason) => refusals.add(z32.encode(peer.remoteKey), `branch-${reason}`, 0)
  })
  const told = new Set(members.membership.forks.map(({ core }) => core))
  union.events.on('change', () => watch.changed())
  members.events.on('record', () => {
    watch.changed()
    for (const fork of forksIn(members)) {
      const core = keyOf(z32.decode(fork.writer))
      if (told.has(core)) continue
      told.add(core)
      onfork(fork)
    }
    for (const { core, seq } of members.unproved) refusals.add(textOf(core), 'fork-unproved', seq)
  })
  members.events.on('logs', () => watch.offer())
  archives.events.on('ask', (head) => watch.ask(head))
  archives.events.on('source', (core) => void union.replace(bytesOf(core)).catch(() => {})) // the space closes
  archives.events.on('other', ({ core, length }) =>
    refusals.add(textOf(core), 'sealed-other-history', length)
  )
  return watch
}

/** What is told of forks. */
export function forksIn({ membership, archives }: Members): readonly ForkInfo[] {
  return membership.forks.flatMap((fork) => {
    const standing = membership.cores.get(fork.core)
    if (standing === undefined) return []
    const { use, device, identity } = standing
    return {
      writer: textOf(fork.core),
      use: use === 'data' ? use : 'membership',
      device: textOf(device),
      identity: textOf(identity),
      common: fork.common,
      length: fork.length,
      here: archives.here(fork)
    }
  })
}

function textOf(key: Key): string {
  return z32.encode(bytesOf(key))
}
