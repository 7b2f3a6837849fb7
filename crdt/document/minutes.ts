/**
 * When the parts of a document were written, to the minute: so many runs as there were minutes in which somebody wrote, however
 * much was typed. Of a part that is told twice, the earlier minute counts, whatever comes first.
 *
 *     minutes = count uint, then per source: source, count uint, count x run
 *     source  = 0, uint, or 1, uint length and UTF-8
 *     run     = clocks left out before it uint, clocks uint, minutes since the run before int (since 1970, for the first)
 */
import c, { type State } from 'compact-encoding'
import type { Source, Span } from './spans.ts'

const MINUTE_MS = 60_000

interface Run {
  readonly start: number
  readonly end: number
  readonly minute: number
}

/** A stretch of one source that was written in one minute, or nobody knows when. */
export interface DatedSpan extends Span {
  /** Minutes since 1970. */
  readonly minute: number | null
}

export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS)
}

/** When a minute began. */
export function dateOf(minute: number): Date {
  return new Date(minute * MINUTE_MS)
}

export class Minutes {
  /** Of each source, rising and apart. */
  readonly #bySource = new Map<Source, Run[]>()

  get isEmpty(): boolean {
    return this.#bySource.size === 0
  }

  *[Symbol.iterator](): IterableIterator<Span & { readonly minute: number }> {
    for (const [source, runs] of this.#bySource) for (const run of runs) yield { source, ...run }
  }

  add({ source, start, end }: Span, minute: number): void {
    if (start >= end) return
    const runs = this.#bySource.get(source) ?? []
    this.#bySource.set(source, runs)
    const isBehind = (runs.at(-1)?.end ?? 0) <= start
    if (isBehind) join(runs, { start, end, minute })
    else this.#bySource.set(source, overlaid(runs, { start, end, minute }))
  }

  /** A span in stretches of one minute each, without gaps. */
  within({ source, start, end }: Span): readonly DatedSpan[] {
    const runs = this.#bySource.get(source) ?? []
    const dated: DatedSpan[] = []
    let at = start
    for (let i = firstEndingBehind(runs, start); at < end; i++) {
      const run = runs[i] ?? { start: end, end, minute: 0 }
      if (run.start > at)
        dated.push({ source, start: at, end: Math.min(run.start, end), minute: null })
      at = Math.max(at, run.start)
      if (at >= end) break
      dated.push({ source, start: at, end: Math.min(run.end, end), minute: run.minute })
      at = run.end
    }
    return dated
  }

  preencode(state: State): void {
    this.#write(SIZES, state)
  }

  encode(state: State): void {
    this.#write(BYTES, state)
  }

  /** @throws Error on bytes that no version writes */
  static decode(state: State): Minutes {
    const minutes = new Minutes()
    for (let sources = c.uint.decode(state); sources > 0; sources--) {
      const source = sourceEncoding.decode(state)
      let start = 0
      let minute = 0
      for (let runs = c.uint.decode(state); runs > 0; runs--) {
        start += c.uint.decode(state)
        const end = start + c.uint.decode(state)
        minute += c.int.decode(state)
        minutes.add({ source, start, end }, minute)
        start = end
      }
    }
    return minutes
  }

  #write(to: 'preencode' | 'encode', state: State): void {
    c.uint[to](state, this.#bySource.size)
    for (const [source, runs] of this.#bySource) {
      sourceEncoding[to](state, source)
      c.uint[to](state, runs.length)
      let end = 0
      let minute = 0
      for (const run of runs) {
        c.uint[to](state, run.start - end)
        c.uint[to](state, run.end - run.start)
        c.int[to](state, run.minute - minute)
        end = run.end
        minute = run.minute
      }
    }
  }
}

const SIZES = 'preencode'
const BYTES = 'encode'

const NUMBER = 0
const TEXT = 1

/** A client id of Yjs, or an actor id of Automerge. */
export const sourceEncoding = {
  preencode(state: State, source: Source): void {
    c.uint8.preencode(state, NUMBER)
    if (typeof source === 'number') c.uint.preencode(state, source)
    else c.string.preencode(state, source)
  },
  encode(state: State, source: Source): void {
    c.uint8.encode(state, typeof source === 'number' ? NUMBER : TEXT)
    if (typeof source === 'number') c.uint.encode(state, source)
    else c.string.encode(state, source)
  },
  /** @throws Error on bytes that no version writes */
  decode(state: State): Source {
    const kind = c.uint8.decode(state)
    if (kind > TEXT) throw new Error('A source of a kind that only a newer version knows')
    return kind === NUMBER ? c.uint.decode(state) : c.string.decode(state)
  }
}

/** Puts a run behind the others. */
function join(runs: Run[], run: Run): void {
  const last = runs.at(-1)
  if (last === undefined || last.end < run.start || last.minute !== run.minute) runs.push(run)
  else runs[runs.length - 1] = { ...last, end: run.end }
}

function overlaid(runs: readonly Run[], { start, end, minute }: Run): Run[] {
  const all: Run[] = []
  const put = (run: Run) => {
    if (run.start < run.end) join(all, run)
  }
  let at = start
  for (const run of runs) {
    const from = Math.min(Math.max(run.start, start), end)
    const to = Math.max(Math.min(run.end, end), from)
    put({ ...run, end: Math.min(run.end, start) })
    if (run.end > start) {
      put({ start: at, end: from, minute })
      put({ start: from, end: to, minute: Math.min(minute, run.minute) })
      at = Math.max(at, to)
    }
    put({ ...run, start: Math.max(run.start, end) })
  }
  put({ start: at, end, minute })
  return all
}

function firstEndingBehind(runs: readonly Run[], clock: number): number {
  let low = 0
  let high = runs.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((runs[middle]?.end ?? Infinity) <= clock) low = middle + 1
    else high = middle
  }
  return low
}
