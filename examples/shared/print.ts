/** Plain text for people: aligned, at most 100 columns, colours only where there is somebody to see them. */
import { styleText } from 'node:util'

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
  const width = Math.max(...cells.map(columns))
  return cells.map((cell) => {
    const space = ' '.repeat(width - columns(cell))
    return isRight ? space + cell : cell + space
  })
}

/** What a terminal makes of it: the characters of East Asia are two wide. */
function columns(text: string): number {
  return text.length + (text.match(/[\p{Script=Han}\p{Script=Hira}\p{Script=Kana}]/gu)?.length ?? 0)
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
