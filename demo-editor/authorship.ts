/** Who wrote what of a text, as a page shows it: by name and colour. */
import type { LiveDocument } from '../index.ts'
import {
  MAX_AUTHORED,
  MAX_STRETCHES,
  TEXT,
  type Author,
  type Authorship,
  type Person,
  type Stretch
} from './protocol.ts'

/** Who has not said who it is. */
const UNKNOWN = { name: 'Somebody', hue: null }

/** @param people by writer @throws Error for a text of which too much would have to be told */
export function authorshipOf(
  live: Pick<LiveDocument, 'doc' | 'authorship'>,
  people: Readonly<Record<string, Person>>
): Authorship {
  const { length } = live.doc.getText(TEXT)
  if (length > MAX_AUTHORED) throw new Error('This text is too long to be shown by its authors')
  const authors: Author[] = []
  const indices = new Map<string, number>()
  const indexOf = (writer: string, isProven: boolean) => {
    const key = `${writer} ${isProven}`
    const known = indices.get(key)
    if (known !== undefined) return known
    indices.set(key, authors.length)
    return authors.push({ ...(people[writer] ?? UNKNOWN), isProven }) - 1
  }
  const stretches = live
    .authorship(0, length, { of: TEXT })
    .map(({ from, to, writer, isProven, time }): Stretch => [
      from,
      to,
      indexOf(writer, isProven),
      time?.getTime() ?? null
    ])
  if (stretches.length > MAX_STRETCHES)
    throw new Error('This text is mixed too finely to be shown by its authors')
  return { length, authors, stretches }
}
