/** An explanation as lines for a person: what shows first, then what did not, each with who wrote it, when, and knowing what. */
import { stampToText, type Stamp } from '../clock/index.ts'
import {
  NOTES,
  type ExplainedEntry,
  type ExplainedSeen,
  type Explanation,
  type Outcome
} from './explain.ts'

/** Options of `explanationToText`. */
export interface ExplanationTextOptions {
  /** A stamp for people. Default: local date and time to the second. */
  readonly showTime?: (stamp: Stamp) => string
  /** A writer for people. Default: the first 8 characters of its key, `you` for this device. */
  readonly showWriter?: (writer: string) => string
}

/** The explanation as lines for a person. */
export function explanationToText(
  explanation: Explanation<unknown, unknown>,
  options: ExplanationTextOptions = {}
): string {
  const { key, because, notes, entries, fields } = explanation
  const everything = [...entries, ...fields.flatMap((field) => field.entries)]
  const own = everything.find(({ isOwn }) => isOwn)?.writer
  const {
    showTime = localTime,
    showWriter = (writer: string) => (writer === own ? 'you' : writer.slice(0, SHORT))
  } = options
  return [
    `${showValue(key)}: ${because}`,
    ...notes.map((note) => `  Note: ${NOTES[note]}`),
    ...fields.flatMap((field) => [
      `  ${pathToText(field.path)}: ${field.because}`,
      ...field.entries.flatMap((entry) => entryLines(entry, showTime, showWriter))
    ]),
    ...entries.flatMap((entry) => entryLines(entry, showTime, showWriter))
  ].join('\n')
}

const SHORT = 8

/** With the names that a person would write: `address.city`. */
function pathToText(path: readonly string[]): string {
  if (path.length === 0) return '(the whole)'
  return path.map((name) => (/^[\w-]+$/.test(name) ? name : JSON.stringify(name))).join('.')
}

function entryLines(
  entry: ExplainedEntry<unknown>,
  showTime: (stamp: Stamp) => string,
  showWriter: (writer: string) => string
): readonly string[] {
  const when = entry.stamp === null ? '' : `, ${showTime(entry.stamp)}`
  const where = entry.seq === null ? '' : `, block ${entry.seq}`
  const coveredBy = entry.coveredBy.map(showWriter)
  return [
    `  ${OUTCOMES[entry.outcome]} ${contentOf(entry)}`,
    `            by ${showWriter(entry.writer)}${when}${where}`,
    ...(coveredBy.length === 0 ? [] : [`            overwritten by ${coveredBy.join(', ')}`]),
    ...entry.seen.map(
      ({ writer, seq, means }) =>
        `            had seen ${showWriter(writer)} up to block ${seq}: ${MEANINGS[means]}`
    )
  ]
}

const OUTCOMES: Record<Outcome, string> = {
  winner: 'wins     ',
  counts: 'counts   ',
  conflict: 'conflict ',
  agrees: 'agrees   ',
  covered: 'was      ',
  unsupported: 'newer    ',
  refused: 'refused  '
}

const MEANINGS: Record<ExplainedSeen['means'], string> = {
  covers: 'overwrote its entry',
  'covers-weakly': 'a block that is not here yet, so its entry cannot win',
  circle: 'contradicted, does not count',
  earlier: 'it has written again since',
  'nothing-here': 'it has no entry here now'
}

function contentOf({ value, deleted, refusal }: ExplainedEntry<unknown>): string {
  if (refusal !== null) return `(${refusal})`
  return deleted ? '(deleted)' : showValue(value)
}

const MAX_SHOWN = 200

/** JSON, with bytes as `<68690a>`, which no text in JSON is, cut where it gets long. */
function showValue(value: unknown): string {
  const text = toText(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) return `<${bytesToHex(value)}>`
  if (Array.isArray(value)) return `[${value.map(toText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value)
  const fields = Object.entries(value).map(
    ([name, field]) => `${JSON.stringify(name)}:${toText(field)}`
  )
  return `{${fields.join(',')}}`
}

function bytesToHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Local time, and the counter where several writes share a millisecond. */
function localTime(stamp: Stamp): string {
  const date = new Date(stamp.ms)
  // Beyond what a Date can hold.
  if (Number.isNaN(date.getTime())) return stampToText(stamp)
  const two = (number: number) => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  const fraction = String(date.getMilliseconds()).padStart(3, '0')
  return `${day} ${time}.${fraction}${stamp.counter > 0 ? `+${stamp.counter}` : ''}`
}
