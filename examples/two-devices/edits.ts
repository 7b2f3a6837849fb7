/**
 * What the two devices do while they are offline, in this order in time. They know nothing of each other: wherever both touch one
 * key, that is a conflict. (The figures are made up, see ../data/README.md.)
 */
import type { Value } from '../../index.ts'
import type { DeviceName } from './cities.ts'

export type Fields = { readonly [field: string]: Value }

export function isFields(value: Value): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export interface Edit {
  readonly by: DeviceName
  readonly key: string
  /** Fields to set over what stands there, or null to delete the key. */
  readonly set: Fields | null
}

export const MUMBAI = 'cities/IN/mumbai-1275339'

/** What the two settle on for Mumbai, once they have met. */
export const AGREED: Fields = {
  geonameid: 1275339,
  name: 'Mumbai (Bombay)',
  country: 'IN',
  population: 12_442_373,
  latitude: 19.07,
  longitude: 72.88
}

export const offlineEdits: readonly Edit[] = [
  // Nobody else touches these: no conflict.
  { by: 'Laptop', key: 'cities/DE/berlin-2950159', set: { population: 3_755_251 } },
  { by: 'Phone', key: 'cities/FR/paris-2988507', set: { population: 2_102_650 } },
  { by: 'Laptop', key: 'cities/ES/madrid-3117735', set: { population: 3_332_035 } },
  { by: 'Phone', key: 'cities/IT/rome-3169070', set: { name: 'Roma' } },
  { by: 'Laptop', key: 'notes/laptop', set: { text: 'corrected by the census' } },
  { by: 'Phone', key: 'notes/phone', set: { text: 'renamed by the locals' } },
  { by: 'Laptop', key: 'cities/US/chicago-4887398', set: null },

  // Both wrote: the later one wins.
  { by: 'Laptop', key: 'cities/JP/tokyo-1850147', set: { population: 9_733_276 } },
  { by: 'Phone', key: 'cities/JP/tokyo-1850147', set: { population: 9_700_000 } },
  { by: 'Phone', key: MUMBAI, set: { name: 'Bombay' } },
  { by: 'Laptop', key: MUMBAI, set: { population: 12_442_373 } },
  { by: 'Laptop', key: 'cities/BD/dhaka-1185241', set: { name: 'Dacca' } },
  { by: 'Phone', key: 'cities/BD/dhaka-1185241', set: { population: 10_278_882 } },
  { by: 'Laptop', key: 'notes/todo', set: { text: 'ask about Lagos' } },
  { by: 'Phone', key: 'notes/todo', set: { text: 'ask about Cairo' } },

  // One wrote, the other deleted: the edit survives, whichever was later.
  { by: 'Phone', key: 'cities/NG/lagos-2332459', set: { population: 15_946_000 } },
  { by: 'Laptop', key: 'cities/NG/lagos-2332459', set: null },
  { by: 'Phone', key: 'cities/EG/cairo-360630', set: null },
  { by: 'Laptop', key: 'cities/EG/cairo-360630', set: { population: 10_100_166 } },

  // Both wrote the same.
  { by: 'Laptop', key: 'cities/RU/moscow-524901', set: { population: 13_010_112 } },
  { by: 'Phone', key: 'cities/RU/moscow-524901', set: { population: 13_010_112 } }
]
