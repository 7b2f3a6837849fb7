/**
 * What this device's edits of a document are counted under (docs/FORMAT.md, "Sources"): derived from its log, the document, and a
 * number that is drawn for each opening. A number is never used twice: what a killed process said under it may come back at any
 * time (docs/decisions/006-keystrokes-ahead-of-the-log.md).
 */
import b4a from 'b4a'
import {
  Minutes,
  type Author,
  type Authors,
  type DocumentEngine,
  type EngineDoc,
  type Source,
  type Statement
} from '../../crdt/index.ts'
import { hash, randomBytes } from '../../core/index.ts'

const CONTEXT = 'manyhands/document-source'

type Deriving<M extends 'sourceOf' | 'spans'> = Pick<DocumentEngine<EngineDoc>, M>

/** Anybody can name sessions without end. */
const MAX_KNOWN = 10_000

/** Everybody's sources in one document. */
export class Sources {
  readonly #engine: Deriving<'sourceOf'>
  readonly #id: Uint8Array
  readonly #known = new Map<string, Source>()

  constructor(engine: Deriving<'sourceOf'>, id: string) {
    this.#engine = engine
    this.#id = b4a.from(id)
  }

  of(core: Uint8Array, session: number): Source {
    const name = `${b4a.toString(core, 'latin1')} ${session}`
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const number = new Uint8Array(4)
    new DataView(number.buffer).setUint32(0, session)
    const source = this.#engine.sourceOf(hash(CONTEXT, core, this.#id, number))
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    this.#known.set(name, source)
    return source
  }

  /** All that may be a writer's own in what it says. */
  derived(core: Uint8Array, sessions: readonly number[]): ReadonlyMap<Source, number> {
    return new Map(sessions.map((session) => [this.of(core, session), session]))
  }
}

export function drawSession(): number {
  const { buffer, byteOffset } = randomBytes(4)
  return new DataView(buffer, byteOffset).getUint32(0)
}

/** This device's own, in one open document. */
export class OwnSources {
  readonly #engine: Deriving<'spans'>
  readonly #sources: Sources
  readonly #core: Uint8Array
  readonly #sessions = new Map<Source, number>()

  constructor(engine: Deriving<'spans'>, sources: Sources, core: Uint8Array) {
    this.#engine = engine
    this.#sources = sources
    this.#core = core
  }

  /** A new one. @param isUsed whether somebody has written under a source */
  draw(isUsed: (source: Source) => boolean): Source {
    for (;;) {
      const session = drawSession()
      const source = this.#sources.of(this.#core, session)
      if (!isUsed(source) && !this.#sessions.has(source)) return this.take(session)
    }
  }

  /** One that was drawn before. */
  take(session: number): Source {
    const source = this.#sources.of(this.#core, session)
    this.#sessions.set(source, session)
    return source
  }

  /** The session that a source is derived from; null for one that was not drawn here. */
  sessionOf(source: Source): number | null {
    return this.#sessions.get(source) ?? null
  }

  /**
   * What is said of an update of ours: what it brings under other sources, we have from elsewhere.
   * @param authors of the document: they know our earlier sessions, in which a copy may still write
   */
  stateOf(update: Uint8Array, authors: Authors): Statement {
    const sources = this.#engine.spans(update)?.sources ?? []
    const sessions = sources.flatMap(
      (source) => this.#sessions.get(source) ?? this.#earlier(authors.of(source)) ?? []
    )
    const isImport = sessions.length < sources.length
    return { sessions, isImport, minutes: new Minutes(), update }
  }
  #earlier(author: Author | null): number | null {
    return author !== null && b4a.equals(author.core, this.#core) ? author.session : null
  }
}
