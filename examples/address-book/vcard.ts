/**
 * vCard files (RFC 2426 and 6350) to contacts and back, by ical.js. A card that cannot be read is reported with its line and does not
 * keep the others out; of one that can, every property comes out again as it came in.
 */
import { createHash } from 'node:crypto'
import ICAL from 'ical.js'
import { z } from 'zod'
import { propertySchema, type ContactInput, type Property } from './contact.ts'

export interface Imported {
  readonly contacts: readonly KeyedContact[]
  readonly problems: readonly { readonly line: number; readonly reason: string }[]
}

export interface KeyedContact {
  /** From the card's UID, so that a person is one key on all devices. */
  readonly key: string
  readonly contact: ContactInput
}

const UNTYPED_TEL = /^(TEL(?:;[^:"]*)?):tel:/gm

const jCard = z.tuple([z.literal('vcard'), z.array(propertySchema)]).rest(z.unknown())

export function parseVCards(text: string): Imported {
  const contacts: KeyedContact[] = []
  const problems: { line: number; reason: string }[] = []
  for (const { line, card } of splitCards(text)) {
    try {
      contacts.push(parseCard(card))
    } catch (error) {
      problems.push({ line, reason: reasonOf(error) })
    }
  }
  return { contacts, problems }
}

export function formatVCards(contacts: Iterable<ContactInput>): string {
  return Array.from(contacts, formatCard).join('')
}

/** The text of each card, and the line it begins at. What stands between cards is nobody's. */
function splitCards(text: string): { line: number; card: string }[] {
  const cards: { line: number; lines: string[] }[] = []
  let isInside = false
  text.split(/\r\n|\n|\r/).forEach((each, i) => {
    if (/^BEGIN:VCARD\s*$/i.test(each)) {
      cards.push({ line: i + 1, lines: [] })
      isInside = true
    }
    if (isInside) cards.at(-1)?.lines.push(each)
    if (/^END:VCARD\s*$/i.test(each)) isInside = false
  })
  return cards.map(({ line, lines }) => ({ line, card: lines.join('\r\n').trimEnd() }))
}

function parseCard(card: string): KeyedContact {
  const [, properties] = jCard.parse(ICAL.parse(card))
  const version = valueOf(properties, 'version')
  if (version !== '3.0' && version !== '4.0')
    throw new Error(`version ${version ?? '(none)'} is not read; export it as 3.0 or 4.0`)
  const name = valueOf(properties, 'fn')
  if (name === undefined || name === '') throw new Error('the card has no name (FN)')
  const isEmail = (property: Property) => property[0] === 'email' && textOf(property) !== ''
  const isTags = ([field, parameters]: Property) =>
    field === 'categories' && Object.keys(parameters).length === 0
  const nameAt = properties.findIndex(([field]) => field === 'fn')
  const contact: ContactInput = {
    name,
    nameParameters: properties[nameAt]?.[1] ?? {},
    emails: properties
      .filter(isEmail)
      .map((property) => ({ address: textOf(property), parameters: property[1] })),
    tags: properties.filter(isTags).flatMap(([, , , ...tags]) => tags.map(String)),
    version,
    rest: properties.filter(
      (property, i) =>
        i !== nameAt && property[0] !== 'version' && !isEmail(property) && !isTags(property)
    )
  }
  return { key: keyOf(contact), contact }
}

/** A card without a UID is known by its contents: the same card is the same key. */
function keyOf(contact: ContactInput): string {
  const uid = valueOf(contact.rest, 'uid')
    ?.replace(/^urn:uuid:/i, '')
    .toLowerCase()
  if (uid !== undefined && uid !== '') return uid
  return createHash('sha256').update(formatCard(contact)).digest('hex').slice(0, 32)
}

function formatCard({ name, nameParameters, emails, tags, version, rest }: ContactInput): string {
  const properties: Property[] = [
    ['version', {}, 'text', version],
    ['fn', nameParameters, 'text', name],
    ...emails.map(({ address, parameters }): Property => ['email', parameters, 'text', address]),
    ...(tags.length > 0 ? [['categories', {}, 'text', ...tags] satisfies Property] : []),
    ...rest
  ]
  // The type that ical.js takes for granted in a 4.0 TEL is not the one that RFC 6350 does.
  return ICAL.stringify(['vcard', properties, []]).replace(UNTYPED_TEL, '$1;VALUE=uri:tel:')
}

function valueOf(properties: readonly Property[], name: string): string | undefined {
  const property = properties.find(([field]) => field === name)
  return property === undefined ? undefined : textOf(property)
}

/** Empty when the value is no text. */
function textOf([, , , value]: Property): string {
  return typeof value === 'string' ? value : ''
}

function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) return 'not a vCard'
  return error instanceof Error ? error.message : String(error)
}
