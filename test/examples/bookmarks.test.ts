/** The bookmarks example: what it claims, and the files of browsers, friendly and not. */
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatBookmarks, parseBookmarks } from '../../examples/bookmarks/netscape.ts'
import { badLines, runExample, type ExampleRun } from '../support/example.ts'

let run: ExampleRun
test.before(async () => {
  run = await runExample('bookmarks')
})

test('it ends well, leaves nothing behind, and fits on a page of plain text', () => {
  assert.is(run.code, 0, run.output)
  assert.equal(run.left, [])
  assert.equal(badLines(run.output), [])
  assert.ok(run.output.split('\n').length < 75)
})

test('pages of both browsers are one bookmark; what is no page is refused and named', () => {
  assert.match(run.output, /^ +Laptop +bookmarks-firefox\.html +5 +place:\S+ javascript:\S+$/m)
  assert.match(run.output, /^ +Phone +bookmarks-chrome\.html +5 +none$/m)
  assert.match(run.output, /^ +Trains & buses .* Phone +or "Timetable"$/m)
  assert.match(run.output, /^ +Conflicts on the Phone: 0$/m)
})

test('the Laptop sees bookmarks come under a tag and leave it', () => {
  const seen = [...run.output.matchAll(/Laptop sees "(.*)" (come|leave)$/gm)]
  assert.equal(
    seen.map(([, title, how]) => `${title} ${how}`),
    ['Owls and their calls come', 'Owls and their calls leave', 'Compost in twelve weeks leave']
  )
})

test('they are found by date, by host and by tag', () => {
  assert.match(run.output, /2024-07-01 +Owls.*\n +2024-06-10 +Tomato soup\n +2024-06-03 +RFC 6350/)
  assert.match(run.output, /from recipes\.example: Kässpätzle, Tomato soup$/m)
  assert.match(run.output, /tags: birds 1, spec 1, tomato 1, travel 1, vcard 1$/m)
})

test('what is exported reads back as it was', () => {
  assert.match(run.output, /8 bookmarks; read back, they are equal:/)
})

test('Ctrl-C cleans up', async () => {
  const stopped = await runExample('bookmarks', '1. Offline')
  assert.ok(stopped.code === 130 || stopped.output.includes('Done in'), stopped.output)
  assert.equal(stopped.left, [])
})

test('the files of two browsers read as what they show', async () => {
  const read = async (name: string) =>
    parseBookmarks(
      await readFile(new URL(`../../examples/data/bookmarks-${name}.html`, import.meta.url), 'utf8')
    )
  const [rfc, tomatoes, , compost, , , timetable, ...more] = await read('firefox')
  assert.equal(rfc, {
    url: 'https://www.rfc-editor.org/rfc/rfc6350',
    title: 'RFC 6350: vCard & friends',
    tags: ['vcard', 'spec'],
    folder: [],
    added: 1717400000000,
    note: 'The format of address books.'
  })
  assert.is(tomatoes?.url, 'https://seeds.example/tomatoes?sort=early&page=2')
  assert.is(tomatoes?.title, 'Early tomatoes — Seeds "R" Us')
  assert.equal(compost?.folder, ['Garden', 'Soil'])
  assert.equal(timetable?.folder, [], 'the folders were left again')
  assert.equal(more, [])
  const chrome = await read('chrome')
  assert.equal(
    chrome.map(({ folder }) => folder.length),
    [1, 1, 2, 2, 0]
  )
})

test('what is written reads back, whatever stands in it', () => {
  const bookmarks = [
    { url: 'https://a.example/?q="<&>', title: '<b>&amp;"', tags: ['x y', '&'], folder: [] },
    {
      url: 'https://b.example/',
      title: '',
      tags: [],
      folder: ['</H3>', 'ä'],
      added: 0,
      note: '<DD>'
    },
    { url: 'https://c.example/', title: 'c', tags: [], folder: ['</H3>'], added: -1000 }
  ]
  const back = parseBookmarks(formatBookmarks(bookmarks))
  const byUrl = (all: typeof back) => all.toSorted((a, b) => (a.url < b.url ? -1 : 1))
  assert.equal(byUrl(back), byUrl(bookmarks))
})

test('a file that is none of these gives nothing, and does not fail', () => {
  for (const html of ['', 'text', '<a>no address</a>', '<dl><dd>', '\0', '<DD>note<H3>', '{}']) {
    assert.equal(parseBookmarks(html), [])
  }
})

test.run()
