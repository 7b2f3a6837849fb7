import { test } from 'uvu'
import { simulateSeals } from './document-seals.ts'

simulateSeals('test/sim/document-seals.slow.ts', 400, 100)

test.run()
