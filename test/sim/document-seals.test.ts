import { test } from 'uvu'
import { simulateSeals } from './document-seals.ts'

simulateSeals('test/sim/document-seals.test.ts', 10, 4)

test.run()
