/** The history of a document as people think of it: what somebody wrote in one go, not every burst of keystrokes. */
import type { DocumentDifference, DocumentVersion } from '../index.ts'
import { TEXT, type Moment, type Piece } from './protocol.ts'

/** Who stops for longer goes on in a new moment. */
const PAUSE_MS = 5000

/** Who does not stop begins a new one after so long. */
const LONGEST_MS = 60_000

/** @param versions oldest first @param most the last so many are kept */
export async function momentsOf(
  versions: AsyncIterable<DocumentVersion>,
  most: number
): Promise<readonly Moment[]> {
  const moments: Moment[] = []
  for await (const { version, writer, stamp } of versions) {
    const { ms } = stamp
    const last = moments.at(-1)
    const goesOn =
      last?.writer === writer && ms - last.until < PAUSE_MS && ms - last.from < LONGEST_MS
    const from = goesOn ? last.from : ms
    if (goesOn) moments.pop()
    moments.push({ version, writer, from, until: Math.max(ms, from) })
    if (moments.length > 2 * most) moments.splice(0, most)
  }
  return moments.slice(-most)
}

/** A text with what came into it and what went from it, in its order. */
export function piecesOf(
  text: string,
  differences: readonly DocumentDifference[]
): readonly Piece[] {
  const pieces: Piece[] = []
  let at = 0
  const same = (until: number) => {
    if (until > at) pieces.push({ kind: 'same', text: text.slice(at, until), writer: null })
    at = Math.max(at, until)
  }
  for (const difference of differences) {
    if (difference.type !== 'text' || difference.path.join() !== TEXT) continue
    for (const { kind, at: place, text: changed, writer } of difference.changes) {
      same(place)
      pieces.push({ kind, text: changed, writer })
      if (kind === 'inserted') at += changed.length
    }
  }
  same(text.length)
  return pieces
}
