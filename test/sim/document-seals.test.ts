/**
 * Random devices that write one document while seals move both ways: each live document comes to show what a slow twin says, and
 * just what a document shows that is made anew from the logs.
 */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LiveDocument } from '../../multiwriter/index.ts'
import { iterate } from '../../multiwriter/cursor.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import { showSlowly, type Written } from '../oracle/document-seals.ts'
import { until } from '../support/devices.ts'
import { DocumentWorld } from '../support/document-world.ts'
import { textOf } from '../support/documents.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { range, testSeeds } from './seeds.ts'

const DEVICES = 3
const STEPS = 40

/** An update, and the length of its writer's log that it came with. */
interface Edit {
  readonly writer: number
  readonly update: Uint8Array
  readonly length: number
}

class Session {
  readonly world: DocumentWorld
  readonly random: SeededRandom
  readonly edits: Edit[] = []
  readonly lives: LiveDocument[] = []
  reloads = 0
  strikes = 0

  constructor(world: DocumentWorld, random: SeededRandom) {
    this.world = world
    this.random = random
  }

  async openAll(): Promise<void> {
    for (let i = 0; i < DEVICES; i++) {
      await this.open(i)
    }
  }

  async open(i: number): Promise<void> {
    const live = await this.world.at(i).documents.open('d')
    this.lives[i] = live
    live.on('reload', () => this.reloads++)
    live.on('seal', () => this.strikes++)
  }

  live(i: number): LiveDocument {
    const live = this.lives[i]
    if (live === undefined) throw new Error(`no document ${i}`)
    return live
  }

  async edit(): Promise<void> {
    const writer = this.random.below(DEVICES)
    const live = this.live(writer)
    const { doc } = live
    const updates: Uint8Array[] = []
    const onupdate = (update: Uint8Array, origin: unknown) => {
      if (origin === null) updates.push(update)
    }
    doc.on('update', onupdate)
    change(live, this.random)
    doc.off('update', onupdate)
    await live.flush()
    const length = await this.#lengthOfLast(writer)
    this.edits.push(...updates.map((update) => ({ writer, update, length })))
  }

  /** What a log must count for its last update to count. */
  async #lengthOfLast(writer: number): Promise<number> {
    const tree = this.world.at(writer).peer.parts.own.tree.snapshot()
    const range = { ...new UpdateKeys('d').range, reverse: true }
    for await (const { seq } of iterate(tree.cursor(range))) return seq + 1
    return 0
  }

  /** Seals a log somewhere, on one device or on all. */
  async seal(): Promise<void> {
    const { random, world } = this
    const index = random.below(DEVICES)
    const { core } = world.at(index).peer
    const length = [Infinity, random.below(core.length + 1)][random.below(2)] ?? 0
    if (random.below(2) === 0) world.seal(index, length)
    else world.at(random.below(DEVICES)).peer.writers.seal(core.key, length)
    if (random.below(2) === 0) await this.world.at(0).peer.settle()
  }

  /** In the end all devices count the same. */
  settle(): void {
    const { random, world } = this
    for (let i = 0; i < DEVICES; i++) {
      const { length } = world.at(i).peer.core
      world.seal(i, [Infinity, random.below(length + 1)][random.below(2)] ?? 0)
    }
  }

  async reopen(): Promise<void> {
    const i = this.random.below(DEVICES)
    await this.world.at(i).reopen(this.random.below(2) === 0)
    await this.open(i)
  }

  /** What each device shows in the end. */
  written(): readonly Written[] {
    const writers = this.world.at(0).peer.writers.list()
    const seals = this.world.peers.map(
      ({ peer }) => writers.find(({ core }) => b4a.equals(core, peer.core.key))?.seal ?? 0
    )
    return this.edits.map(({ writer, update, length }) => ({
      update,
      counts: length <= (seals[writer] ?? 0)
    }))
  }
}

function change({ doc }: LiveDocument, random: SeededRandom): void {
  const text = doc.getText('t')
  const at = random.below(text.length + 1)
  if (random.below(4) === 0) text.delete(at, Math.min(random.below(5), text.length - at))
  else
    text.insert(
      at,
      'abcdefghijklmnopqrstuvwxyz'.slice(random.below(20)).slice(0, 1 + random.below(6))
    )
}

let reloads = 0
let strikes = 0

testSeeds('document seals', 'test/sim/document-seals.test.ts', range(1, 25), async (seed) => {
  const world = await DocumentWorld.open(DEVICES)
  const session = new Session(world, seededRandom(seed))
  try {
    await session.openAll()
    for (let step = 0; step < STEPS; step++) {
      const what = session.random.below(10)
      if (what < 7) await session.edit()
      else if (what < 9) await session.seal()
      else await session.reopen()
    }
    session.settle()
    const expected = showSlowly(session.written(), 't')
    for (const live of session.lives) {
      await until(() => textOf(live) === expected, { timeout: 1500 }).catch(() => {})
      assert.is(textOf(live), expected)
    }
    for (const [i, live] of session.lives.entries()) {
      const shown = live.doc
      const copy = yjs.create('copy')
      yjs.apply(copy, [yjs.state(shown)], null)
      await world.at(i).reopen(true)
      await session.open(i)
      assert.ok(yjs.isSame(copy, session.live(i).doc), `device ${i}`)
    }
    reloads += session.reloads
    strikes += session.strikes
  } finally {
    await world.close()
  }
})

test('document seals: both ways were taken', () => {
  assert.ok(reloads > 0 && strikes > 0, `${reloads} reloads, ${strikes} strikes`)
})

test.run()
