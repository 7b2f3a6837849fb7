/** A bookmark as it is stored, and what fits. */
import * as v from 'valibot'

/** `javascript:` runs, `place:` and `chrome:` mean something to one browser only. */
const PROTOCOLS: readonly string[] = ['http:', 'https:', 'ftp:', 'mailto:']

const address = v.pipe(
  v.string(),
  v.url(),
  v.transform((text) => new URL(text).href),
  v.check((text) => PROTOCOLS.includes(new URL(text).protocol), 'is no address of a page')
)

export const bookmarkSchema = v.pipe(
  v.object({
    url: address,
    title: v.string(),
    /** Without a comma, which parts them in the files. */
    tags: v.array(v.pipe(v.string(), v.trim(), v.regex(/^[^,]+$/))),
    /** The folders it stands in, the outermost first. */
    folder: v.array(v.string()),
    /** Milliseconds since 1970. */
    added: v.optional(v.number()),
    note: v.optional(v.string())
  }),
  // Derived at each put, to look bookmarks up by.
  v.transform((bookmark) => ({ ...bookmark, host: new URL(bookmark.url).host }))
)

export const BOOKMARK_INDEXES = ['tags[]', 'host', 'added'] as const

/** What is put. */
export type BookmarkInput = v.InferInput<typeof bookmarkSchema>
/** What is read. */
export type Bookmark = v.InferOutput<typeof bookmarkSchema>
