/**
 * Random devices that write one document, with snapshots written and rows saved at nearly every change, while they type on, flush,
 * wait or do not, close and open again with and without their cache. In the end the logs alone make the document that the oracle
 * has: one Y.Doc that was given each change as it was made.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { yjs } from '../../crdt/document/yjs.ts'
import type { LiveDocument } from '../../multiwriter/index.ts'
import { until } from '../support/devices.ts'
import { DocumentWorld, madeAnew } from '../support/document-world.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { range, testSeeds } from './seeds.ts'

const DEVICES = 2
const STEPS = 120

/** Often enough to meet whatever runs beside them. */
const UPKEEP = { changesPerSave: 2, minEntries: 2 }

class Session {
  readonly #world: DocumentWorld
  readonly #random: SeededRandom
  readonly #lives: LiveDocument[] = []
  readonly #flushes: Promise<void>[] = []
  readonly oracle = new Y.Doc()

  constructor(world: DocumentWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
  }

  async run(): Promise<void> {
    for (let i = 0; i < DEVICES; i++) await this.#open(i)
    for (let step = 0; step < STEPS; step++) await this.#step(this.#random.below(DEVICES))
    await Promise.all(this.#flushes)
    for (const live of this.#lives) await live.flush()
  }

  async #step(i: number): Promise<void> {
    const live = this.#lives[i]
    assert.ok(live)
    const what = this.#random.below(12)
    if (what === 0) return this.#reopen(i)
    if (what === 1) return new Promise((resolve) => setTimeout(resolve, this.#random.below(8)))
    if (what === 2) return this.#typeOn(live)
    this.#type(live)
    if (what < 5) await live.flush()
    else if (what < 8) this.#flushes.push(live.flush())
    else if (what < 10) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Without a pause. */
  async #typeOn(live: LiveDocument): Promise<void> {
    for (let n = this.#random.below(30); n > 0; n--) {
      this.#type(live)
      await live.flush()
    }
  }

  async #open(i: number): Promise<void> {
    const live = await this.#world.at(i).documents.open('d')
    this.#lives[i] = live
    live.doc.on('update', (update: Uint8Array) => Y.applyUpdate(this.oracle, update))
  }

  /** Closing saves what was typed a moment ago. */
  async #reopen(i: number): Promise<void> {
    await this.#lives[i]?.close()
    await this.#world.at(i).reopen(this.#random.below(2) === 0)
    await this.#open(i)
  }

  #type({ doc }: LiveDocument): void {
    const text = doc.getText('t')
    const at = this.#random.below(text.length + 1)
    if (this.#random.below(4) === 0) text.delete(at, Math.min(2, text.length - at))
    else text.insert(at, String.fromCharCode(97 + this.#random.below(26)))
  }

  async isEverywhere(): Promise<boolean> {
    for (let i = 0; i < DEVICES; i++) {
      const anew = await madeAnew(this.#world.at(i), yjs)
      const live = this.#lives[i]
      if (!yjs.isSame(anew, this.oracle) || live === undefined) return false
      if (!yjs.isSame(live.doc, this.oracle)) return false
    }
    return true
  }
}

testSeeds(
  'documents: snapshots beside typing lose nothing',
  'test/sim/document-upkeep.test.ts',
  range(1, 12),
  (seed) =>
    DocumentWorld.with(
      DEVICES,
      async (world) => {
        const session = new Session(world, seededRandom(seed))
        await session.run()
        await until(() => session.isEverywhere())
      },
      { upkeep: UPKEEP }
    )
)

test.run()
