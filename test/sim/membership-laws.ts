/** What must hold of any history, each law a function that throws. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MembershipResolver, resolveMembership, type Membership } from '../../acl/index.ts'
import { naiveMembership } from '../oracle/membership.ts'
import { summary } from '../support/acl.ts'
import { seededRandom } from '../support/random.ts'
import { prefixes, randomHistory, shuffled } from './membership.ts'
import { range } from './seeds.ts'

/** What the naive resolution tells, of a membership. */
function told(membership: Membership) {
  const { owners, members, cores, ballots, forks } = summary(membership)
  return { owners, members, cores, ballots, forks: forks.sort() }
}

export function agreesWithTheOracle(seed: number): void {
  const { logs, options } = randomHistory(seed)
  const membership = resolveMembership(logs, options)
  assert.equal(told(membership), naiveMembership(logs, options))
  assert.ok(membership.owners.length > 0, 'a space without an owner')
  const part = prefixes(logs, seededRandom(seed))
  const early = resolveMembership(part, options)
  assert.equal(told(early), naiveMembership(part, options))
  assert.ok(early.owners.length > 0, 'a space without an owner, for a while')
}

export function isAFunctionOfTheSet(seed: number): void {
  const { logs, options } = randomHistory(seed)
  const random = seededRandom(seed)
  const expected = summary(resolveMembership(logs, options))
  const arrived = shuffled(logs, random)
  assert.equal(summary(resolveMembership(arrived, options)), expected, 'in another order')
  const resolver = new MembershipResolver(options)
  for (const log of arrived) {
    resolver.add([log])
    if (random.below(3) === 0) assert.equal(resolver.add([log]), resolver.add([]), 'again')
  }
  assert.equal(summary(resolver.add([])), expected, 'one by one')
}

/** Who ranks below cannot move what stands above, whatever it writes later; nor can who has no office move anybody else. */
export function isMovedOnlyFromAbove(seed: number): void {
  const history = randomHistory(seed)
  const before = resolveMembership(history.logs, history.options)
  const candidates = [...before.cores.values()].filter(
    ({ use, identity }) => use === 'acl' && !before.owners.includes(identity)
  )
  const author = candidates[seed % Math.max(1, candidates.length)]
  if (author === undefined || before.forks.length > 0) return
  const rank = before.members.get(author.identity)?.rank ?? Infinity
  const after = resolveMembership(history.later(author.core, true), history.options)
  if (after.forks.length > 0) return
  assert.equal(after.owners, before.owners)
  for (const { core, length, endedBy, identity } of before.cores.values()) {
    if (identity !== author.identity || (endedBy !== 'rank' && endedBy !== 'ballot')) continue
    assert.ok(
      (after.cores.get(core)?.length ?? 0) <= length,
      `${core} was raised by its own author`
    )
  }
  for (const member of before.members.values()) {
    if (member.identity === author.identity || (member.rank ?? Infinity) > rank) continue
    if (member.rank === null && rank !== Infinity) continue
    assert.is(after.members.get(member.identity)?.rank, member.rank, member.identity)
    assert.is(after.members.get(member.identity)?.role, member.role, member.identity)
    for (const core of before.cores.values()) {
      if (core.identity !== member.identity) continue
      assert.is(after.cores.get(core.core)?.length, core.length, core.core)
    }
  }
}

/** Many seeds in one test: one takes a few milliseconds. `SIM_SEED` replaces them. */
export function laws(
  title: string,
  law: (seed: number) => void,
  from: number,
  count: number
): void {
  const only = process.env['SIM_SEED']
  test(title, () => {
    for (const seed of only === undefined ? range(from, count) : [Number(only)]) {
      try {
        law(seed)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        const again = `SIM_SEED=${seed} node --import tsx test/sim/membership.test.ts`
        throw new Error(`seed ${seed}: ${reason}\n\nRun it again: ${again}\n`, { cause: error })
      }
    }
  })
}
