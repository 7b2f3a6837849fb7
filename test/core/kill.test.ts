/** A process killed at any moment loses nothing it had acknowledged. kill.slow.ts has more rounds. */
import { inFolder } from '../support/folder.ts'
import { killLoop } from '../support/kill.ts'
import { test } from 'uvu'

inFolder('kill -9: single puts are all there, on one unforked log', (path) =>
  killLoop(path, { rounds: 4, durability: 'os', batch: 1, maxAppends: 400, seed: 1 })
)

inFolder('kill -9: batches are there whole, on one unforked log', (path) =>
  killLoop(path, { rounds: 4, durability: 'os', batch: 500, maxAppends: 60, seed: 2 })
)

inFolder('kill -9: the same when the writer waits for the disk', (path) =>
  killLoop(path, { rounds: 4, durability: 'disk', batch: 100, maxAppends: 60, seed: 3 })
)

inFolder('kill -9: the same when hardly anything was written', (path) =>
  killLoop(path, { rounds: 3, durability: 'os', batch: 1, maxAppends: 3, seed: 4 })
)

test.run()
