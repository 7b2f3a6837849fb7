/**
 * Why a key has the value that it has: what every core says there, what each of them had seen of the others, which rule of the
 * fold decided, and what came out. Made of the fold's own decisions (crdt/register.ts, judgeRegisters), not of a second fold:
 * winner and conflicts are the view's, and each rule's sentence is true by its own words (test/multiwriter/explain.test.ts
 * checks both over random histories). Of an object, each field is explained by itself. As text: explain-text.ts.
 */
import z32 from 'z32'
import type { Stamp } from '../clock/index.ts'
import {
  foldEntries,
  foldFields,
  judgeRegisters,
  lastWritten,
  readValue,
  type AdmittedLength,
  type Deletes,
  type FoldedEntry,
  type FoldOptions,
  type Judgement,
  type PlacedRegister,
  type Position,
  type Value
} from '../crdt/index.ts'
import { foldRefusal, type RefusalReason } from './refusals.ts'
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
    'An edit beats a deletion that had not seen it, even a later one; among several edits the greatest stamp wins.',
  'deletion-beats-edit':
    'A deletion beats an edit that had not seen it, even a later one, as this sub-database has chosen.',
  'all-deletions': 'These are deletions that did not know of each other: they agree.',
  'no-room':
    'A value was written above or below it meanwhile, with a greater stamp: there is no room for both.',
  'field-by-field': 'An object is decided field by field.',
  'all-count': 'What every log says is folded together: nobody overwrites another.',
  'type-of-the-greatest':
    'The entries are of different types: the greatest that was not seen by others decides the type, the others are conflicts.'
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
  /** Takes part in what shows, together with others. */
  | 'counts'
  | 'conflict'
  /** A deletion beside the one that wins. */
  | 'agrees'
  /** Seen and overwritten; of a counter and the like: taken away again. */
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
  /** Null for a deletion, and where it could not be read; of a field, what is stored. */
  readonly value: V | Value | null
  readonly deleted: boolean
  readonly refusal: RefusalReason | null
  readonly seen: readonly ExplainedSeen[]
  /** Writers whose entries overwrote this one. */
  readonly coveredBy: readonly string[]
}

/** Why one field of an object has the value that it has. */
export interface ExplainedField<V> {
  /** Field names from the outside in; none for the whole value. */
  readonly path: readonly string[]
  readonly rule: Rule
  readonly because: string
  /** The winner first, then the conflicts, then the rest. */
  readonly entries: readonly ExplainedEntry<V>[]
}

export interface Explanation<K, V> {
  readonly key: K
  /** 'value', 'counter', ..., or the name of a merge type; null when nothing is said. */
  readonly type: string | null
  readonly rule: Rule
  /** The rule in words. */
  readonly because: string
  readonly notes: readonly Note[]
  /** The winner first, then the conflicts as `Entry.conflicts` has them, then the rest. Of an object, only what was left out. */
  readonly entries: readonly ExplainedEntry<V>[]
  /** Of an object that is decided field by field: rising by path. */
  readonly fields: readonly ExplainedField<V>[]
}

type Show<V> = (value: Value) => V | null

/** A write at one place, and what is to be shown of it. */
interface Item extends PlacedRegister {
  readonly said: Said
  readonly content: Value
  readonly refusal: RefusalReason | null
}

/** What was found out about readable entries. */
interface Found<V> {
  readonly rule: Rule
  readonly entries: readonly ExplainedEntry<V>[]
  readonly fields: readonly ExplainedField<V>[]
  readonly hasCircle: boolean
}

/** Explains what all cores say at a key. @param show the caller's value, or null where it is of another encoding */
export function explainKey<K, V>(
  key: K,
  said: SaidByAll,
  admitted: AdmittedLength,
  show: Show<V>,
  options: FoldOptions = {}
): Explanation<K, V> {
  const folded = foldEntries(said.entries, admitted, options)
  const readable = said.entries.filter((each) => !folded.refused.includes(each))
  const { rule, entries, fields, hasCircle } = new Explainer(admitted, options, show).explain(
    readable,
    folded
  )
  const leftOut = [
    ...said.unsupported.map((writer) => unreadable<V>(writer, said)),
    ...folded.refused.map((each) =>
      refused<V>(each, each.entry.head.stamp, foldRefusal(each.entry).reason)
    ),
    ...said.refused.map((each) => refused<V>(each, null, each.reason))
  ]
  const notes: Note[] = []
  if (hasCircle) notes.push('circle-does-not-count')
  if (said.unsupported.length > 0 || readable.some(isUnknown)) notes.push('unsupported-kept')
  if (leftOut.some(({ outcome }) => outcome === 'refused')) notes.push('refused-left-out')
  const all = [...entries, ...leftOut]
  return { key, type: folded.type, rule, because: RULES[rule], notes, entries: all, fields }
}

class Explainer<V> {
  readonly #admitted: AdmittedLength
  readonly #options: FoldOptions
  readonly #deletes: Deletes
  readonly #show: Show<V>

  constructor(admitted: AdmittedLength, options: FoldOptions, show: Show<V>) {
    this.#admitted = admitted
    this.#options = options
    this.#deletes = options.deletes ?? 'add-wins'
    this.#show = show
  }

  explain(said: readonly Said[], folded: FoldedEntry<Said>): Found<V> {
    if (said.length === 0) return { rule: 'nothing', ...NO_ENTRIES }
    const [first] = said
    if (said.some(({ entry }) => entry.type !== first?.entry.type)) return this.#mixed(said, folded)
    if (first?.entry.type === 'value') return this.#value(said)
    return folded.isUnknownType ? this.#mixed(said, folded) : this.#together(said, folded)
  }

  #value(said: readonly Said[]): Found<V> {
    const { places, shown } = foldFields(said, this.#admitted, this.#deletes)
    const fields = places.map(({ path, marks, winner }) => {
      const items = marks.map((mark): Item => {
        const content = mark.value === null ? null : readValue(mark.value, path.length)
        const refusal = content === undefined ? 'value-malformed' : null
        return { ...mark, content: content ?? null, refusal }
      })
      const judgement = judgeRegisters(items, this.#admitted, this.#deletes)
      const hasRoom = winner.value === null || shown.includes(winner)
      const rule = hasRoom ? ruleOf(judgement, this.#deletes) : 'no-room'
      const entries = this.#judged(judgement, path.length > 0, hasRoom)
      return { path, rule, because: RULES[rule], entries, hasCircle: hasCircle(judgement) }
    })
    const circles = fields.some((field) => field.hasCircle)
    const [only] = fields
    if (only?.path.length === 0 && fields.length === 1) {
      return { rule: only.rule, entries: only.entries, fields: [], hasCircle: circles }
    }
    const explained = fields.map(({ path, rule, because, entries }) => ({
      path,
      rule,
      because,
      entries
    }))
    return { rule: 'field-by-field', entries: [], fields: explained, hasCircle: circles }
  }

  /** Entries of different types, or of one that nobody here knows: judged as wholes. */
  #mixed(said: readonly Said[], folded: FoldedEntry<Said>): Found<V> {
    const items = said.map((each) => this.#whole(each))
    const judgement = judgeRegisters(items, this.#admitted, this.#deletes)
    const shown = new Set(folded.shown.map((each) => each.said))
    const listed = new Set(folded.conflicts.map(({ of }) => of.said))
    const outcome = ({ said: of }: Item): Outcome =>
      of === folded.winner?.said
        ? 'winner'
        : shown.has(of)
          ? 'counts'
          : listed.has(of)
            ? 'conflict'
            : 'covered'
    const entries = items.map((item) =>
      explained(item, outcome(item), judgement, this.#shown(item))
    )
    const rule = said.length === 1 ? 'only-entry' : 'type-of-the-greatest'
    return { rule, entries: entries.sort(byOutcome), fields: [], hasCircle: hasCircle(judgement) }
  }

  /** Counters, sets and the like. */
  #together(said: readonly Said[], folded: FoldedEntry<Said>): Found<V> {
    const items = said.map((each) => this.#whole(each))
    const judgement = judgeRegisters(items, this.#admitted, this.#deletes)
    const shown = new Set(folded.shown.map((each) => each.said))
    const entries = items.map((item) => {
      const outcome = shown.has(item.said) ? 'counts' : 'covered'
      return { ...explained(item, outcome, judgement, this.#shown(item)), coveredBy: [] }
    })
    return { rule: 'all-count', entries: entries.sort(byOutcome), fields: [], hasCircle: false }
  }

  #whole(said: Said): Item {
    const { position, stamp, seen } = said.entry.head
    const written = isUnknown(said) ? null : lastWritten(said, this.#options)
    const value = written?.isDeletion === true ? null : SOMETHING
    const refusal = written === null ? 'entry-unsupported' : null
    return { position, stamp, seen, value, said, content: written?.value ?? null, refusal }
  }

  #shown({ content, refusal }: Item): V | Value | null {
    return refusal !== null || content === null ? null : (this.#show(content) ?? content)
  }

  #judged(judgement: Judgement<Item>, isField: boolean, hasRoom: boolean): ExplainedEntry<V>[] {
    const { winner, conflicts, registers } = judgement
    const covered = registers.filter((each) => each !== winner && !conflicts.includes(each))
    const show = (item: Item, outcome: Outcome) => {
      const { content, refusal, value } = item
      const isShown = value !== null && refusal === null
      const shown = !isShown ? null : isField ? content : this.#show(content)
      return explained(item, refusal === null ? outcome : 'refused', judgement, shown)
    }
    return [
      show(winner, hasRoom ? 'winner' : 'conflict'),
      // One whose value cannot be read is not shown by the view; what it had seen counts all the same.
      ...conflicts.map((each) =>
        show(each, each.value === null && winner.value === null ? 'agrees' : 'conflict')
      ),
      ...covered.map((each) =>
        explained(each, 'covered', judgement, isField ? each.content : this.#show(each.content))
      )
    ]
  }
}

const NO_ENTRIES = { entries: [], fields: [], hasCircle: false }

/** Stands for any value where only its being there matters. */
const SOMETHING = new Uint8Array(1)

const ORDER: readonly Outcome[] = ['winner', 'counts', 'conflict', 'covered']

function byOutcome(a: ExplainedEntry<unknown>, b: ExplainedEntry<unknown>): number {
  return ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome)
}

function isUnknown({ entry }: Said): boolean {
  return entry.type === 'unknown'
}

function ruleOf(judgement: Judgement<Item>, deletes: Deletes): Rule {
  const { winner, conflicts, candidates, registers } = judgement
  if (registers.length === 1) return 'only-entry'
  if (conflicts.length === 0) return 'seen-all-others'
  if ([winner, ...conflicts].every(({ value }) => value === null)) return 'all-deletions'
  if (candidates.length === 1) return 'others-covered-weakly'
  const isMixed = candidates.some(({ value }) => (value === null) !== (winner.value === null))
  if (!isMixed) return 'greatest-stamp'
  return deletes === 'add-wins' ? 'edit-beats-deletion' : 'deletion-beats-edit'
}

function hasCircle({ covers }: Judgement<Item>): boolean {
  return covers.some(({ kind }) => kind === 'circle')
}

function explained<V>(
  { said, position, stamp, seen, value, refusal }: Item,
  outcome: Outcome,
  judgement: Judgement<Item>,
  shown: V | Value | null
): ExplainedEntry<V> {
  const { writer, isOwn } = said
  return {
    writer,
    isOwn,
    outcome,
    seq: position.seq,
    stamp,
    value: shown,
    deleted: value === null,
    refusal,
    seen: seen.map((item) => explainSeen(said, item, judgement)),
    coveredBy: judgement.covers
      .filter(({ to, kind }) => to.said === said && kind === 'ordinary')
      .map(({ from }) => from.said.writer)
  }
}

const MEANS = { ordinary: 'covers', weak: 'covers-weakly', circle: 'circle' } as const

function explainSeen(
  from: Said,
  item: Position,
  { registers, covers }: Judgement<Item>
): ExplainedSeen {
  const writer = z32.encode(item.core)
  const { seq } = item
  const cover = covers.find((each) => each.from.said === from && each.to.said.writer === writer)
  if (cover !== undefined) return { writer, seq, means: MEANS[cover.kind] }
  const isHere = registers.some((each) => each.said.writer === writer)
  return { writer, seq, means: isHere ? 'earlier' : 'nothing-here' }
}

function unreadable<V>(writer: string, { isOwnUnsupported }: SaidByAll): ExplainedEntry<V> {
  const refusal = 'entry-unsupported'
  return { ...NOTHING_READ, writer, isOwn: isOwnUnsupported, outcome: 'unsupported', refusal }
}

function refused<V>(
  { writer, isOwn, seq }: Pick<Said, 'writer' | 'isOwn' | 'seq'>,
  stamp: Stamp | null,
  refusal: RefusalReason
): ExplainedEntry<V> {
  return { ...NOTHING_READ, writer, isOwn, outcome: 'refused', seq, stamp, refusal }
}

const NOTHING_READ = {
  seq: null,
  stamp: null,
  value: null,
  deleted: false,
  seen: [],
  coveredBy: []
}
