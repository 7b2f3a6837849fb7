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
