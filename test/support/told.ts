/** What a story ends in, the same in whatever order and however often its logs arrive. */
import * as assert from 'uvu/assert'
import {
  MembershipResolver,
  resolveMembership,
  type Membership,
  type Role
} from '../../acl/index.ts'
import { OPTIONS, summary, type Author } from './acl.ts'
import { seededRandom } from './random.ts'
import { play } from './story.ts'

const ORDERS = 12

export function told(...authors: readonly Author[]): Membership {
  const logs = authors.map(({ log }) => log)
  const membership = resolveMembership(logs, OPTIONS)
  const random = seededRandom(authors.length)
  for (let order = 0; order < ORDERS; order++) {
    const resolver = new MembershipResolver(OPTIONS)
    const left = [...logs]
    while (left.length > 0) {
      const [log] = left.splice(random.below(left.length), 1)
      if (log === undefined) continue
      const half = log.records.slice(0, random.below(log.records.length + 1))
      resolver.add([{ ...log, records: half }])
      resolver.add([log])
    }
    assert.equal(summary(resolver.add([])), summary(membership), 'in another order')
  }
  play(authors, membership)
  return membership
}

export const roleIn = (membership: Membership, identity: string): Role | null =>
  membership.members.get(identity)?.role ?? null

/** How far a core counts; Infinity while nothing ends it. */
export const lengthIn = (membership: Membership, core: string): number =>
  membership.cores.get(core)?.length ?? 0

/** The rule by which a record of a log does not count, or null. */
export const ruleFor = (membership: Membership, { core }: Author, index: number): number | null =>
  membership.refused.find((each) => each.core === core && each.index === index)?.rule ?? null
