/**
 * Logs that end, read in the history in which they end there.
 *
 * Where membership names a length of a log *and what the log hashes to there* (a seal, the end of a forked log), this device looks
 * whether the log it holds is that one. If not, or if it holds too little, it asks for the *archive*: the same blocks under a key that
 * says what they are, which whoever holds the log makes when asked. A hash in a record is its author's word only, so an archive
 * counts once somebody has shown that the log's own writer signed it (core/signed-prefix.ts).
 *
 * Of a forked membership log every history is needed that somebody acknowledged: which one counts is decided from all of them. So those
 * are asked for in the same way, and read beside the log.
 */
import b4a from 'b4a'
import { EventEmitter } from 'eventemitter3'
import type { CoreStanding, ForkCut, Head, Key } from '../../acl/index.ts'
import {
  checkPrefix,
  commonLength,
  fillArchive,
  hashAt,
  isWhole,
  signedPrefix,
  type Branch,
  type Hypercore,
  type Pin
} from '../../core/index.ts'
import type { SpaceLogs } from '../space-logs.ts'
import type { Timers } from '../timers.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf, keyOf, NO_HASH } from './credentials.ts'

/** So long a log that was merely not fetched yet is waited for; and so often what is missing is asked for again. */
const PATIENCE_MS = 3000

/** Where an archive keeps what shows that its log's writer signed it. */
const SHOWN = 'manyhands/shown'

export interface ArchivesParts {
  readonly spaceLogs: Pick<SpaceLogs, 'stored' | 'archive'>
  readonly logs: Pick<AclLogs, 'membership' | 'holds' | 'headOf' | 'provedFork' | 'addBranch'>
  readonly timers: Pick<Timers, 'after' | 'elapsed'>
}

/** Where a data log stands that ends with a known hash. */
interface Standing {
  /** Blocks that count, of what can be read here. */
  readonly counted: number
  /** What is read in the log's place; null for the log itself. */
  readonly source: Archive | null
  readonly here: Here
}

/**
 * What of a log is on this device. `chosen`: all that counts. `other`: another history of it, which is kept as it is. `part`: less than
 * what counts.
 */
export type Here = 'chosen' | 'other' | 'part'

interface Archive {
  readonly head: Head
  readonly use: CoreStanding['use']
  readonly core: Hypercore
  /** Null before it was read. */
  branch: Branch | null
  /** The log in whose place it is read, and which may be the evidence of a fork. */
  log: Hypercore | null
  isFetching: boolean
}

/** What is not here. */
interface Missing {
  readonly head: Head
  readonly since: number
  /** Nothing but an archive can bring it. */
  readonly isUrgent: boolean
}

type Miss = (head: Head, isUrgent: boolean) => void

export class Archives {
  readonly events = new EventEmitter<{
    /** Logs count otherwise, or there are more to offer. */
    change: []
    /** A data log is to be read from somewhere else. */
    source: [core: Key]
    /** Somebody is to show this head, and to make its archive. */
    ask: [Head]
    /** The log that is held here is not the one that was sealed. */
    other: [Head]
  }>()
  readonly #parts: ArchivesParts
  readonly #standings = new Map<Key, Standing>()
  readonly #archives = new Map<string, Archive>()
  /** Archives that are read beside their membership logs. */
  readonly #added = new Set<Archive>()
  #missing: ReadonlyMap<string, Missing> = new Map()
  #settling: Promise<void> = Promise.resolve()
  #callOff: (() => void) | null = null
  #isClosed = false

  constructor(parts: ArchivesParts) {
    this.#parts = parts
  }

  /**
   * How far a log counts of what is here; null while that is not known. A log that forked counts, until the history that was chosen
   * is here, as far as all its histories agree.
   */
  lengthOf({ core, length, endedBy }: CoreStanding): number | null {
    return endedBy === 'fork' ? (this.#standings.get(core)?.counted ?? null) : length
  }

  /** From where a data log is to be read; null for the log itself. */
  sourceOf(core: Key): { readonly core: Hypercore; readonly branch: Branch } | null {
    const source = this.#standings.get(core)?.source
    return source?.branch ? { core: source.core, branch: source.branch } : null
  }

  /** A data log that is not read, as another history of it counts. */
  unread(core: Key): Hypercore | null {
    return this.#standings.get(core)?.source?.log ?? null
  }

  /** What of a forked log is here. */
  here({ core, length, treeHash }: ForkCut): Here {
    const known = this.#standings.get(core)
    if (known !== undefined) return known.here
    const { logs } = this.#parts
    if (treeHash === null || logs.holds({ core, length, treeHash })) return 'chosen'
    return (logs.headOf(core)?.length ?? 0) < length ? 'part' : 'other'
  }

  /** To offer to peers and to ask them for. */
  cores(use: CoreStanding['use']): readonly Hypercore[] {
    return [...this.#archives.values()].flatMap((each) => (each.use === use ? each.core : []))
  }

  /** What is asked for. */
  wanted(): readonly Head[] {
    const now = this.#parts.timers.elapsed()
    return [...this.#missing.values()].flatMap(({ head, since, isUrgent }) =>
      isUrgent || now - since >= PATIENCE_MS ? head : []
    )
  }

  /** Looks again at all that ends: the membership has changed, or something has come. Never rejects. */
  settle(): Promise<void> {
    this.#settling = this.#settling.then(() => this.#settle()).catch(() => {}) // the store closes
    return this.#settling
  }

  /**
   * A peer asks for what shows a head. Makes the archive, if this device knows too that one is needed: copying is not to be had for
   * the asking. Null when the head is not here.
   */
  async show(head: Head): Promise<Uint8Array | null> {
    const known = this.#archives.get(idOf(head))
    if (known !== undefined && isWhole(known.core, pinOf(head))) return shownBy(known)
    return this.#withLog(head.core, async (log) => {
      if ((await whereIs(log, head)) !== 'chosen') return null
      const prefix = await signedPrefix(log, head.length - 1)
      if (prefix !== null && this.#isPinned(head)) await this.#make(head, log, prefix)
      return prefix
    })
  }

  /** A peer shows a head that was asked for. @returns false where it does not */
  async shown(head: Head, prefix: Uint8Array): Promise<boolean> {
    if (!this.#missing.has(idOf(head))) return true // it came from somebody else meanwhile
    if (!isShown(head, prefix)) return false
    const archive = await this.#open(head)
    await archive?.core.setUserData(SHOWN, prefix)
    if (archive !== null) this.#fetch(archive)
    return true
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#callOff?.()
    this.events.removeAllListeners()
    await this.#settling
    const archives = [...this.#archives.values()]
    await Promise.all(archives.map(({ core, log }) => Promise.all([core.close(), log?.close()])))
  }

  async #settle(): Promise<void> {
    const missing = new Map<string, Missing>()
    const miss: Miss = (head, isUrgent) => {
      const id = idOf(head)
      const since = this.#missing.get(id)?.since ?? this.#parts.timers.elapsed()
      missing.set(id, { head, since, isUrgent })
    }
    for (const standing of this.#parts.logs.membership.cores.values()) {
      if (this.#isClosed) return
      if (standing.use === 'data') await this.#judge(standing, miss)
      else if (standing.endedBy === 'fork') await this.#gather(standing.core, miss)
    }
    this.#missing = missing
    this.#ask()
  }

  #ask(): void {
    for (const head of this.wanted()) this.events.emit('ask', head)
    if (this.#missing.size === 0 || this.#callOff !== null || this.#isClosed) return
    this.#callOff = this.#parts.timers.after(PATIENCE_MS, () => {
      this.#callOff = null
      void this.settle()
    })
  }

  /** How a data log is to be read, if it ends. */
  async #judge(standing: CoreStanding, miss: Miss): Promise<void> {
    const { core, length, treeHash } = standing
    const before = this.#standings.get(core)
    const now = standing.length === Infinity ? null : await this.#standingOf(standing, miss)
    if (now === null) this.#standings.delete(core)
    else this.#standings.set(core, now)
    const isOther = now?.here === 'other' && before?.here !== 'other'
    if (isOther && standing.endedBy !== 'fork' && treeHash !== null)
      this.events.emit('other', { core, length, treeHash })
    if (now?.counted !== before?.counted) this.events.emit('change')
    if ((now?.source ?? null) !== (before?.source ?? null)) this.events.emit('source', core)
  }

  async #standingOf(standing: CoreStanding, miss: Miss): Promise<Standing> {
    const { core, length, endedBy } = standing
    const itself: Standing = { counted: length, source: null, here: 'chosen' }
    const head = this.#endOf(standing)
    if (head === null) return itself
    const where = await this.#withLog(core, (log) => whereIs(log, head))
    // Hypercore fetches nothing more of a log in conflict.
    const isCut =
      endedBy === 'fork' && !(await this.#withLog(core, async (log) => isWhole(log, head)))
    if (where === 'chosen' && !isCut) return itself
    const source = await this.#openWhole(head)
    if (source !== null) {
      source.log ??= await this.#parts.spaceLogs.stored(bytesOf(core))
      return { counted: length, source, here: 'chosen' }
    }
    miss(head, where === 'other' || endedBy === 'fork')
    const isUnsure = endedBy === 'fork' && where !== 'chosen'
    const counted = isUnsure ? Math.min(length, this.#commonOf(core)) : length
    return { counted, source: null, here: isCut && where === 'chosen' ? 'part' : where }
  }

  /** Where a log ends, and in which history; null where nobody said. */
  #endOf({ core, length, treeHash, endedBy }: CoreStanding): Head | null {
    if (length === Infinity || length === 0 || treeHash === NO_HASH) return null
    if (treeHash !== null) return { core, length, treeHash }
    const proved = endedBy === 'fork' ? this.#parts.logs.provedFork(core) : null
    return proved?.length === length ? proved : null
  }

  #commonOf(core: Key): number {
    const { forks } = this.#parts.logs.membership
    return forks.find((fork) => fork.core === core)?.common ?? 0
  }

  /** Every history of a membership log that somebody acknowledged. */
  async #gather(core: Key, miss: Miss): Promise<void> {
    const { logs } = this.#parts
    for (const head of logs.membership.branches(core)) {
      if (logs.holds(head)) continue
      const archive = await this.#openWhole(head)
      if (archive === null) miss(head, true)
      else if (!this.#added.has(archive)) {
        this.#added.add(archive)
        await logs.addBranch(core, archive.core.session())
      }
    }
  }

  #isPinned(head: Head): boolean {
    const { membership } = this.#parts.logs
    const standing = membership.cores.get(head.core)
    if (standing === undefined) return false
    const end = standing.use === 'data' ? this.#endOf(standing) : null
    const pinned = end === null ? membership.branches(head.core) : [end]
    return pinned.some((each) => idOf(each) === idOf(head))
  }

  async #make(head: Head, log: Hypercore, prefix: Uint8Array): Promise<void> {
    const archive = await this.#open(head)
    if (archive === null || !(await fillArchive(archive.core, log, pinOf(head)))) return
    await archive.core.setUserData(SHOWN, prefix)
    this.events.emit('change')
  }

  /** An archive that is here as a whole; one that was begun is fetched on. */
  async #openWhole(head: Head): Promise<Archive | null> {
    const archive = await this.#open(head)
    const prefix = archive === null ? null : await shownBy(archive)
    if (archive === null || prefix === null || !isShown(head, prefix)) return null
    if (!isWhole(archive.core, pinOf(head))) {
      this.#fetch(archive)
      return null
    }
    archive.branch ??= {
      from: await this.#withLog(head.core, (log) => commonLength(log, archive.core))
    }
    return archive
  }

  async #open(head: Head): Promise<Archive | null> {
    const id = idOf(head)
    const use = this.#parts.logs.membership.cores.get(head.core)?.use
    if (use === undefined || this.#isClosed) return null
    const known = this.#archives.get(id)
    if (known !== undefined) return known
    const core = await this.#parts.spaceLogs.archive(use, bytesOf(head.core), pinOf(head))
    const archive = { head, use, core, branch: null, log: null, isFetching: false }
    this.#archives.set(id, archive)
    return archive
  }

  #fetch(archive: Archive): void {
    if (archive.isFetching) return
    archive.isFetching = true
    const { core, head } = archive
    const onarrival = () => {
      if (isWhole(core, pinOf(head))) void this.settle()
    }
    core.on('download', onarrival)
    core.download({ start: 0, end: head.length })
    this.events.emit('change')
    onarrival()
  }

  /** The log as its writer shows it here. */
  async #withLog<T>(core: Key, task: (log: Hypercore) => Promise<T>): Promise<T> {
    const log = await this.#parts.spaceLogs.stored(bytesOf(core))
    try {
      return await task(log)
    } finally {
      await log.close()
    }
  }
}

/** Whether a log that is held is, at the length of a head, that very one. */
async function whereIs(log: Hypercore, { length, treeHash }: Head): Promise<Here> {
  if (log.length < length) return 'part'
  const hash = await hashAt(log, length)
  // A log that is held in part may lack what its hash is made of.
  if (hash === null) return 'part'
  return keyOf(hash) === treeHash ? 'chosen' : 'other'
}

function isShown({ core, length, treeHash }: Head, prefix: Uint8Array): boolean {
  const shown = checkPrefix(bytesOf(core), length - 1, prefix)
  return shown !== null && b4a.equals(shown.through, bytesOf(treeHash))
}

function shownBy({ core }: Archive): Promise<Uint8Array | null> {
  return core.getUserData(SHOWN)
}

function pinOf({ length, treeHash }: Head): Pin {
  return { length, treeHash: bytesOf(treeHash) }
}

function idOf({ core, length, treeHash }: Head): string {
  return `${core} ${length} ${treeHash}`
}
