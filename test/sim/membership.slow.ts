import { test } from 'uvu'
import { inviting } from './membership.ts'
import {
  agreesWithTheOracle,
  growsAsFromScratch,
  isAFunctionOfTheSet,
  isMovedOnlyFromAbove,
  laws
} from './membership-laws.ts'

// 100,000 histories, in tests of their own so that a failure shows how far it got.
for (let from = 100_000; from < 180_000; from += 10_000) {
  laws(`membership: as the naive resolution does, from ${from}`, agreesWithTheOracle, from, 10_000)
}
laws('membership: a function of the set', isAFunctionOfTheSet, 180_000, 10_000)
laws('membership: one more record, from scratch', growsAsFromScratch, 200_000, 2000)
laws('membership: moved only from above', isMovedOnlyFromAbove, 190_000, 10_000)

const withInvites = 'membership: with invites:'
laws(
  `${withInvites} as the naive resolution does`,
  (seed) => agreesWithTheOracle(seed, inviting),
  210_000,
  5000
)
laws(
  `${withInvites} a function of the set`,
  (seed) => isAFunctionOfTheSet(seed, inviting),
  220_000,
  2000
)
laws(
  `${withInvites} moved only from above`,
  (seed) => isMovedOnlyFromAbove(seed, inviting),
  230_000,
  2000
)

test.run()
