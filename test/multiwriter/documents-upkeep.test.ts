/** What is done for a document beside typing, and at each moment a killed process: it must not cost anybody a letter. */
import { setImmediate } from 'node:timers/promises'
import { test } from 'uvu'
import z32 from 'z32'
import { Minutes, type loadEngine } from '../../crdt/index.ts'
import * as assert from 'uvu/assert'
import { yjs } from '../../crdt/document/yjs.ts'
import { AheadCodec } from '../../multiwriter/documents/ahead.ts'
import { DocumentCache } from '../../multiwriter/documents/cache.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { OwnUpdates } from '../../multiwriter/documents/own-updates.ts'
import { UnconfirmedList } from '../../multiwriter/documents/unconfirmed.ts'
import { MemoryIndex } from '../support/memory-index.ts'
import type { TypingTimers } from '../../multiwriter/documents/parts.ts'
import { Words } from '../support/ahead.ts'
import { until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { DocumentWorld, madeAnew, WORLD_ADDRESS } from '../support/document-world.ts'

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

test('documents: what is typed while they are saved, at the end, is written', () => {
  const typing: typeof yjs = {
    ...yjs,
    state(doc) {
      queueMicrotask(() => doc.getText('t').insert(0, 'late'))
      return yjs.state(doc)
    }
  }
  const load = () => Promise.resolve(typing)
  return DocumentWorld.with(
    1,
    async (world) => {
      const one = world.at(0)
      type(await one.documents.open('d'), ' and early')
      await one.documents.close()
      assert.is(textOf({ doc: await madeAnew(one, yjs) }), 'late and early')
    },
    { loadEngine: load as typeof loadEngine, timers: STOPPED }
  )
})

test('documents: nothing is quoted beside what is done alone', () =>
  DocumentWorld.with(1, async (world) => {
    const { peer } = world.at(0)
    const { union, own, queue, refusals } = peer.parts
    const done: string[] = []
    const updates = new OwnUpdates(
      'd',
      {
        union,
        own,
        queue,
        refusals,
        timers: STOPPED,
        cache: new DocumentCache(() => Promise.resolve(new MemoryIndex())),
        upkeep: OFTEN,
        codec: new AheadCodec(WORLD_ADDRESS),
        ahead: { isHeard: () => false, send: () => false, passOn() {} },
        tellOf: () => Promise.resolve()
      },
      yjs,
      new UpdateKeys('d'),
      {
        stateOf: (update) => ({ sessions: [], isImport: true, minutes: new Minutes(), update }),
        ground: () => [],
        onwritten: () => void done.push('quoted'),
        onstatus() {},
        onerror() {}
      }
    )
    const words = new Words({ address: z32.encode(WORLD_ADDRESS) }, own)
    const ahead = new AheadCodec(WORLD_ADDRESS).read(words.type('x'))
    assert.ok(typeof ahead === 'object')
    const heard = new UnconfirmedList()
    heard.add(ahead, {}, [])
    const quoted = updates.quote(heard.all())
    await updates.alone(async (next) => {
      done.push('alone')
      return Promise.resolve(next)
    })
    await quoted
    assert.equal(done, ['quoted', 'alone'])
    updates.close()
  }))

test.run()
