/** Processes that are killed while their logs are made smaller lose nothing that they had acknowledged. upkeep-kill.slow.ts has more rounds. */
import { test } from 'uvu'
import { killWhileSmaller } from '../support/upkeep-kill.ts'

test('kill -9 while logs are compacted, pruned and purged: all that was acknowledged is there, for everybody', () =>
  killWhileSmaller({ rounds: 4, maxAcks: 300, seed: 1 }))

test.run()
