/** Some writers at one document, by any engine. */
import type { DocumentEngine, EngineDoc } from '../../crdt/document/engine.ts'
import type { Source } from '../../crdt/document/spans.ts'
import type { SeededRandom } from './random.ts'

export interface Written {
  readonly writer: number
  /** As it was observed, before it was packed. */
  readonly update: Uint8Array
  readonly bytes: Uint8Array
}

interface Editable<D extends EngineDoc> {
  readonly engine: DocumentEngine<D>
  /** One random edit, as an application makes it. */
  edit(doc: D, random: SeededRandom): void
}

export const WRITERS = 3

export const ORIGIN = { by: 'the owner' }

/** Random edits of writers who now and then hear of each other; everybody's updates in an order of causes. */
export function session<D extends EngineDoc>(
  kind: Editable<D>,
  random: SeededRandom,
  steps = 50
): readonly Written[] {
  const { engine } = kind
  const written: Written[] = []
  const heard = Array.from({ length: WRITERS }, () => 0)
  const docs = heard.map((_, writer) => {
    const doc = engine.create('d')
    engine.writeAs(doc, sourceOf(engine, writer))
    engine.observe(doc, ORIGIN, {
      onupdate: (update) => written.push({ writer, update, bytes: engine.pack([update]) }),
      onsubdoc: () => {}
    })
    return doc
  })
  for (let i = 0; i < steps; i++) {
    const writer = random.below(WRITERS)
    const doc = docs[writer]
    if (doc === undefined) continue
    if (random.below(4) > 0) kind.edit(doc, random)
    else {
      const news = written.slice(heard[writer]).filter((each) => each.writer !== writer)
      engine.apply(doc, bytesOf(news), ORIGIN)
      heard[writer] = written.length
    }
  }
  return written
}

export function sourceOf(
  engine: Pick<DocumentEngine<EngineDoc>, 'sourceOf'>,
  writer: number
): Source {
  return engine.sourceOf(Uint8Array.from({ length: 32 }, (_, i) => (i % 4) + writer + 1))
}

export function bytesOf(written: readonly Written[]): readonly Uint8Array[] {
  return written.map(({ bytes }) => bytes)
}
