/**
 * Random devices that write one document, with snapshots written and rows saved at nearly every change, while they type on, flush,
 * wait or do not, close and open again with and without their cache, and are killed. In the end the logs alone make the document
 * that the oracle has: one Y.Doc that was given each change as it was made. Of what a killed device had not yet stored, it keeps
 * what came into the logs all the same.
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
  /** All that must be there, whatever happens. */
  readonly #stored = new Y.Doc()
  #oracle = new Y.Doc()

  constructor(world: DocumentWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
  }

  async run(): Promise<void> {
    for (let i = 0; i < DEVICES; i++) await this.#open(i)
    for (let step = 0; step < STEPS; step++) await this.#step(this.#random.below(DEVICES))
    await Promise.all(this.#flushes)
    for (const live of this.#lives) await this.#flush(live)
  }

  async #step(i: number): Promise<void> {
    const live = this.#lives[i]
    assert.ok(live)
    const what = this.#random.below(24)
    if (what === 0) return this.#reopen(i)
    if (what === 12) return this.#kill(i)
    if (what % 12 === 1) return new Promise((resolve) => setTimeout(resolve, this.#random.below(8)))
    if (what % 12 === 2) return this.#typeOn(live)
    this.#type(live)
    if (what % 12 < 5) await this.#flush(live)
    else if (what % 12 < 8)
      this.#flushes.push(this.#flush(live).catch(() => {})) // it may be killed
    else if (what % 12 < 10) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Without a pause. */
  async #typeOn(live: LiveDocument): Promise<void> {
    for (let n = this.#random.below(30); n > 0; n--) {
      this.#type(live)
      await this.#flush(live)
    }
  }

  async #flush(live: LiveDocument): Promise<void> {
    const typed = Y.encodeStateAsUpdate(live.doc)
    await live.flush()
    Y.applyUpdate(this.#stored, typed)
  }

  async #open(i: number): Promise<void> {
    const live = await this.#world.at(i).documents.open('d')
    this.#lives[i] = live
    live.doc.on('update', (update: Uint8Array) => Y.applyUpdate(this.#oracle, update))
  }

  /** Closing saves what was typed a moment ago. */
  async #reopen(i: number): Promise<void> {
    await this.#lives[i]?.close()
    await this.#world.at(i).reopen(this.#random.below(2) === 0)
    await this.#open(i)
  }

  /** What was stored is there; of the rest, what the logs have. */
  async #kill(i: number): Promise<void> {
    const others = this.#lives
      .filter((_, j) => j !== i)
      .map(({ doc }) => Y.encodeStateAsUpdate(doc))
    await this.#world.at(i).kill()
    const kept = await madeAnew(this.#world.at(i), yjs)
    for (const state of others) Y.applyUpdate(kept, state)
    const before = Y.encodeStateVector(kept)
    Y.applyUpdate(kept, Y.encodeStateAsUpdate(this.#stored))
    assert.equal(Y.encodeStateVector(kept), before, 'what was flushed is there')
    this.#oracle = kept
    await this.#open(i)
    await until(() => this.#isAsInLogs(i))
  }

  /** Nothing is shown that no log holds. */
  async #isAsInLogs(i: number): Promise<boolean> {
    const live = this.#lives[i]
    return live !== undefined && yjs.isSame(live.doc, await madeAnew(this.#world.at(i), yjs))
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
      if (!yjs.isSame(anew, this.#oracle) || live === undefined) return false
      if (!yjs.isSame(live.doc, this.#oracle)) return false
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
