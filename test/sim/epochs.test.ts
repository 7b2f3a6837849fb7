import { test } from 'uvu'
import { dependsOnTheSet, keepsOut, leavesNobodyBehind } from './epochs.ts'
import { laws } from './membership-laws.ts'

laws(
  'epochs: nobody whom its writer knew to be out can read what was written',
  keepsOut,
  1,
  200,
  'epochs'
)
/** A grant that the writer had not heard of; a removal that was made void from above, with a new grant and without; a grant by who knew of the removal only through others. */
for (const seed of [600_255, 602_530, 609_380, 612_344])
  laws(`epochs: who reads on is in all the same, history ${seed}`, keepsOut, seed, 1, 'epochs')
laws(
  'epochs: no member ends without what other members can read',
  leavesNobodyBehind,
  5001,
  150,
  'epochs'
)
laws(
  'epochs: order does not matter, and the naive resolution agrees',
  dependsOnTheSet,
  9001,
  60,
  'epochs'
)

test.run()
