/** Who wrote each stretch of a text, and when: what a document shows, and what its updates prove. */
import z32 from 'z32'
import { dateOf, type Author, type Authors, type Source, type TextRun } from '../../crdt/index.ts'

/** A stretch of a text, from one index to another, that one device wrote in one minute. */
export interface AuthoredRun {
  readonly from: number
  readonly to: number
  /** The log of the device, in text form. */
  readonly writer: string
  /** False for what was brought in from elsewhere, an older document say: then the writer is who brought it. */
  readonly isProven: boolean
  /** To the minute; null for what was typed just now, or is only known by quotes. */
  readonly time: Date | null
}

/** @param here who wrote what no log says yet */
export function authorship(
  runs: Iterable<TextRun>,
  authors: Authors,
  here: (source: Source) => Author | null
): readonly AuthoredRun[] {
  const authored: AuthoredRun[] = []
  for (const { from, to, source, start } of runs) {
    const author = authors.of(source) ?? here(source)
    if (author === null) continue
    const writer = z32.encode(author.core)
    const isProven = author.session !== null
    const span = { source, start, end: start + to - from }
    for (const { start: first, end, minute } of authors.minutes.within(span)) {
      const time = minute === null ? null : dateOf(minute)
      const at = from + first - start
      join(authored, { from: at, to: at + end - first, writer, isProven, time })
    }
  }
  return authored
}

function join(runs: AuthoredRun[], run: AuthoredRun): void {
  const last = runs.at(-1)
  const goesOn =
    last !== undefined &&
    last.to === run.from &&
    last.writer === run.writer &&
    last.isProven === run.isProven &&
    last.time?.getTime() === run.time?.getTime()
  if (goesOn) runs[runs.length - 1] = { ...last, to: run.to }
  else runs.push(run)
}
