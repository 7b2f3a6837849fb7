/**
 * Random devices that write one document while seals move both ways: each live document comes to show what a slow twin says, and
 * just what a document shows that is made anew from the logs.
 */
import * as A from '@automerge/automerge'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type * as Y from 'yjs'
import type { LiveDocument } from '../../multiwriter/index.ts'
import { iterate } from '../../multiwriter/cursor.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { automerge } from '../../crdt/document/automerge.ts'
import { AutomergeDocument } from '../../crdt/document/automerge-document.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import type { DocumentEngine, EngineDoc, EngineDocs } from '../../crdt/index.ts'
import type { Documents } from '../../multiwriter/documents/documents.ts'
import { showSlowly, type Written } from '../oracle/document-seals.ts'
import { until } from '../support/devices.ts'
import { DocumentWorld, madeAnew } from '../support/document-world.ts'
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

/** A library, and how one types by it. */
interface Kind<D extends EngineDoc> {
  readonly engine: DocumentEngine<D>
  open(documents: Documents): Promise<LiveDocument<D>>
  /** One random edit. @returns what it says, in Yjs' first encoding */
  edit(doc: D, random: SeededRandom): readonly Uint8Array[]
}

const typedByYjs: Kind<Y.Doc> = {
  engine: yjs,
  open: (documents) => documents.open('d'),
  edit(doc, random) {
    const updates: Uint8Array[] = []
    const onupdate = (update: Uint8Array, origin: unknown) => {
      if (origin === null) updates.push(update)
    }
    doc.on('update', onupdate)
    const text = doc.getText('t')
    const { at, deleted, inserted } = randomEdit(text.length, random)
    if (deleted > 0) text.delete(at, deleted)
    else text.insert(at, inserted)
    doc.off('update', onupdate)
    return updates
  }
}

interface Text {
  t?: string
}

const typedByAutomerge: Kind<EngineDocs['automerge']> = {
  engine: automerge,
  open: (documents) => documents.open<Text>('d', { engine: 'automerge' }),
  edit(doc, random) {
    if (!(doc instanceof AutomergeDocument)) throw new TypeError('No document of Automerge')
    const text = doc as AutomergeDocument<Text>
    const { at, deleted, inserted } = randomEdit(text.value.t?.length ?? 0, random)
    text.change((draft) => {
      if (draft.t === undefined) draft.t = inserted
      else A.splice(draft, ['t'], at, deleted, inserted)
    })
    return []
  }
}

function randomEdit(length: number, random: SeededRandom) {
  const at = random.below(length + 1)
  const deleted = random.below(4) === 0 ? Math.min(random.below(5), length - at) : 0
  const letters = 'abcdefghijklmnopqrstuvwxyz'.slice(random.below(20))
  return { at, deleted, inserted: letters.slice(0, 1 + random.below(6)) }
}

class Session<D extends EngineDoc> {
  readonly kind: Kind<D>
  readonly world: DocumentWorld
  readonly random: SeededRandom
  readonly edits: Edit[] = []
  readonly lives: LiveDocument<D>[] = []
  reloads = 0
  strikes = 0

  constructor(kind: Kind<D>, world: DocumentWorld, random: SeededRandom) {
    this.kind = kind
    this.world = world
    this.random = random
  }

  async run(): Promise<void> {
    for (let i = 0; i < DEVICES; i++) await this.open(i)
    for (let step = 0; step < STEPS; step++) {
      const what = this.random.below(10)
      if (what < 7) await this.edit()
      else if (what < 9) await this.seal()
      else await this.reopen()
    }
    this.settle()
  }

  async open(i: number): Promise<void> {
    const live = await this.kind.open(this.world.at(i).documents)
    this.lives[i] = live
    live.on('reload', () => this.reloads++)
    live.on('seal', () => this.strikes++)
  }

  /** Each live document comes to show what one shows that is made anew. */
  async compare(): Promise<void> {
    for (const i of this.lives.keys()) {
      const isSame = async () =>
        this.kind.engine.isSame(
          this.live(i).doc,
          await madeAnew(this.world.at(i), this.kind.engine)
        )
      await until(isSame).catch(() => assert.unreachable(`device ${i}`))
    }
  }

  live(i: number): LiveDocument<D> {
    const live = this.lives[i]
    if (live === undefined) throw new Error(`no document ${i}`)
    return live
  }

  async edit(): Promise<void> {
    const writer = this.random.below(DEVICES)
    const live = this.live(writer)
    const updates = this.kind.edit(live.doc, this.random)
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

let reloads = 0
let strikes = 0

async function play<D extends EngineDoc>(
  kind: Kind<D>,
  seed: number,
  check: (session: Session<D>) => Promise<void>
): Promise<void> {
  const world = await DocumentWorld.open(DEVICES)
  const session = new Session(kind, world, seededRandom(seed))
  try {
    await session.run()
    await check(session)
    reloads += session.reloads
    strikes += session.strikes
  } finally {
    await world.close()
  }
}

/** @param file of the test that runs it */
export function simulateSeals(file: string, ofYjs: number, ofAutomerge: number): void {
  testSeeds('document seals, Yjs', file, range(1, ofYjs), (seed) =>
    play(typedByYjs, seed, async (session) => {
      const expected = showSlowly(session.written(), 't')
      for (const live of session.lives) {
        await until(() => textOf(live) === expected).catch(() => {})
        assert.is(textOf(live), expected)
      }
      await session.compare()
    })
  )

  testSeeds('document seals, Automerge', file, range(1, ofAutomerge), (seed) =>
    play(typedByAutomerge, seed, (session) => session.compare())
  )

  test('document seals: both ways were taken', () => {
    assert.ok(reloads > 0 && strikes > 0, `${reloads} reloads, ${strikes} strikes`)
  })
}
