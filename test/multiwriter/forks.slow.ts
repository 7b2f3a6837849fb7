/** Copies of a store, met in every order. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EDGES, nameOf, ordersOf, play } from '../support/fork-world.ts'

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

test.after(() => assert.equal(failures, []))

for (const order of ordersOf(EDGES)) {
  for (const isEqual of [true, false]) {
    for (const restarts of [true, false]) {
      const meeting = { order, isEqual, restarts }
      test(`forks: all agree in the end: ${nameOf(meeting)}`, () => play(meeting))
    }
  }
}

test.run()
