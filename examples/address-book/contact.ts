/** A contact as it is stored, and what fits: the schema checks what is put, and what other devices wrote. */
import { z } from 'zod'

const parameters = z.record(z.string(), z.union([z.string(), z.array(z.string())]))

/** One property of a jCard (RFC 7095): name, parameters, type, values. */
export const propertySchema = z.tuple([z.string(), parameters, z.string()]).rest(z.json())

export type Property = z.infer<typeof propertySchema>

const stored = z.object({
  name: z.string().min(1),
  nameParameters: parameters,
  emails: z.array(z.object({ address: z.string().min(1), parameters })),
  tags: z.array(z.string()),
  /** vCard 3.0 or 4.0: what parameters mean differs. */
  version: z.enum(['3.0', '4.0']),
  /** Everything else of the card, so that an export loses nothing. */
  rest: z.array(propertySchema)
})

/** Derived at each put: what `by('find.email[]')` finds addresses by, however they are written. */
export const contactSchema = stored.transform((contact) => ({
  ...contact,
  find: { email: contact.emails.map(({ address }) => address.toLowerCase()) }
}))

export const CONTACT_INDEXES = ['find.email[]', 'tags[]'] as const

/** What is put. */
export type ContactInput = z.input<typeof contactSchema>
/** What is read. */
export type Contact = z.output<typeof contactSchema>
