import { test } from 'uvu'
import { simulateSeals } from './document-seals.ts'

simulateSeals('test/sim/document-seals.test.ts', 20, 8)

test.run()
