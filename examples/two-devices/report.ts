/** How this story shows its cities and its conflicts. */
import type { Value } from '../../index.ts'
import { count, table } from '../shared/print.ts'
import { isFields } from './edits.ts'
import type { ConflictRow, Said } from './protocol.ts'

/** Key, who won and with what, what the other wrote, why. */
export function conflictTable(rows: readonly ConflictRow[]): void {
  const cells = rows.map((row) => [row.key, said(row.won), said(row.lost), why(row)])
  table([['key', 'wins', 'loses', 'because'], ...cells])
}

function said({ by, value }: Said): string {
  return `${by}: ${summary(value)}`
}

/** A city by what the session changes; a note by its text. */
export function summary(value: Value): string {
  if (value === null) return '(deleted)'
  if (!isFields(value)) return JSON.stringify(value)
  const { name, population, text } = value
  if (typeof text === 'string') return `"${text}"`
  if (typeof name !== 'string' || typeof population !== 'number') return JSON.stringify(value)
  return `${name} ${count(population)}`
}

function why({ lost, laterMs }: ConflictRow): string {
  if (lost.value === null) return 'edit beats delete'
  return laterMs > 0 ? `later, by ${laterMs} ms` : 'same ms, tie'
}
