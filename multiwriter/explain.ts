/**
 * Why a key has the value that it has: what every core says there, what each of them had seen of the others, which rule of the
 * fold decided, and what came out. Made of the fold's own decision (crdt/register.ts, judgeRegisters), not of a second fold:
 * winner and conflicts are the view's, and each rule's sentence is true by its own words (test/multiwriter/explain.test.ts
 * checks both over random histories).
 */
import z32 from 'z32'
import { stampToText, type Stamp } from '../clock/index.ts'
import {
  decodeValue,
  judgeRegisters,
  type AdmittedLength,
  type Judgement,
  type PlacedRegister,
  type Position,
  type Value
} from '../crdt/index.ts'
import type { RefusalReason } from './refusals.ts'
import type { Said, SaidByAll } from './view.ts'

/** What decided, and its sentence. Exactly one holds for a key. */
export const RULES = {
  nothing: 'No log says anything here that can be read.',
  'only-entry': 'Only one log has an entry here.',
  'seen-all-others': 'Every other entry was seen and overwritten.',
  'others-covered-weakly':
    'The others may not win: a write names a later block of their logs, which is not here yet. They are shown as conflicts.',
  'greatest-stamp':
    'These were written without knowledge of each other: the greatest stamp wins, the others are conflicts.',
  'edit-beats-deletion':
    'An edit beats a deletion that had not seen it, even a later one; among several edits the greatest stamp wins.'
} as const

export type Rule = keyof typeof RULES

/** What else had a part in it. */
export const NOTES = {
  'circle-does-not-count':
    'Entries claim to have seen each other in a circle, which only a forger can make: these claims do not count.',
  'unsupported-kept':
    'A newer version wrote an entry here that this one cannot read: it is kept and passed on.',
  'refused-left-out': 'An entry that no version can read was left out.'
} as const

export type Note = keyof typeof NOTES

/** What came of one entry. */
export type Outcome =
  | 'winner'
  | 'conflict'
  /** Seen and overwritten. */
  | 'covered'
  /** Of a format that only a newer version can read. */
  | 'unsupported'
  | 'refused'

/** One item of what a write had seen, and what that means for the other's entry here. */
export interface ExplainedSeen {
  readonly writer: string
  readonly seq: number
  readonly means:
    /** It overwrote that log's entry. */
    | 'covers'
    /** It names a block that is not here: that log's entry cannot win, but is shown. */
    | 'covers-weakly'
    /** The two claims contradict each other. */
    | 'circle'
    /** That log has written here again since. */
    | 'earlier'
    /** That log has no entry here that could be read. */
    | 'nothing-here'
}

/** What one core says at the key. */
export interface ExplainedEntry<V> {
  readonly writer: string
  readonly isOwn: boolean
  readonly outcome: Outcome
  /** The block it was first written in; null where it could not be read. */
  readonly seq: number | null
  readonly stamp: Stamp | null
  /** Null for a deletion, and where it could not be read. */
  readonly value: V | null
  readonly deleted: boolean
  readonly refusal: RefusalReason | null
  readonly seen: readonly ExplainedSeen[]
  /** Writers whose entries overwrote this one. */
  readonly coveredBy: readonly string[]
}

export interface Explanation<K, V> {
  readonly key: K
  readonly rule: Rule
  /** The rule in words. */
  readonly because: string
  readonly notes: readonly Note[]
  /** The winner first, then the conflicts as `Entry.conflicts` has them, then the rest. */
  readonly entries: readonly ExplainedEntry<V>[]
}

/** Explains what all cores say at a key. @param show the caller's value, or null where it is of another encoding */
export function explainKey<K, V>(
  key: K,
  said: SaidByAll,
  admitted: AdmittedLength,
  show: (value: Value) => V | null
): Explanation<K, V> {
  const { judgement, leftOut } = judge(said.registers, admitted)
  const rule = ruleOf(judgement)
  const entries = [
    ...(judgement === null ? [] : judgedEntries(judgement, show)),
    ...said.unsupported.map((writer) => unreadable<V>(writer, said, 'unsupported', null)),
    ...leftOut.map((each) => refused<V>(each, 'value-malformed')),
    ...said.refused.map((each) => refused<V>({ ...each, stamp: null }, each.reason))
  ]
  return { key, rule, because: RULES[rule], notes: notesOf(judgement, entries), entries }
}

/** As the view does: a winner whose value cannot be read is left out, and the rest folded again. */
function judge(registers: readonly Said[], admitted: AdmittedLength) {
  const leftOut: Said[] = []
  let rest = registers
  while (rest.length > 0) {
    const judgement = judgeRegisters(rest, admitted)
    const { winner } = judgement
    if (valueOf(winner) !== MALFORMED) return { judgement, leftOut }
    leftOut.push(winner)
    rest = rest.filter((each) => each !== winner)
  }
  return { judgement: null, leftOut }
}

const MALFORMED = Symbol('malformed')

function valueOf({ value, isUnknownType }: Said): Value | typeof MALFORMED {
  if (value === null || isUnknownType) return null
  try {
    return decodeValue(value)
  } catch {
    return MALFORMED
  }
}

function ruleOf(judgement: Judgement<Said> | null): Rule {
  if (judgement === null) return 'nothing'
  const { winner, conflicts, candidates, registers } = judgement
  if (registers.length === 1) return 'only-entry'
  if (conflicts.length === 0) return 'seen-all-others'
  if (candidates.length === 1) return 'others-covered-weakly'
  const hasDeletion = candidates.some(({ value }) => value === null)
  return winner.value !== null && hasDeletion ? 'edit-beats-deletion' : 'greatest-stamp'
}

function notesOf(
  judgement: Judgement<Said> | null,
  entries: readonly ExplainedEntry<unknown>[]
): readonly Note[] {
  const has = (outcome: Outcome) => entries.some((entry) => entry.outcome === outcome)
  const notes: Note[] = []
  if (judgement?.covers.some(({ kind }) => kind === 'circle') === true)
    notes.push('circle-does-not-count')
  const isUnknown = judgement?.registers.some(({ isUnknownType }) => isUnknownType) === true
  if (isUnknown || has('unsupported')) notes.push('unsupported-kept')
  if (has('refused')) notes.push('refused-left-out')
  return notes
}

function judgedEntries<V>(
  judgement: Judgement<Said>,
  show: (value: Value) => V | null
): ExplainedEntry<V>[] {
  const { winner, conflicts, registers } = judgement
  const covered = registers.filter((each) => each !== winner && !conflicts.includes(each))
  return [
    explained(winner, 'winner', judgement, show),
    // One whose value cannot be read is not shown by the view; what it had seen counts all the same.
    ...conflicts.map((each) =>
      explained(each, valueOf(each) === MALFORMED ? 'refused' : 'conflict', judgement, show)
    ),
    ...covered.map((each) => explained(each, 'covered', judgement, show))
  ]
}

function explained<V>(
  said: Said,
  outcome: Outcome,
  judgement: Judgement<Said>,
  show: (value: Value) => V | null
): ExplainedEntry<V> {
  const { writer, isOwn, position, stamp, isUnknownType } = said
  const value = valueOf(said)
  return {
    writer,
    isOwn,
    outcome,
    seq: position.seq,
    stamp,
    value: said.value === null || isUnknownType || value === MALFORMED ? null : show(value),
    deleted: said.value === null,
    refusal: isUnknownType ? 'entry-unsupported' : value === MALFORMED ? 'value-malformed' : null,
    seen: said.seen.map((item) => explainSeen(said, item, judgement)),
    coveredBy: judgement.covers
      .filter(({ to, kind }) => to === said && kind === 'ordinary')
      .map(({ from }) => from.writer)
  }
}

const MEANS = { ordinary: 'covers', weak: 'covers-weakly', circle: 'circle' } as const

function explainSeen(
  from: PlacedRegister,
  item: Position,
  { registers, covers }: Judgement<Said>
): ExplainedSeen {
  const writer = z32.encode(item.core)
  const { seq } = item
  const cover = covers.find((each) => each.from === from && each.to.writer === writer)
  if (cover !== undefined) return { writer, seq, means: MEANS[cover.kind] }
  const isHere = registers.some((each) => each.writer === writer)
  return { writer, seq, means: isHere ? 'earlier' : 'nothing-here' }
}

function unreadable<V>(
  writer: string,
  { isOwnUnsupported }: SaidByAll,
  outcome: Outcome,
  seq: number | null
): ExplainedEntry<V> {
  const refusal = 'entry-unsupported'
  return { ...NOTHING_READ, writer, isOwn: isOwnUnsupported, outcome, seq, refusal }
}

function refused<V>(
  entry: Pick<Said, 'writer' | 'isOwn' | 'seq'> & { readonly stamp: Stamp | null },
  refusal: RefusalReason
): ExplainedEntry<V> {
  const { writer, isOwn, seq, stamp } = entry
  return { ...NOTHING_READ, writer, isOwn, outcome: 'refused', seq, stamp, refusal }
}

const NOTHING_READ = { stamp: null, value: null, deleted: false, seen: [], coveredBy: [] }

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
  const own = explanation.entries.find(({ isOwn }) => isOwn)?.writer
  const {
    showTime = localTime,
    showWriter = (writer: string) => (writer === own ? 'you' : writer.slice(0, SHORT))
  } = options
  const { key, because, notes, entries } = explanation
  return [
    `${showValue(key)}: ${because}`,
    ...notes.map((note) => `  Note: ${NOTES[note]}`),
    ...entries.flatMap((entry) => entryLines(entry, showTime, showWriter))
  ].join('\n')
}

const SHORT = 8

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
  conflict: 'conflict ',
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

/** JSON, with bytes in hex, cut where it gets long. */
function showValue(value: unknown): string {
  const text =
    JSON.stringify(value, (_, each: unknown) =>
      each instanceof Uint8Array ? `0x${bytesToHex(each)}` : each
    ) ?? String(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
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
