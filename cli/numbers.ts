/** Numbers: as arguments, and as people read them. */
import { InvalidArgumentError } from 'commander'
import { textToStamp } from '../clock/index.ts'

export function seconds(text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isFinite(number) && number >= 0) return number
  throw new InvalidArgumentError('Seconds, 0 or more.')
}

export function count(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('A whole number, 0 or more.')
}

export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

/** `1 key`, `2,000 keys`. @param noun one of them */
export function counted(number: number, noun: string): string {
  const plural =
    noun.endsWith('y') && !/[aeo]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`
  return `${number.toLocaleString('en')} ${number === 1 ? noun : plural}`
}

/** `1 was`, `2 were`. */
export function verb(number: number): string {
  return number === 1 ? 'was' : 'were'
}

/** The local time of a stamp's text, in a form that `--at` takes back. */
export function localTime(stamp: string): string {
  const { ms } = textToStamp(stamp)
  return `${minuteText(ms)}:${two(new Date(ms).getSeconds())}.${String(ms % 1000).padStart(3, '0')}`
}

/** Local, too. */
export function minuteText(ms: number): string {
  const date = new Date(ms)
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes()].map(two).join(':')}`
}

function two(number: number): string {
  return String(number).padStart(2, '0')
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** `12.3 MB`. */
export function bytesText(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1)
  const number = bytes / 1000 ** power
  return `${power === 0 ? number : number.toFixed(1)} ${UNITS[power]}`
}
