/**
 * This device goes on under new logs (docs/MEMBERSHIP.md, rule 9): the first record of its new membership log names the old ones as
 * they were found. It names the last pair alone: an older log named twice would be a fork.
 *
 * Where the old membership log is known to have been longer, others may hold what is missing, and to name less would contradict what they
 * have acknowledged: so the first of them that is met is asked. What the device writes meanwhile shows here, and counts for the others from
 * then on. And where the last pair does not count, as
 * two copies of one device went on from the same logs, nothing that follows it would: then this device asks to be let in under fresh ones.
 */
import b4a from 'b4a'
import type { CoreStanding, Head, Key } from '../../acl/index.ts'
import { treeHashOf, type DeviceStore, type Hypercore, type KeyPair } from '../../core/index.ts'
import type { LogPair, OwnLogs } from '../own-logs.ts'
import type { SpaceLogs } from '../space-logs.ts'
import type { AclLogs } from './acl-logs.ts'
import {
  keyOf,
  ownCredentials,
  signRecovery,
  signSuccessor,
  type Credentials
} from './credentials.ts'

export interface SuccessionParts {
  readonly store: DeviceStore
  readonly spaceLogs: SpaceLogs
  readonly space: Uint8Array
  readonly own: OwnLogs
  readonly logs: AclLogs
}

export class Succession {
  readonly #parts: SuccessionParts
  readonly #pairs: readonly LogPair[]
  #shown: Credentials | null = null
  /** The old membership log, while others are to be asked for more of it. */
  #asking: Promise<Hypercore> | null = null
  /** Somebody had no more of it. */
  #isAnswered = false
  #isClosed = false

  constructor(parts: SuccessionParts) {
    this.#parts = parts
    const { acl, data, salt, earlier } = parts.own
    this.#pairs = [...earlier, { salt, acl: acl.core.key, data: data.core.key }]
  }

  /** What this device shows to be let in: its newest logs, and those of before that were not let in either. */
  get credentials(): Credentials {
    const { store, space } = this.#parts
    const isAsking = ({ acl }: LogPair, i: number) =>
      i === this.#pairs.length - 1 || this.#standingOf(acl) === undefined
    const pairs = this.#pairs.filter(isAsking)
    // Signing is slow, and these are asked for often.
    if (this.#shown?.cores.length !== 2 * pairs.length || !this.#isShown(pairs))
      this.#shown = ownCredentials(store, space, pairs)
    return this.#shown
  }

  #isShown(pairs: readonly LogPair[]): boolean {
    const shown = new Set(this.#shown?.cores.map(({ core }) => core))
    return pairs.every(({ acl }) => shown.has(keyOf(acl)))
  }

  /** Whether the newest logs do not count though they go on from some that do: what is written there nobody else reads. */
  get isVoid(): boolean {
    const newest = this.#pairs.at(-1)
    if (newest === undefined || this.#parts.own.acl.core.length === 0) return false
    return this.#standingOf(newest.acl) === undefined ? this.#isLetIn : !this.#counts(newest)
  }

  /** Names what this device goes on from, where that is still to be done and can be. @throws STORE_ codes */
  async begin(): Promise<void> {
    const { own, store, space, logs } = this.#parts
    if (own.earlier.length === 0 || own.acl.core.length > 0) return
    const last = this.#last()
    if (last === null || (await this.#isMissing(last))) return
    const data = await this.#dataHead(last.data)
    // Another log's news may come while what was given back of this one is read: to name less of it would be a fork.
    const acl = (await logs.readHead(keyOf(last.acl))) ?? { ...NOTHING, core: keyOf(last.acl) }
    const { member, cores: claims } = ownCredentials(store, space, [...this.#pairs.slice(-1), last])
    // Which of the old ones is a membership log, those learn from it who have not heard of that one.
    const cores = claims.filter(({ core }) => core !== data.core)
    const old = [acl, data]
    await logs.begin((heads) =>
      signSuccessor(store.keyPair, keyOf(space), keyOf(own.acl.core.key), {
        kind: 'successor',
        heads,
        member,
        old,
        cores,
        signature: UNSIGNED
      })
    )
  }

  /**
   * Begins the newest logs by the word of the identity's recovery key instead. To be called while nothing stands in them.
   * @param revoked devices of the same identity, which end
   */
  async recover(identity: KeyPair, revoked: readonly Key[], cuts: readonly Head[]): Promise<void> {
    const { own, store, space, logs } = this.#parts
    const { member, cores } = ownCredentials(store, space, this.#pairs.slice(-1))
    const movesVote = logs.membership.owners.includes(member.identity)
    await logs.begin((heads) =>
      signRecovery(identity, keyOf(space), keyOf(own.acl.core.key), {
        kind: 'recovery',
        heads,
        member,
        cores,
        revoked,
        cuts,
        movesVote,
        signature: UNSIGNED
      })
    )
  }

  /** What this device wrote to last: new logs begin with a record, so those without one, and let in by nobody, were never used. */
  #last(): LogPair | null {
    const { own, logs } = this.#parts
    const used = own.earlier.findLast(
      ({ acl }) => logs.isBegun(keyOf(acl)) || this.#standingOf(acl) !== undefined
    )
    if (used === undefined) return own.earlier[0] ?? null
    if (this.#standingOf(used.acl) === undefined) return this.#isLetIn ? null : used
    return this.#counts(used) ? used : null
  }

  /** Whether all of it that is here does. */
  #counts({ acl }: LogPair): boolean {
    const held = this.#parts.logs.headOf(keyOf(acl))?.length ?? 0
    return (this.#standingOf(acl)?.length ?? 0) >= held
  }

  get #isLetIn(): boolean {
    return this.#pairs.some(({ acl }) => this.#standingOf(acl) !== undefined)
  }

  /** Whether a log is to be waited for. */
  async #isMissing({ acl, salt }: LogPair): Promise<boolean> {
    const { spaceLogs, space, logs } = this.#parts
    // Of the root nothing is as good as all of it.
    const isRoot = b4a.equals(acl, space)
    if (isRoot && !logs.isBegun(keyOf(acl))) return true
    if (this.#isAnswered) return false
    const log = await spaceLogs.own('acl', salt)
    await log.close()
    if (log.lost !== null) this.#ask(acl)
    return log.lost !== null
  }

  #ask(acl: Uint8Array): void {
    if (this.#isClosed) return
    const isFirst = this.#asking === null
    this.#asking ??= this.#parts.spaceLogs.stored(acl)
    this.#asking
      .then((core) => {
        if (isFirst) core.on('peer-add', () => this.#ask(acl))
        return core.peers.length > 0 ? this.#askPeers(core) : undefined
      })
      .catch(() => {}) // the space closes, or they went away: asked again with the next
  }

  /** What is longer there arrives, and is told of as news of the log. */
  async #askPeers(core: Hypercore): Promise<void> {
    if ((await core.update({ wait: true })) || this.#isAnswered) return
    if (core.contiguousLength < core.length) return
    this.#isAnswered = true
    await this.begin()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const core = await this.#asking?.catch(() => null)
    await core?.close()
  }

  #standingOf(acl: Uint8Array): CoreStanding | undefined {
    return this.#parts.logs.membership.cores.get(keyOf(acl))
  }

  /** As it is here now: what comes back of it later counts on. */
  async #dataHead(key: Uint8Array): Promise<Head> {
    const core = await this.#parts.spaceLogs.stored(key)
    try {
      const { length } = core
      if (length === 0) return { ...NOTHING, core: keyOf(key) }
      return { core: keyOf(key), length, treeHash: keyOf(await treeHashOf(core)) }
    } finally {
      await core.close()
    }
  }
}

const UNSIGNED = new Uint8Array(0)

/** The head of what has no blocks, but for its core. */
const NOTHING = { length: 0, treeHash: '0'.repeat(64) }
