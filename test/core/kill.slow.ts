/** The loops of kill.test.ts, 100 rounds. */
import { test } from 'uvu'
import { inFolder } from '../support/folder.ts'
import { killLoop } from '../support/kill.ts'

inFolder('kill -9, 40 times: single puts', (path) =>
  killLoop(path, { rounds: 40, durability: 'os', batch: 1, maxAppends: 2000, seed: 11 })
)

inFolder('kill -9, 30 times: batches', (path) =>
  killLoop(path, { rounds: 30, durability: 'os', batch: 500, maxAppends: 100, seed: 12 })
)

inFolder('kill -9, 30 times: waiting for the disk', (path) =>
  killLoop(path, { rounds: 30, durability: 'disk', batch: 100, maxAppends: 200, seed: 13 })
)

test.run()
