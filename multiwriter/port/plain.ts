/** What crosses a port in place of our objects: plain data, stamps as text. */
import { stampToText } from '../../clock/index.ts'
import type { Value } from '../../crdt/index.ts'
import type { Change, Conflict, Difference, Entry, HistoryEntry } from '../entry.ts'

export interface PlainEntry {
  readonly excludedSince?: number
  readonly key: string
  readonly value: Value
  readonly seq: number
  readonly writer: string
  /** The stamp's text form. */
  readonly stamp: string
  readonly conflicts: readonly PlainConflict[]
}

export interface PlainConflict {
  readonly path: readonly string[]
  readonly value: Value
  readonly deleted: boolean
  readonly seq: number
  readonly writer: string
  readonly stamp: string
}

export interface PlainChange {
  readonly key: string
  readonly current: PlainEntry | null
  readonly previous: PlainEntry | null
  readonly writer: string
}

export interface PlainDifference {
  readonly key: string
  readonly left: PlainEntry | null
  readonly right: PlainEntry | null
}

export interface PlainHistory {
  readonly type: 'put' | 'del'
  readonly key: string
  readonly value: Value | null
  readonly paths: readonly (readonly string[])[]
  readonly seq: number
  readonly writer: string
  readonly stamp: string
}

export function plainDifference(difference: Difference<string, Value>): PlainDifference {
  const { key, left, right } = difference
  return { key, left: plainOrNull(left), right: plainOrNull(right) }
}

export function plainHistory({ stamp, ...entry }: HistoryEntry<string, Value>): PlainHistory {
  return { ...entry, stamp: stampToText(stamp) }
}

export function plainEntry({ conflicts, stamp, ...entry }: Entry<string, Value>): PlainEntry {
  return { ...entry, stamp: stampToText(stamp), conflicts: conflicts.map(plainConflict) }
}

function plainConflict({ stamp, ...conflict }: Conflict<Value>): PlainConflict {
  return { ...conflict, stamp: stampToText(stamp) }
}

export function plainChange(change: Change<string, Value>): PlainChange {
  const { key, current, previous, writer } = change
  return { key, current: plainOrNull(current), previous: plainOrNull(previous), writer }
}

export function plainOrNull(entry: Entry<string, Value> | null): PlainEntry | null {
  return entry === null ? null : plainEntry(entry)
}
