/** What must hold of any history, each law a function that throws. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MembershipResolver, resolveMembership } from '../../acl/index.ts'
import type { AclLog, CoreStanding, Key, Membership } from '../../acl/index.ts'
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

export function agreesWithTheOracle(seed: number, make = randomHistory): void {
  const { logs, options } = make(seed)
  const membership = resolveMembership(logs, options)
  assert.equal(told(membership), naiveMembership(logs, options))
  assert.ok(membership.owners.length > 0, 'a space without an owner')
  const part = prefixes(logs, seededRandom(seed))
  const early = resolveMembership(part, options)
  assert.equal(told(early), naiveMembership(part, options))
  assert.ok(early.owners.length > 0, 'a space without an owner, for a while')
}

export function isAFunctionOfTheSet(seed: number, make = randomHistory): void {
  const { logs, options } = make(seed)
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

/** One more record at a time, from whichever log; compared after every step. */
export function growsAsFromScratch(seed: number, make = randomHistory): void {
  const { logs, options } = make(seed)
  const random = seededRandom(seed)
  const resolver = new MembershipResolver(options)
  const lengths = logs.map(() => 0)
  const isShort = (at: number) => (lengths[at] ?? 0) < (logs[at]?.records.length ?? 0)
  for (let left = range(0, logs.length); left.length > 0; left = left.filter(isShort)) {
    const at = left[random.below(left.length)] ?? 0
    lengths[at] = (lengths[at] ?? 0) + 1 + (random.below(8) === 0 ? random.below(4) : 0)
    const held = logs.map((log, i) => ({ ...log, records: log.records.slice(0, lengths[i]) }))
    const grown = resolver.add(held.slice(at, at + 1))
    const told = acknowledged(grown)
    assert.equal(summary(grown), summary(resolveMembership(held, options)))
    assert.equal(told, acknowledged(resolveMembership(held, options)))
  }
}

/** All that anybody says to hold, and what that makes final. */
function acknowledged(membership: Membership) {
  const cores = [...membership.cores.keys()].sort()
  const devices = [...membership.members.values()].flatMap((member) => member.devices)
  return cores.map((core) => [
    core,
    membership.finalLength(core),
    devices.map(({ device }) => membership.acknowledged(device, core))
  ])
}

/**
 * Who ranks below cannot move what stands above, whatever it writes later; nor can who has no office move anybody else. It may give
 * others a core that counted with nothing, as it may one that nobody granted; what stands in it is theirs to say. And what a cut
 * left room for, and was not held, is not late; nor is what somebody says of how far it meant to leave.
 */
export function isMovedOnlyFromAbove(seed: number, make = randomHistory): void {
  const history = make(seed)
  const before = resolveMembership(history.logs, history.options)
  const candidates = [...before.cores.values()].filter(
    ({ use, identity }) => use === 'acl' && !before.owners.includes(identity)
  )
  const author = candidates[seed % Math.max(1, candidates.length)]
  if (author === undefined || before.forks.length > 0) return
  if (isAwaited(author, history.logs) || hasLeft(author.identity, before, history.logs)) return
  const rank = before.members.get(author.identity)?.rank ?? Infinity
  const after = resolveMembership(history.later(author.core, true), history.options)
  if (after.forks.length > 0) return
  assert.equal(after.owners, before.owners)
  for (const { core, length, endedBy, identity } of before.cores.values()) {
    if (identity !== author.identity || (endedBy !== 'rank' && endedBy !== 'ballot')) continue
    const now = after.cores.get(core)?.length ?? 0
    assert.ok(isGiven(core, before) || now <= length, `${core} was raised by its own author`)
  }
  for (const { identity, rank: above, role } of before.members.values()) {
    if (identity === author.identity || (above ?? Infinity) > rank) continue
    if (above === null && rank !== Infinity) continue
    const isTheirs = [...after.cores.values()].some(
      ({ core, use, length, identity: of }) =>
        of === identity && use === 'acl' && length > 0 && isGiven(core, before)
    )
    if (isTheirs) continue
    assert.is(after.members.get(identity)?.rank, above, identity)
    assert.is(after.members.get(identity)?.role, role, identity)
    for (const { core, length, identity: of } of before.cores.values()) {
      if (of !== identity || isGiven(core, before)) continue
      assert.is(after.cores.get(core)?.length, length, core)
    }
  }
}

/** Ended at a length that is not held yet: it says more than is known of it. */
function isAwaited({ core, length }: CoreStanding, logs: readonly AclLog[]): boolean {
  const held = logs.find((log) => log.core === core)?.records.length ?? 0
  return length !== Infinity && length > held
}

/** Its office speaks on up to where it left, and has no rank any more. */
function hasLeft(identity: Key, { cores }: Membership, logs: readonly AclLog[]): boolean {
  return logs.some(
    ({ core, records }) =>
      cores.get(core)?.identity === identity &&
      records.some(({ record }) => typeof record !== 'string' && record.kind === 'leave')
  )
}

/** Whether a core may come to count: nobody had granted it, what ended it did not list it, or it continues such a one. */
function isGiven(core: Key, before: Membership): boolean {
  const standing = before.cores.get(core)
  if (standing === undefined || standing.endedBy === 'own') return true
  const { length, treeHash, endedBy, continues } = standing
  if (length > 0 || treeHash !== null) return false
  if (endedBy === 'ballot') return !before.ballots.some(({ cuts }) => cuts.has(core))
  return endedBy === 'rank' || (endedBy === 'successor' && isGiven(continues?.core ?? '', before))
}

/** Many seeds in one test: one takes a few milliseconds. `SIM_SEED` replaces them. */
export function laws(
  title: string,
  law: (seed: number) => void,
  from: number,
  count: number,
  file = 'membership'
): void {
  const only = process.env['SIM_SEED']
  test(title, () => {
    for (const seed of only === undefined ? range(from, count) : [Number(only)]) {
      try {
        law(seed)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        const again = `SIM_SEED=${seed} node --import ./scripts/typescript.mjs test/sim/${file}.test.ts`
        throw new Error(`seed ${seed}: ${reason}\n\nRun it again: ${again}\n`, { cause: error })
      }
    }
  })
}
