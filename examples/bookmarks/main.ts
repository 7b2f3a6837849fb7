/**
 * Bookmarks on two devices (`npm run example -- bookmarks`): each imports the file its browser exported, they meet, what both had
 * becomes one, new ones are seen live, and all of it goes into a file that any browser imports.
 *
 *     main.ts       what happens, chapter by chapter
 *     bookmark.ts   what a bookmark is: the schema, and what is indexed
 *     netscape.ts   bookmark files to bookmarks and back
 */
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import { isManyhandsError, type Conflict, type Space } from '../../index.ts'
import { heading, line, table } from '../shared/print.ts'
import { tell, type TwoDevices } from '../shared/two-devices.ts'
import { BOOKMARK_INDEXES, bookmarkSchema, type Bookmark, type BookmarkInput } from './bookmark.ts'
import { formatBookmarks, parseBookmarks } from './netscape.ts'

type Bookmarks = ReturnType<typeof bookmarksOf>

/** Addresses may be longer than keys. */
const MAX_KEY_LENGTH = 1000

const LATER = 'read later'

await tell('bookmarks of two browsers, no server', async (two) => {
  await importFiles(two)
  await meet(two)
  await settle(two)
  await watchLive(two)
  await lookUp(two)
  await exportFile(two)
})

function bookmarksOf(space: Space) {
  // A page is kept as a whole: what two devices know of it is shown side by side, and joined below.
  return space.db.sub('bookmarks', {
    schema: bookmarkSchema,
    index: BOOKMARK_INDEXES,
    type: 'register'
  })
}

/** One page is one key on all devices: its address, however it was typed. */
function keyOf(url: string): string {
  const { href } = new URL(url)
  if (href.length <= MAX_KEY_LENGTH) return href
  return href.slice(0, 100) + createHash('sha256').update(href).digest('hex')
}

async function importFiles({ laptop, phone }: TwoDevices): Promise<void> {
  heading('1. Offline: each imports what its browser exported')
  const rows = [
    await importFile('Laptop', laptop, 'bookmarks-firefox.html'),
    await importFile('Phone', phone, 'bookmarks-chrome.html')
  ]
  table([['', 'file', 'bookmarks', 'refused'], ...rows])
}

async function importFile(name: string, space: Space, file: string): Promise<string[]> {
  const html = await readFile(new URL(`../data/${file}`, import.meta.url), 'utf8')
  const batch = bookmarksOf(space).batch()
  const refused: string[] = []
  let kept = 0
  for (const bookmark of parseBookmarks(html)) {
    try {
      batch.put(keyOf(bookmark.url), bookmark)
      kept++
    } catch (error) {
      // The schema takes pages only; everything else is a fault of this program.
      if (!isManyhandsError(error, 'VALUE_INVALID')) throw error
      refused.push(bookmark.url.slice(0, 20))
    }
  }
  await batch.flush()
  return [name, file, `${kept}`, refused.join(' ') || 'none']
}

async function meet(two: TwoDevices): Promise<void> {
  heading('2. They meet')
  await two.meet()
  const rows: string[][] = []
  for await (const { value, writer, conflicts } of bookmarksOf(two.laptop).createReadStream()) {
    const [other] = othersOf(conflicts).map(({ title }) => title)
    const note = other === undefined ? '' : `or "${other.slice(0, 14)}"`
    rows.push([value.title, folderOf(value), value.tags.join(', '), two.nameOf(writer), note])
  }
  table([['title', 'folder', 'tags', 'from', ''], ...rows])
}

function othersOf(conflicts: readonly Conflict<unknown>[]): readonly Bookmark[] {
  return conflicts.flatMap(({ value, deleted }) =>
    deleted ? [] : [v.parse(bookmarkSchema, value)]
  )
}

async function settle(two: TwoDevices): Promise<void> {
  heading('3. What both had becomes one: the tags of both, the older date')
  const bookmarks = bookmarksOf(two.laptop)
  for await (const { key, value, conflicts } of bookmarks.conflicts()) {
    if (value === null) continue // deleted by one, and kept by nobody
    await bookmarks.put(key, united(value, othersOf(conflicts)))
  }
  await two.meet()
  let left = 0
  for await (const _ of bookmarksOf(two.phone).conflicts()) left++
  line(`Conflicts on the Phone: ${left}`)
}

function united(bookmark: Bookmark, others: readonly Bookmark[]): BookmarkInput {
  const all = [bookmark, ...others]
  const dates = all.map(({ added }) => added).filter((added) => added !== undefined)
  return {
    ...bookmark,
    tags: [...new Set(all.flatMap(({ tags }) => tags))],
    folder: all.find(({ folder }) => folder.length > 0)?.folder ?? [],
    ...(dates.length === 0 ? {} : { added: Math.min(...dates) })
  }
}

async function watchLive({ laptop, phone }: TwoDevices): Promise<void> {
  heading(`4. Live: the Laptop watches the tag "${LATER}" while the Phone tags`)
  const changes = bookmarksOf(laptop).by('tags').watch({ gte: LATER, lte: LATER })
  const onPhone = bookmarksOf(phone)
  await add(onPhone, 'https://owls.example/calls', 'Owls and their calls', [LATER, 'birds'])
  await show('Phone adds', changes)
  await add(onPhone, 'https://owls.example/calls', 'Owls and their calls', ['birds'])
  await show('Phone has read it', changes)
  await onPhone.del(keyOf('https://compost.example/'))
  await show('Phone deletes', changes)
  await changes.return?.()
}

async function add(bookmarks: Bookmarks, url: string, title: string, tags: string[]) {
  // A real program takes the time of day; this one is the same at every run.
  await bookmarks.put(keyOf(url), { url, title, tags, folder: [], added: Date.UTC(2024, 6, 1) })
}

async function show(what: string, changes: ReturnType<ReturnType<Bookmarks['by']>['watch']>) {
  const { value: change } = await changes.next()
  if (change === undefined) throw new Error('The watch ended.')
  const { current, previous } = change
  const title = (current ?? previous)?.value.title
  line(`${what}; Laptop sees "${title}" ${current === null ? 'leave' : 'come'}`)
}

async function lookUp(two: TwoDevices): Promise<void> {
  heading('5. Looked up, on the Laptop')
  await two.meet()
  const bookmarks = bookmarksOf(two.laptop)
  line('the newest three:')
  for await (const { value } of bookmarks.by('added').createReadStream({ reverse: true, limit: 3 }))
    line(`  ${dayOf(value)}  ${value.title}`)
  const recipes = await bookmarks.by('host').get('recipes.example')
  line(`from recipes.example: ${recipes.map(({ value }) => value.title).join(', ')}`)
  const tags = new Map<unknown, number>()
  for await (const { indexed } of bookmarks.by('tags').createReadStream())
    tags.set(indexed, (tags.get(indexed) ?? 0) + 1)
  line(`tags: ${Array.from(tags, ([tag, count]) => `${String(tag)} ${count}`).join(', ')}`)
}

async function exportFile({ phone, folder }: TwoDevices): Promise<void> {
  heading('6. Out again: a file that any browser imports')
  const bookmarks = await allOf(phone)
  const file = join(folder, 'bookmarks.html')
  await writeFile(file, formatBookmarks(bookmarks.values()))
  const html = await readFile(file, 'utf8')
  const back = new Map(parseBookmarks(html).map((each) => [keyOf(each.url), each]))
  if (!isDeepStrictEqual(back, bookmarks)) throw new Error('The file reads back otherwise.')
  line(`${bookmarks.size} bookmarks; read back, they are equal:`)
  console.log()
  for (const each of html.trimEnd().split('\n')) line(`  ${cut(each)}`)
}

/** Every bookmark as it was put: without what the schema derives. */
async function allOf(space: Space): Promise<Map<string, BookmarkInput>> {
  const all = new Map<string, BookmarkInput>()
  for await (const { key, value } of bookmarksOf(space).createReadStream()) {
    const { host: _, ...bookmark } = value
    all.set(key, bookmark)
  }
  return all
}

/** A page is 100 columns wide. */
function cut(text: string): string {
  return text.length > 90 ? `${text.slice(0, 89)}…` : text
}

function folderOf({ folder }: BookmarkInput): string {
  return folder.join(' / ')
}

function dayOf({ added }: Bookmark): string {
  return added === undefined ? '' : new Date(added).toISOString().slice(0, 10)
}
