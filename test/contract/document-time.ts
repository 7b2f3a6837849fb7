/** What every document engine must be able to say of two states of a document. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DocumentEngine, EngineDoc } from '../../crdt/document/engine.ts'
import type { SourceDifference } from '../../crdt/document/time.ts'
import { bytesOf, ORIGIN, session, sourceOf } from '../support/document-session.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

export interface TimeKind<D extends EngineDoc> {
  readonly engine: DocumentEngine<D>
  /** One random edit, as an application makes it. */
  edit(doc: D, random: SeededRandom): void
  /** Everything that an application sees, whoever made it. */
  says(doc: D): unknown
  /** The text that stands at a path. */
  textAt(doc: D, path: readonly (string | number)[]): string
}

const SEEDS = 20

export function documentTimeContract<D extends EngineDoc>(kind: TimeKind<D>): void {
  const { engine } = kind
  const says = (doc: D) => kind.says(doc)
  const law = (title: string, body: () => void) => test(`${engine.name}: ${title}`, body)

  function built(updates: readonly Uint8Array[]): D {
    const doc = engine.create('d')
    assert.equal(engine.apply(doc, updates, null).refused, [])
    return doc
  }

  /** Two states of one document, and the later one. */
  function moments(seed: number) {
    const random = seededRandom(seed)
    const updates = bytesOf(session(kind, random, 70))
    const [a, b] = [random.below(updates.length + 1), random.below(updates.length + 1)]
    return { random, all: updates, one: updates.slice(0, a), other: updates.slice(0, b) }
  }

  law('a restored document shows what it showed, and so does whoever hears of it', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { all, one } = moments(seed)
      const [doc, then] = [built(all), built(one)]
      engine.writeAs(doc, sourceOf(engine, 7))
      const said: Uint8Array[] = []
      engine.observe(doc, ORIGIN, { onupdate: (u) => said.push(u), onsubdoc: () => {} })
      engine.time.restore(doc, then)
      assert.equal(says(doc), says(built(one)), `seed ${seed}`)
      assert.equal(says(then), says(built(one)), `seed ${seed}: the state is left as it was`)
      const told = said.length === 0 ? [] : [engine.pack(said)]
      assert.equal(says(built([...all, ...told])), says(doc), `seed ${seed}: elsewhere`)
      engine.time.restore(doc, then)
      assert.equal(says(doc), says(then), `seed ${seed}: again`)
    }
  })

  law('restoring forward again shows the later state', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { all, one } = moments(seed)
      const [doc, before, after] = [built(all), built(one), built(all)]
      engine.time.restore(doc, before)
      engine.time.restore(doc, after)
      assert.equal(says(doc), says(after), `seed ${seed}`)
    }
  })

  law('what is no different between base and goal stays as it is now', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const { all, one } = moments(seed)
      const doc = built(all)
      engine.time.restore(doc, built(one), built(one))
      assert.equal(says(doc), says(built(all)), `seed ${seed}`)
      engine.time.restore(doc, built(one), built(all))
      assert.equal(says(doc), says(built(one)), `seed ${seed}: the document is its own base`)
    }
  })

  law(
    'a difference, made to the one text, gives the other; and there is none between equals',
    () => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const { one, other } = moments(seed)
        const [from, to] = [built(one), built(other)]
        const differences = engine.time.diff(from, to)
        assert.is(differences.length === 0, isSame(says(from), says(to)), `seed ${seed}`)
        for (const each of differences) {
          if (each.type !== 'text') continue
          const made = patched(kind.textAt(from, each.path), each)
          assert.is(made, kind.textAt(to, each.path), `seed ${seed}`)
        }
        assert.equal(engine.time.diff(to, built(other)), [], `seed ${seed}`)
      }
    }
  )

  law('what one alone inserted is told to be its own', () => {
    const source = sourceOf(engine, 0)
    let inserted = 0
    for (let seed = 0; seed < SEEDS; seed++) {
      const { random, one } = moments(seed)
      const [before, doc] = [built(one), built(one)]
      engine.writeAs(doc, source)
      for (let i = 0; i < 4; i++) kind.edit(doc, random)
      for (const each of engine.time.diff(before, doc)) {
        if (each.type !== 'text') continue
        for (const change of each.changes) {
          assert.is(change.source, change.kind === 'inserted' ? source : null)
          inserted += change.kind === 'inserted' ? 1 : 0
        }
      }
    }
    assert.ok(inserted > SEEDS / 2)
  })
}

/** Where the changes of a text stand is told by the later text: made from its start to its end, each finds its place. */
function patched(
  text: string,
  { changes }: Extract<SourceDifference, { readonly type: 'text' }>
): string {
  let made = text
  for (const { kind, at, text: piece } of changes) {
    if (kind === 'deleted') {
      assert.is(made.slice(at, at + piece.length), piece)
      made = made.slice(0, at) + made.slice(at + piece.length)
    } else made = made.slice(0, at) + piece + made.slice(at)
  }
  return made
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
