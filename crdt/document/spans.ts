/**
 * Stretches of what a source made: a Yjs client counts its items, an Automerge actor its operations, so what an update brings is a
 * few spans of counts. Sets of them are kept per source, rising and apart.
 */

/** What an engine's parts are counted under: a client id of Yjs, an actor id of Automerge. */
export type Source = number | string

/** Counts from `start` up to, not including, `end`. */
export interface Span {
  readonly source: Source
  readonly start: number
  readonly end: number
}

export class Spans {
  readonly #known = new Map<Source, Span[]>()
  #late: { readonly sources: readonly Source[]; readonly read: () => Iterable<Span> } | null = null

  constructor(spans: Iterable<Span> = []) {
    for (const span of spans) this.add(span)
  }

  /**
   * Of sources that are known before their spans are, which take long to read: that is done when somebody asks for one.
   * @param sources none but these has a span in it
   */
  static late(sources: readonly Source[], read: () => Iterable<Span>): Spans {
    const spans = new Spans()
    spans.#late = { sources, read }
    return spans
  }

  get isEmpty(): boolean {
    return this.sources.length === 0
  }

  *[Symbol.iterator](): IterableIterator<Span> {
    for (const spans of this.#bySource.values()) yield* spans
  }

  get sources(): readonly Source[] {
    return this.#late?.sources ?? [...this.#known.keys()]
  }

  get #bySource(): Map<Source, Span[]> {
    if (this.#late !== null) {
      const { read } = this.#late
      this.#late = null
      for (const span of read()) this.add(span)
    }
    return this.#known
  }

  add({ source, start, end }: Span): void {
    if (start >= end) return
    const spans = this.#bySource.get(source) ?? []
    const first = firstEndingAt(spans, start)
    let last = first
    while ((spans[last]?.start ?? Infinity) <= end) last++
    const from = Math.min(start, spans[first]?.start ?? start)
    const to = Math.max(end, last > first ? (spans[last - 1]?.end ?? end) : end)
    spans.splice(first, last - first, { source, start: from, end: to })
    this.#bySource.set(source, spans)
  }

  has(source: Source, clock: number): boolean {
    const spans = this.#bySource.get(source) ?? []
    const found = spans[firstEndingAt(spans, clock + 1)]
    return found !== undefined && found.start <= clock
  }

  /** What of a span is not in this set. */
  without({ source, start, end }: Span): readonly Span[] {
    const spans = this.#bySource.get(source) ?? []
    const rest: Span[] = []
    let at = start
    for (let i = firstEndingAt(spans, start); at < end; i++) {
      const { start: from, end: to } = spans[i] ?? { start: end, end }
      if (from > at) rest.push({ source, start: at, end: Math.min(from, end) })
      at = to
      if (i >= spans.length) break
    }
    return rest
  }
}

/** The index of the first that ends at a clock or later. */
function firstEndingAt(spans: readonly Span[], clock: number): number {
  let low = 0
  let high = spans.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((spans[middle]?.end ?? Infinity) < clock) low = middle + 1
    else high = middle
  }
  return low
}
