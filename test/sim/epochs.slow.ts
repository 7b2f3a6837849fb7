import { test } from 'uvu'
import { dependsOnTheSet, keepsOut, leavesNobodyBehind } from './epochs.ts'
import { laws } from './membership-laws.ts'

laws('epochs: 5,000 histories, nobody out reads on', keepsOut, 100_000, 5000, 'epochs')
laws(
  'epochs: 10,000 histories, nobody is left behind',
  leavesNobodyBehind,
  200_000,
  10_000,
  'epochs'
)
laws('epochs: 1,000 histories in any order', dependsOnTheSet, 300_000, 1000, 'epochs')

test.run()
