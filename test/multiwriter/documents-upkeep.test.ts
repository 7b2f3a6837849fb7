/** What is done for a document beside typing, and at each moment a killed process: it must not cost anybody a letter. */
import { setImmediate } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { yjs } from '../../crdt/document/yjs.ts'
import type { TypingTimers } from '../../multiwriter/documents/parts.ts'
import { until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { DocumentWorld, madeAnew } from '../support/document-world.ts'

/** What is typed after a rest waits for ever, or for a flush. */
const STOPPED: TypingTimers = { after: () => () => {} }

const OFTEN = { changesPerSave: 1, minEntries: 1000 }

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await setImmediate()
}

test('documents: what is typed while a document is saved, and never written, is not shown by the next process', () =>
  DocumentWorld.with(
    1,
    async (world) => {
      const one = world.at(0)
      const live = await one.documents.open('d')
      type(live, 'stored')
      await Promise.resolve() // it is on its way
      await turns(1)
      type(live, 'ghost')
      await until(() => live.status.unsaved === 1)
      await turns(50) // in which it is saved
      await one.kill()
      const again = await one.documents.open('d')
      assert.is(textOf(again), 'stored', 'nobody will ever have the rest')
      type(again, '!')
      await again.flush()
      assert.is(textOf({ doc: await madeAnew(one, yjs) }), textOf(again))
    },
    { upkeep: OFTEN, timers: STOPPED }
  ))

test.run()
