/**
 * What this device does to other members. Before each act it acknowledges what it holds: by that no act of others can take back
 * what was known here, and it is what the act itself is held to (docs/MEMBERSHIP.md, rule 6).
 */
import { mayAct, type CoreStanding, type Head, type Key } from '../../acl/index.ts'
import { ManyhandsError } from '../../errors.ts'
import type { Union } from '../union.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf, keyOf } from './credentials.ts'
import { heldUpTo } from './excluded.ts'

/** An identity, or one device of it. */
export interface Target {
  readonly identity: Key
  /** Null for all. */
  readonly device: Key | null
}

/** Stands for the hash of what has no blocks, or whose hash is not here: nobody compares it yet. */
const NO_HASH: Key = '0'.repeat(64)

export class Acts {
  readonly #logs: AclLogs
  readonly #union: Union
  readonly #identity: Key

  constructor(logs: AclLogs, union: Union, identity: Key) {
    this.#logs = logs
    this.#union = union
    this.#identity = identity
  }

  /** Ends the rights of an identity or a device; what is held of its logs here counts on. @throws NOT_ALLOWED */
  async revoke({ identity, device }: Target): Promise<void> {
    this.#checkMay(identity)
    await this.#acknowledge()
    const cuts = await this.#headsOf(this.#coresOf({ identity, device }))
    await this.#logs.write({ kind: 'revoke', identity, device, cuts })
  }

  /** Lets all that is held of its data logs here count. @throws NOT_ALLOWED */
  async restore(target: Target): Promise<void> {
    this.#checkMay(target.identity)
    const data = this.#coresOf(target).filter(({ use }) => use === 'data')
    const cuts = await this.#headsOf(data, false)
    await this.#logs.write({ kind: 'seal', cuts })
  }

  #checkMay(identity: Key): void {
    const permission = mayAct(this.#logs.membership, this.#identity, { kind: 'revoke', identity })
    if (permission.ok) return
    const { rule, why } = permission
    throw new ManyhandsError('NOT_ALLOWED', `This device may not: ${why} (rule ${rule})`)
  }

  #coresOf({ identity, device }: Target): readonly CoreStanding[] {
    return [...this.#logs.membership.cores.values()].filter(
      (core) => core.identity === identity && (device === null || core.device === device)
    )
  }

  async #acknowledge(): Promise<void> {
    const own = keyOf(this.#logs.ownCore)
    const others = [...this.#logs.membership.cores.values()].filter(({ core }) => core !== own)
    const lengths = await this.#headsOf(others)
    const held = lengths.filter(({ length }) => length > 0)
    if (held.length > 0) await this.#logs.write({ kind: 'ack', lengths: held })
  }

  /** Logs as far as they are held and, unless told otherwise, count. */
  async #headsOf(cores: readonly CoreStanding[], isSealed = true): Promise<readonly Head[]> {
    const heads = cores.map(async ({ core, use, length }): Promise<Head> => {
      if (use === 'acl') return this.#logs.headOf(core) ?? { core, length: 0, treeHash: NO_HASH }
      const end = await heldUpTo(this.#union, bytesOf(core), isSealed ? length : Infinity)
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
