/** The address book example: what it claims, and its vCard files, friendly and not. */
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import ICAL from 'ical.js'
import { contactSchema } from '../../examples/address-book/contact.ts'
import { formatVCards, parseVCards } from '../../examples/address-book/vcard.ts'
import { badLines, runExample, type ExampleRun } from '../support/example.ts'

let run: ExampleRun
test.before(async () => {
  run = await runExample('address-book')
})

test('it ends well, leaves nothing behind, and fits on a page of plain text', () => {
  assert.is(run.code, 0, run.output)
  assert.equal(run.left, [])
  assert.equal(badLines(run.output), [])
  assert.ok(run.output.split('\n').length < 85)
})

test('what both files have is one contact, and what they say differently is shown', () => {
  assert.match(run.output, /^ +Laptop +contacts-laptop\.vcf +3\.0 +5 +0$/m)
  assert.match(run.output, /^ +Phone +contacts-phone\.vcf +4\.0 +4 +0$/m)
  assert.is(run.output.match(/^ +Bashir Haddad .* in both, unequal$/gm)?.length, 1)
  assert.is(run.output.match(/Both show the same\./g)?.length, 2)
})

test('what both edited offline is shown with both sides, and settled', () => {
  assert.match(
    run.output,
    /Phone: Annika Brandt-Weiss \[work choir\] \+12 +Laptop: Dr\. Annika Brandt \[work choir ulm\] \+12$/m
  )
  assert.match(run.output, /Phone: Grandma Helene \[family\] \+\d+ +Laptop: \(deleted\)$/m)
  assert.match(
    run.output,
    /Phone sees Dr\. Annika Brandt-Weiss \[work choir ulm\] \+12; conflicts: 1 before, 0 now/
  )
})

test('people are found by address, in any case, and by tag, and seen to join one', () => {
  assert.match(run.output, /^ +A\.Brandt@Stadtwerke-Ulm\.example: Dr\. Annika Brandt-Weiss$/m)
  assert.match(run.output, /^ +nobody@nowhere\.example: nobody$/m)
  assert.match(run.output, /sees Grandma Helene join:\n +tag "choir": .*, Grandma Helene$/m)
})

test('what is exported reads back as it was', () => {
  assert.match(run.output, /7 contacts, \d+ lines; read back, they are equal/)
  assert.match(run.output, /^ +CATEGORIES:work,choir,ulm$/m)
})

test('Ctrl-C cleans up', async () => {
  const stopped = await runExample('address-book', '1. Offline')
  assert.ok(stopped.code === 130 || stopped.output.includes('Done in'), stopped.output)
  assert.equal(stopped.left, [])
})

for (const name of ['laptop', 'phone']) {
  test(`contacts-${name}.vcf: every property comes out as it came in`, async () => {
    const file = new URL(`../../examples/data/contacts-${name}.vcf`, import.meta.url)
    const text = await readFile(file, 'utf8')
    const { contacts, problems } = parseVCards(text)
    assert.equal(problems, [])
    const exported = formatVCards(contacts.map(({ contact }) => contact))
    assert.equal(parseVCards(exported).contacts, contacts)
    assert.equal(cards(exported), cards(text), 'as ical.js alone reads them')
    for (const { contact } of contacts) {
      const stored = contactSchema.parse(contact)
      assert.equal(contactSchema.parse(stored), stored)
    }
  })
}

/** Each card's properties, in any order. */
function cards(text: string): string[][] {
  const parsed: [string, unknown[]][] = ICAL.parse(text)
  return parsed.map(([, properties]) => properties.map((each) => JSON.stringify(each)).sort())
}

test('a card that cannot be read is named by its line, and the others are read', () => {
  const lines = [
    'BEGIN:VCARD',
    'VERSION:2.1',
    'FN:Old',
    'END:VCARD',
    'BEGIN:VCARD',
    'VERSION:3.0',
    'END:VCARD',
    'BEGIN:VCARD',
    'VERSION:3.0',
    'FN:Cut off',
    'begin:vcard',
    'version:4.0',
    'fn:Fine',
    'end:vcard',
    'something else',
    '',
    'BEGIN:VCARD',
    'VERSION:4.0',
    'FNoops',
    'END:VCARD'
  ]
  for (const newline of ['\n', '\r\n']) {
    const { contacts, problems } = parseVCards(lines.join(newline))
    assert.equal(
      contacts.map(({ contact }) => contact.name),
      ['Fine']
    )
    assert.equal(
      problems.map(({ line }) => line),
      [1, 5, 8, 17]
    )
    assert.match(problems[0]?.reason ?? '', /version 2\.1 is not read; export it as 3\.0 or 4\.0/)
    assert.match(problems[1]?.reason ?? '', /no name/)
  }
  for (const text of ['', 'no vcard', 'END:VCARD', 'BEGIN:VCALENDAR\nEND:VCALENDAR']) {
    assert.equal(parseVCards(text), { contacts: [], problems: [] })
  }
})

test('one person is one key, whatever version the card has', () => {
  const card = (version: string, uid: string) =>
    `BEGIN:VCARD\nVERSION:${version}\nFN:A\n${uid}END:VCARD\n`
  const keys = (text: string) => parseVCards(text).contacts.map(({ key }) => key)
  assert.equal(keys(card('3.0', 'UID:ABC-1\n')), ['abc-1'])
  assert.equal(keys(card('4.0', 'UID:urn:uuid:abc-1\n')), ['abc-1'])
  const [one, other] = keys(card('4.0', '') + card('4.0', ''))
  assert.match(one ?? '', /^[0-9a-f]{32}$/)
  assert.is(one, other)
})

test.run()
