/** The cities (../data/README.md), their keys, and which device brings which of them. */
import { readFileSync } from 'node:fs'

/** A type alias and not an interface: only an alias counts as plain storable data. */
export type City = {
  readonly geonameid: number
  readonly name: string
  readonly country: string
  readonly population: number
  readonly latitude: number
  readonly longitude: number
}

export type DeviceName = 'Laptop' | 'Phone'

/** The largest so many are on both devices: without an overlap there is nothing to disagree about. */
const ON_BOTH = 50

/** Largest first. */
export const cities: readonly City[] = JSON.parse(
  readFileSync(new URL('../data/cities.json', import.meta.url), 'utf8')
)

/** The part of the cities that a device brings: Laptop has A to M, Phone the rest, both the largest. */
export function citiesOf(device: DeviceName): readonly City[] {
  return cities.filter((city, rank) => {
    const isFirstHalf = slug(city.name) < 'n'
    return rank < ON_BOTH || isFirstHalf === (device === 'Laptop')
  })
}

/** For instance `cities/FR/paris-2988507`: sorted by country, then by name; the number tells apart those of one name. */
export function keyOf({ country, name, geonameid }: City): string {
  return `cities/${country}/${slug(name)}-${geonameid}`
}

/** `São Luís` becomes `sao-luis`. */
function slug(name: string): string {
  return name
    .normalize('NFD')
    .replace(/[\p{M}’‘]/gu, '')
    .replaceAll('ł', 'l')
    .replaceAll('Ł', 'L')
    .replaceAll('ı', 'i')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
}
