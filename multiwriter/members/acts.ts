/**
 * What this device does to other members. With each act it acknowledges what it holds: by that no act of others can take back
 * what was known here (docs/MEMBERSHIP.md, rule 6). Before it, so that whoever is let in has seen that in their past; after a removal,
 * which names what it ends as far as it is held, and should be there soon.
 */
import {
  mayAct,
  type Act,
  type BallotChange,
  type CoreStanding,
  type DeviceClaim,
  type Head,
  type Key,
  type PendingBallot,
  type Role
} from '../../acl/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Prefixes } from '../prefixes.ts'
import type { Timers } from '../timers.ts'
import type { Union } from '../union.ts'
import type { AclLogs, Draft } from './acl-logs.ts'
import type { ContentKeys } from './content-keys.ts'
import { bytesOf, keyOf, NO_HASH, type Credentials } from './credentials.ts'
import { heldUpTo, prefixesLeftOut, signedUpTo } from './excluded.ts'
import { fetchLost } from './lost-logs.ts'

/** An identity, or one device of it. */
export interface Target {
  readonly identity: Key
  /** Null for all. */
  readonly device: Key | null
}

export interface ActsParts {
  readonly logs: AclLogs
  readonly union: Union
  readonly own: Pick<DeviceClaim, 'identity' | 'device'>
  /** Of the space's content; null where that is not encrypted. */
  readonly keys: Pick<ContentKeys, 'renew' | 'prepare' | 'heal'> | null
}

export class Acts {
  readonly #logs: AclLogs
  readonly #union: Union
  readonly #identity: Key
  readonly #device: Key
  readonly #keys: ActsParts['keys']

  constructor({ logs, union, own, keys }: ActsParts) {
    this.#logs = logs
    this.#union = union
    this.#identity = own.identity
    this.#device = own.device
    this.#keys = keys
  }

  /**
   * Ends the rights of an identity or a device; what is held of its logs here counts on. Of an owner it is a vote. What is written
   * from now on it cannot read: it has no key for it.
   * @throws NOT_ALLOWED
   */
  async revoke({ identity, device }: Target): Promise<void> {
    const { owners } = this.#logs.membership
    // Of its own devices an identity decides alone.
    const isOwn = identity === this.#identity && device !== null
    const isOwner = owners.includes(identity) && !isOwn
    if (isOwner && owners.length === 1) throw notAllowed('the only owner stays (rule 11)')
    this.#checkMay(
      isOwner ? { kind: 'vote' } : { kind: 'revoke', identity, device, by: this.#device }
    )
    if (isOwner) this.#checkFree('remove', identity)
    const seen = await this.#acknowledgement()
    const cuts = await this.#headsOf(this.#coresOf({ identity, device }))
    if (isOwner) await this.#vote({ kind: 'remove', identity, cuts })
    else await this.#logs.write({ kind: 'revoke', identity, device, cuts })
    // Not before it: what is announced second comes a round trip later. What it ends it names itself.
    if (seen !== null) await this.#logs.write(seen)
    // A vote may not have been the last that it takes.
    if (isOwner) await this.#keys?.prepare()
    else await this.#keys?.renew()
  }

  /** Says of a device of this person that nobody has let in yet that nobody is to. @throws NOT_ALLOWED */
  async bar(device: Key): Promise<void> {
    const identity = this.#identity
    this.#checkMay({ kind: 'revoke', identity, device, by: this.#device })
    await this.#logs.write({ kind: 'revoke', identity, device, cuts: [] })
  }

  /** Lets all that is held of its data logs here count: raises seals, and grants what stands outside of prefixes. @throws NOT_ALLOWED */
  async restore(target: Target): Promise<void> {
    this.#checkMay({ kind: 'revoke', identity: target.identity })
    // A statement of a log that counts whole would seal it.
    const data = this.#coresOf(target).filter(({ use }) => use === 'data')
    const sealed = data.filter(({ length }) => length !== Infinity)
    const heads = await this.#headsOf(sealed, (union, core) => heldUpTo(union, core, Infinity))
    const cuts = heads.filter(({ length }, i) => length > (sealed[i]?.length ?? 0))
    if (cuts.length > 0) await this.#logs.write({ kind: 'seal', cuts })
    for (const { core, role, length } of data)
      if (role === 'writer' && length === Infinity) await this.#widen(target, core)
  }

  async #widen(target: Target, core: Key): Promise<void> {
    const prefixes = await prefixesLeftOut(this.#union, bytesOf(core))
    if (prefixes.length === 0) return
    for (const { member, cores } of this.#openCredentials(target)) {
      const claims = cores.filter((claim) => claim.core === core)
      if (claims.length > 0)
        await this.#logs.write({ kind: 'grant', role: 'writer', prefixes, member, cores: claims })
    }
  }

  /** Where the logs of devices of one's own end that are lost. @throws BLOCK_UNAVAILABLE */
  async headsOfLost(devices: readonly Key[], timers: Timers): Promise<readonly Head[]> {
    const cores = () =>
      devices.flatMap((device) => this.#coresOf({ identity: this.#identity, device }))
    await fetchLost({ logs: this.#logs, union: this.#union, timers }, cores)
    return this.#headsOf(cores(), signedUpTo)
  }

  /** Ends this device's own rights; what it has written goes on counting. To be called while nothing is written. @throws NOT_ALLOWED */
  async leave(): Promise<void> {
    this.#checkMay({ kind: 'leave' })
    await this.acknowledge()
    const own = this.#logs.membership.cores.get(keyOf(this.#logs.ownCore))
    if (own === undefined) throw notAllowed('nobody has let it in')
    const cuts = await this.#headsOf(this.#coresOf(own))
    await this.#logs.write({ kind: 'leave', cuts })
  }

  /** Grants the open logs of an identity or a device a greater role; to make an owner, votes for it. @throws NOT_ALLOWED */
  async setRole(target: Target, role: Role, prefixes: Prefixes): Promise<void> {
    const { identity } = target
    const isVote = role === 'owner'
    this.#checkMay(isVote ? { kind: 'vote' } : { kind: 'grant', identity, role })
    if (isVote) this.#checkFree('add', identity)
    const [first, ...others] = this.#openCredentials(target)
    if (first === undefined) throw notAllowed('it has no log that counts')
    await this.acknowledge()
    if (isVote) return this.#vote({ kind: 'add', ...first })
    for (const shown of [first, ...others])
      await this.#logs.write({ kind: 'grant', role, prefixes, ...shown })
    await this.#keys?.heal()
  }

  async #vote(change: BallotChange): Promise<void> {
    const { generation } = this.#logs.membership
    if (generation !== null) await this.#logs.write({ kind: 'vote', generation, change })
  }

  /** A vote for something else would divide the owners, for ever if nobody is left to decide: rule 7. */
  #checkFree(change: BallotChange['kind'], identity: Key): void {
    const { pendingBallots } = this.#logs.membership
    const isSame = (each: PendingBallot) => each.change === change && each.identity === identity
    if (pendingBallots.length === 0 || pendingBallots.some(isSame)) return
    throw notAllowed('another ballot is pending, which is to be joined first')
  }

  #checkMay(act: Act): void {
    const permission = mayAct(this.#logs.membership, this.#identity, act)
    if (permission.ok && !this.#logs.isOwnCounted) throw notAllowed('its newest logs do not count')
    if (!permission.ok) throw notAllowed(`${permission.why} (rule ${permission.rule})`)
  }

  /** One of each device, with its logs that count. */
  #openCredentials(target: Target): readonly Credentials[] {
    const open = new Set(
      this.#coresOf(target).flatMap(({ core, length }) => (length === Infinity ? core : []))
    )
    const byDevice = new Map<Key, Credentials>()
    for (const { member, cores } of this.#logs.credentialsOf(target.identity)) {
      const counting = cores.filter(({ core }) => open.has(core))
      if (counting.length > 0) byDevice.set(member.device, { member, cores: counting })
    }
    return [...byDevice.values()]
  }

  #coresOf({ identity, device }: Target): readonly CoreStanding[] {
    return [...this.#logs.membership.cores.values()].filter(
      (core) => core.identity === identity && (device === null || core.device === device)
    )
  }

  /** Says how far others' logs are held here, if that is news of a member. @returns whether */
  async acknowledge(): Promise<boolean> {
    const seen = await this.#acknowledgement()
    if (seen !== null) await this.#logs.write(seen)
    return seen !== null
  }

  /** Null where it is no news, or this device no member. */
  async #acknowledgement(): Promise<Draft | null> {
    const { membership, ownCore } = this.#logs
    const own = membership.cores.get(keyOf(ownCore))
    if (own === undefined || own.length !== Infinity) return null
    // Of a log with two histories nothing more counts; to acknowledge either would be to vote for it after the fact.
    const others = [...membership.cores.values()].filter(
      ({ device, endedBy }) => device !== own.device && endedBy !== 'fork'
    )
    const heads = await this.#headsOf(others)
    const held = heads.filter(({ length }) => length > 0)
    const isNews = held.some((head) =>
      this.#isNews(head, membership.acknowledged(own.device, head.core))
    )
    return isNews ? { kind: 'ack', lengths: held } : null
  }

  /** Two devices must not answer each other's acknowledgements for ever. */
  #isNews({ core, length }: Head, acknowledged: number): boolean {
    if (length <= acknowledged) return false
    const records = this.#logs.recordsOf(core)
    return (
      records === null ||
      records
        .slice(acknowledged, length)
        .some(({ record }) => typeof record === 'string' || record.kind !== 'ack')
    )
  }

  /** Logs as far as they are held and, unless told otherwise, count. */
  async #headsOf(
    cores: readonly CoreStanding[],
    endOf: typeof heldUpTo = heldUpTo
  ): Promise<readonly Head[]> {
    const heads = cores.map(async ({ core, use, length, treeHash, endedBy }): Promise<Head> => {
      // What is held may be another of its histories.
      if (endedBy === 'fork') return { core, length, treeHash: treeHash ?? NO_HASH }
      if (use === 'acl') return this.#logs.headOf(core) ?? { core, length: 0, treeHash: NO_HASH }
      const end = await endOf(this.#union, bytesOf(core), length)
      return { core, length: end, treeHash: await this.#hashAt(core, end) }
    })
    return Promise.all(heads)
  }

  async #hashAt(core: Key, length: number): Promise<Key> {
    if (length === 0) return NO_HASH
    const log = this.#union.log(bytesOf(core))
    const hash = await log?.treeHash(length, { wait: false }).catch(() => null)
    return hash === null || hash === undefined ? NO_HASH : keyOf(hash)
  }
}

function notAllowed(why: string): ManyhandsError {
  return new ManyhandsError('NOT_ALLOWED', `This device may not: ${why}`)
}
