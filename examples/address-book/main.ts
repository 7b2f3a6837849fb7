/**
 * An address book on two devices (`npm run example -- address-book`): each imports a vCard file, edits offline, they meet, settle
 * what they disagree about, look people up by address and by tag, and write everything to a .vcf file again.
 *
 *     main.ts      what happens, chapter by chapter
 *     contact.ts   what a contact is: the schema, and what is indexed
 *     vcard.ts     vCard files to contacts and back
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Conflict, Space } from '../../index.ts'
import { heading, line, table } from '../shared/print.ts'
import { tell, type DeviceName, type TwoDevices } from '../shared/two-devices.ts'
import { CONTACT_INDEXES, contactSchema, type Contact, type ContactInput } from './contact.ts'
import { formatVCards, parseVCards } from './vcard.ts'

type Contacts = ReturnType<typeof contactsOf>

/** Their UIDs in ../data. */
const ANNIKA = '6f0a1c1e-3b52-4c07-9a41-0c5f3d2b7a01'
const BASHIR = '6f0a1c1e-3b52-4c07-9a41-0c5f3d2b7a02'
const CHIDI = '6f0a1c1e-3b52-4c07-9a41-0c5f3d2b7a03'
const FINN = '6f0a1c1e-3b52-4c07-9a41-0c5f3d2b7a06'
const GRANDMA = '6f0a1c1e-3b52-4c07-9a41-0c5f3d2b7a07'

await tell('one address book, two devices, no server', async (two) => {
  await importFiles(two)
  await meetFirst(two)
  await editOffline(two)
  await showConflicts(two)
  await settle(two)
  await lookUp(two)
  await exportFile(two)
})

function contactsOf(space: Space) {
  // A card is kept as a whole: two that were edited at once are shown side by side, and joined below.
  return space.db.sub('contacts', {
    schema: contactSchema,
    index: CONTACT_INDEXES,
    type: 'register'
  })
}

async function importFiles({ laptop, phone }: TwoDevices): Promise<void> {
  heading('1. Offline: each imports its own vCard file')
  const rows: string[][] = []
  for (const [name, space] of [
    ['Laptop', laptop],
    ['Phone', phone]
  ] as const) {
    const file = `contacts-${name.toLowerCase()}.vcf`
    const text = await readFile(new URL(`../data/${file}`, import.meta.url), 'utf8')
    const { contacts, problems } = parseVCards(text)
    const batch = contactsOf(space).batch()
    for (const { key, contact } of contacts) batch.put(key, contact)
    await batch.flush()
    const versions = new Set(contacts.map(({ contact }) => contact.version))
    rows.push([name, file, [...versions].join(), `${contacts.length}`, `${problems.length}`])
  }
  table([['', 'file', 'vCard', 'contacts', 'unreadable'], ...rows])
}

async function meetFirst(two: TwoDevices): Promise<void> {
  heading('2. They meet: one address book')
  await two.meet()
  await compare(two)
  const rows: string[][] = []
  for await (const { value, writer, conflicts } of contactsOf(two.laptop).createReadStream()) {
    const note = conflicts.length > 0 ? 'in both, unequal' : ''
    const emails = value.emails.map(({ address }) => address).join(' ')
    rows.push([value.name, emails, value.tags.join(', '), two.nameOf(writer), note])
  }
  table([['name', 'addresses', 'tags', 'from', ''], ...rows.map(fit)])
}

async function editOffline(two: TwoDevices): Promise<void> {
  heading('3. Offline again: each edits, unknown to the other')
  two.part()
  const [laptop, phone] = [contactsOf(two.laptop), contactsOf(two.phone)]
  await edit(laptop, ANNIKA, (annika) => ({ ...annika, tags: [...annika.tags, 'ulm'] }))
  await edit(phone, ANNIKA, (annika) => ({ ...annika, name: 'Annika Brandt-Weiss' }))
  await laptop.del(GRANDMA)
  await edit(phone, GRANDMA, (grandma) => ({ ...grandma, name: 'Grandma Helene' }))
  await edit(phone, FINN, (finn) => ({ ...finn, tags: [...finn.tags, 'choir'] }))
  await laptop.del(CHIDI)
  line('Laptop tags Dr. Annika Brandt "ulm", deletes Grandma and Chidi Okafor.')
  line('Phone renames Annika and Grandma, tags Finn O’Malley "choir".')
}

async function edit(
  contacts: Contacts,
  key: string,
  change: (contact: Contact) => ContactInput
): Promise<void> {
  const entry = await contacts.get(key)
  if (entry === null) throw new Error(`There is no contact ${key}.`)
  await contacts.put(key, change(entry.value))
}

async function showConflicts(two: TwoDevices): Promise<void> {
  heading('4. They meet: nothing is lost without a word')
  await two.meet()
  await compare(two)
  const rows: string[][] = []
  for await (const { value, writer, conflicts } of contactsOf(two.phone).conflicts()) {
    for (const lost of conflicts) {
      rows.push([said(two.nameOf(writer), value), said(two.nameOf(lost.writer), cardOf(lost))])
    }
  }
  table([['shown', 'the other ([tags] +further fields)'], ...rows])
}

/** Null for a deletion. */
function cardOf(conflict: Conflict<unknown> | undefined): Contact | null {
  if (conflict === undefined || conflict.deleted) return null
  return contactSchema.parse(conflict.value)
}

async function settle(two: TwoDevices): Promise<void> {
  heading('5. To settle a conflict, put what both meant')
  const contacts = contactsOf(two.laptop)
  const annika = await contacts.get(ANNIKA)
  const other = cardOf(annika?.conflicts[0])
  if (annika === null || other === null) throw new Error('There is nothing to settle.')
  const tags = [...new Set([...annika.value.tags, ...other.tags])]
  const name = [annika.value, other].find((each) => !each.name.startsWith('Dr.'))?.name ?? ''
  await contacts.put(ANNIKA, { ...annika.value, name: `Dr. ${name}`, tags })
  const bashir = await contacts.get(BASHIR)
  // Two cards of one person: what stands first has what the other lacks added.
  if (bashir !== null) await contacts.put(BASHIR, united(bashir.value, cardOf(bashir.conflicts[0])))
  await two.meet()
  for (const key of [ANNIKA, BASHIR]) {
    const entry = await contactsOf(two.phone).get(key)
    if (entry === null || entry.conflicts.length > 0) throw new Error('It is not settled.')
    line(`Phone sees ${summary(entry.value)}; conflicts: 1 before, 0 now`)
  }
}

/** The fields that only the other card has, taken over. */
function united(contact: Contact, other: Contact | null | undefined): ContactInput {
  const names = new Set(contact.rest.map(([field]) => field))
  const missing = other?.rest.filter(([field]) => !names.has(field)) ?? []
  return { ...contact, rest: [...contact.rest, ...missing] }
}

async function lookUp({ laptop, phone }: TwoDevices): Promise<void> {
  heading('6. Looked up, on the Phone, by what stands in the contacts')
  const contacts = contactsOf(phone)
  const byEmail = contacts.by('find.email')
  for (const address of ['A.Brandt@Stadtwerke-Ulm.example', 'nobody@nowhere.example']) {
    const found = await byEmail.get(address.toLowerCase())
    line(`${address}: ${found.map(({ value }) => value.name).join(', ') || 'nobody'}`)
  }
  const letters: string[] = []
  for await (const { indexed } of byEmail.createReadStream({ gte: 'a', lt: 'b' }))
    letters.push(String(indexed))
  line(`addresses with an a: ${letters.join(', ')}`)
  line(`tag "choir": ${(await namesBy(contacts, 'choir')).join(', ')}`)

  const changes = contacts.by('tags').watch({ gte: 'choir', lte: 'choir' })
  await edit(contactsOf(laptop), GRANDMA, (one) => ({ ...one, tags: [...one.tags, 'choir'] }))
  const { value: change } = await changes.next()
  await changes.return?.()
  line(`Laptop tags somebody; Phone, watching the tag, sees ${change?.current?.value.name} join:`)
  line(`tag "choir": ${(await namesBy(contacts, 'choir')).join(', ')}`)
}

async function namesBy(contacts: Contacts, tag: string): Promise<string[]> {
  return (await contacts.by('tags').get(tag)).map(({ value }) => value.name)
}

async function exportFile(two: TwoDevices): Promise<void> {
  heading('7. Out again: a vCard file that any address book reads')
  await two.meet()
  const contacts = await allOf(two.laptop)
  const file = join(two.folder, 'contacts.vcf')
  await writeFile(file, formatVCards(contacts.values()))
  const text = await readFile(file, 'utf8')
  const back = new Map(parseVCards(text).contacts.map(({ key, contact }) => [key, contact]))
  if (!isDeepStrictEqual(back, contacts)) throw new Error('The file reads back as something else.')
  const lines = text.split('\r\n')
  line(
    `${contacts.size} contacts, ${lines.length - 1} lines; read back, they are equal. The first:`
  )
  console.log()
  for (const each of lines.slice(0, lines.indexOf('END:VCARD') + 1)) line(`  ${each}`)
}

/** Every contact as it was put: without what the schema derives. */
async function allOf(space: Space): Promise<Map<string, ContactInput>> {
  const all = new Map<string, ContactInput>()
  for await (const { key, value } of contactsOf(space).createReadStream()) {
    const { find: _, ...contact } = value
    all.set(key, contact)
  }
  return all
}

/** Not by trust: all that each device shows, conflicts included. */
async function compare({ laptop, phone }: TwoDevices): Promise<void> {
  const shown = async (space: Space) => {
    const entries: unknown[] = []
    for await (const entry of contactsOf(space).createReadStream()) entries.push(entry)
    for await (const entry of contactsOf(space).conflicts()) entries.push(entry)
    return entries
  }
  const [one, other] = [await shown(laptop), await shown(phone)]
  if (!isDeepStrictEqual(one, other)) throw new Error('The devices show different contacts.')
  line('Both show the same.')
  console.log()
}

function said(by: DeviceName, contact: Contact | null): string {
  return `${by}: ${contact === null ? '(deleted)' : summary(contact)}`
}

function summary({ name, tags, rest }: Contact): string {
  return `${name} [${tags.join(' ')}] +${rest.length}`
}

/** A page is 100 columns wide. */
function fit(row: readonly string[]): string[] {
  return row.map((cell) => (cell.length > 30 ? `${cell.slice(0, 29)}…` : cell))
}
