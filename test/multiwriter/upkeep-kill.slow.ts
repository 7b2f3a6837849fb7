/** As upkeep-kill.test.ts, many times. */
import { test } from 'uvu'
import { killWhileSmaller } from '../support/upkeep-kill.ts'

for (const seed of [1, 2, 3]) {
  test(`kill -9 while logs are compacted, pruned and purged, seed ${seed}`, () =>
    killWhileSmaller({ rounds: 25, maxAcks: 400, seed }))
}

test.run()
