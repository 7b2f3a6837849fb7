/** What a command prints: results on stdout, everything else on stderr; colours and progress for people at a terminal only. */
import { styleText } from 'node:util'
import progress from 'cli-progress'
import type { Progress as Step } from '../core/index.ts'
import { PipeClosed } from './exit.ts'
import { bytesText, counted } from './numbers.ts'
import type { Host, Sink } from './host.ts'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Which stream has colours is ours to say: Node would look at its own stdout. */
const FORCED = { validateStream: false }

/** Shorter work shows no bar, in ms. */
const PROGRESS_AFTER = 1000

/** Of a terminal that does not say how wide it is. */
const DEFAULT_WIDTH = 80

export class Output {
  readonly json: boolean
  readonly #out: Sink
  readonly #err: Sink
  readonly #env: Host['env']
  /** Why nothing more can be written. */
  #failure: Error | null = null
  /** Resumes a write that waits for the reader. */
  #wake: (() => void) | null = null

  constructor(json: boolean, { stdout, stderr, env }: Host) {
    this.json = json
    this.#out = stdout
    this.#err = stderr
    this.#env = env
    this.#out.on('error', (error: NodeJS.ErrnoException) => {
      // The reader has what it wanted, or the disk is full.
      this.#failure ??= error.code === 'EPIPE' ? new PipeClosed() : error
      this.#wake?.()
    })
    this.#out.on('drain', () => this.#wake?.())
    this.#err.on('error', () => {})
  }

  /** Whether a person reads along. */
  get isTerminal(): boolean {
    return this.#out.isTTY === true
  }

  /** Characters that fit into a line, or Infinity. */
  get width(): number {
    return this.isTerminal ? (this.#out.columns ?? DEFAULT_WIDTH) : Infinity
  }

  /** Writes as fast as it is read. @throws PipeClosed, what the system says */
  async write(chunk: string | Uint8Array): Promise<void> {
    this.#check()
    if (!this.#out.write(chunk)) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#check()
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure
  }

  line(text = ''): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** One line of JSON. */
  data(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value))
  }

  /** The JSON document of a result, or the same for people. */
  async result(value: unknown, lines: () => readonly string[]): Promise<void> {
    if (this.json) return this.data(value)
    for (const line of lines()) await this.line(line)
  }

  /** To the person, not to the next program. */
  note(text: string): void {
    this.#err.write(`${text}\n`)
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    while (this.#failure === null && this.#out.writableLength > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        this.#out.write('', () => resolve())
      })
    }
  }

  style(style: Style, text: string): string {
    return this.#hasColour(this.#out) ? styleText(style, text, FORCED) : text
  }

  noteStyle(style: Style, text: string): string {
    return this.#hasColour(this.#err) ? styleText(style, text, FORCED) : text
  }

  /** On stderr, once the work has taken a second: a bar, or a count where nobody knows of how many. */
  progress(): Progress {
    return new Progress(this.#err)
  }

  #hasColour(stream: Sink): boolean {
    const { NO_COLOR, TERM } = this.#env
    return stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb'
  }
}

export class Progress {
  readonly #stream: Sink
  readonly #startedAt = performance.now()
  #bar: progress.SingleBar | null = null
  /** What the bar was made for. */
  #shape = ''

  constructor(stream: Sink) {
    this.#stream = stream
  }

  /** @param note said behind the bar, instead of the number */
  show({ task, done, total = 0, unit }: Step, note?: string): void {
    if (this.#stream.isTTY !== true) return
    if (performance.now() - this.#startedAt < PROGRESS_AFTER) return
    const shape = `${task} ${total > 0}`
    if (this.#bar === null || shape !== this.#shape) this.#begin(task, total)
    this.#shape = shape
    if (total > 0) this.#bar?.setTotal(total)
    this.#bar?.update(done, { note: note ?? amount(done, unit) })
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = null
  }

  #begin(task: string, total: number): void {
    this.stop()
    this.#bar = new progress.SingleBar({
      format: total > 0 ? `${task} {bar} {percentage}%  {note}` : `${task}  {note}`,
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      stream: this.#stream
    })
    this.#bar.start(Math.max(1, total), 0, { note: '…' })
  }
}

const ONE = { entries: 'entry', blocks: 'block', keys: 'key', logs: 'log' } as const

function amount(done: number, unit: Step['unit']): string {
  if (done === 0) return '…'
  return unit === 'bytes' ? bytesText(done) : counted(Math.floor(done), ONE[unit])
}

/** A key or name as it is, unless it would do something to a terminal. */
export function shown(text: string): string {
  return /^[^\p{Cc}\p{Cf}"]+$/u.test(text) && text.trim() === text ? text : JSON.stringify(text)
}

/** As much as fits. */
export function clipped(text: string, width: number): string {
  if (text.length <= width) return text
  return `${text.slice(0, Math.max(0, width - 1))}…`
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  )
}
