/** Plain text for people: aligned, at most 100 columns, colours only where there is somebody to see them. */
import { styleText } from 'node:util'
import type { Value } from '../../index.ts'
import { isFields } from './edits.ts'
import type { ConflictRow, Said } from './protocol.ts'

const HAS_COLOURS = process.stdout.isTTY && process.env.NO_COLOR === undefined

export function title(text: string): void {
  console.log(HAS_COLOURS ? styleText('bold', text) : text)
}

export function heading(text: string): void {
  console.log()
  title(text)
}

export function line(text: string): void {
  console.log(`   ${text}`)
}

/** Columns as wide as their widest cell, numbers to the right. The first row holds the headings. */
export function table(rows: readonly (readonly string[])[]): void {
  const [headings = [], ...body] = rows
  const aligned = headings.map((_, i) =>
    alignColumn(
      rows.map((row) => row[i] ?? ''),
      body.every((row) => isNumber(row[i]))
    )
  )
  rows.forEach((_, i) => {
    const text = aligned
      .map((column) => column[i])
      .join('  ')
      .trimEnd()
    line(HAS_COLOURS && i === 0 ? styleText('dim', text) : text)
  })
}

function alignColumn(cells: readonly string[], isRight: boolean): string[] {
  const width = Math.max(...cells.map((cell) => cell.length))
  return cells.map((cell) => (isRight ? cell.padStart(width) : cell.padEnd(width)))
}

/** With or without a unit of time. */
function isNumber(cell = ''): boolean {
  return /^[\d.,]+( m?s)?$/.test(cell)
}

/** 12345.6 becomes `12,346`. */
export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Three figures are all that a single run is worth. */
export function ms(time: number): string {
  if (time >= 1000) return `${(time / 1000).toFixed(2)} s`
  return `${time.toFixed(time < 10 ? 1 : 0)} ms`
}

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
