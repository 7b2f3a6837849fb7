/** The lines of a file as keys and values, one after the other: memory stays flat however long it is. A bad line is an answer. */
import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { encodeValue, type Value } from '../crdt/index.ts'
import { MAX_KEY_BYTES } from '../multiwriter/index.ts'
import { CliError, EXIT, usage } from './exit.ts'
import { openFile } from './files.ts'
import { readLines } from './lines.ts'
import { jsonToValue } from './values.ts'

export type Format = 'jsonl' | 'csv'

/** One line of a file. */
export interface LineRecord {
  /** From 1 on. */
  readonly line: number
  readonly key: string
  readonly value: Value
  /** About what it takes. */
  readonly bytes: number
  /** Why it cannot be written, or null. */
  readonly problem: string | null
}

export interface Input {
  readonly stream: Readable
  /** 0 when nobody knows. */
  readonly bytes: number
  /** Whether it can be read again from its beginning. */
  readonly isAtRest: boolean
  /** Bytes so far. */
  read(): number
  close(): void
}

/** A line longer than any value and its key would be. */
const MAX_LINE_BYTES = 32 * 1024 * 1024

/** @param signal ends reading, also while nothing comes */
export async function openInput(
  file: string,
  stdin: Readable,
  signal: AbortSignal
): Promise<Input> {
  const input = await openStream(file, stdin)
  signal.addEventListener('abort', () => input.close())
  if (signal.aborted) input.close()
  return input
}

async function openStream(file: string, stdin: Readable): Promise<Input> {
  const { stream, bytes, isAtRest } =
    file === '-' ? { stream: stdin, bytes: 0, isAtRest: false } : await openFile(file)
  let read = 0
  stream.on('data', (chunk: Buffer) => (read += chunk.byteLength))
  stream.pause()
  return { stream, bytes, isAtRest, read: () => read, close: () => stream.destroy() }
}

export function readRecords(
  input: Input,
  format: Format,
  keyColumn: string
): AsyncIterable<LineRecord> {
  return format === 'csv' ? readCsv(input, keyColumn) : readJsonLines(input)
}

async function* readJsonLines({ stream }: Input): AsyncGenerator<LineRecord> {
  let line = 0
  for await (const { text, problem } of readLines(stream, MAX_LINE_BYTES)) {
    line++
    if (problem !== null) yield bad(line, new TypeError(problem))
    else if (text.trim() !== '') yield parsed(line, text)
  }
}

function parsed(line: number, text: string): LineRecord {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json !== 'object' || json === null || !('key' in json) || !('value' in json)) {
      throw new TypeError('expected {"key":…,"value":…}')
    }
    if (typeof json.key !== 'string') throw new TypeError('the key is not text')
    return checked(line, json.key, jsonToValue(json.value), text.length)
  } catch (error) {
    return bad(line, error)
  }
}

/** Each byte is a character while quotes and commas are told apart, so that a field that is not UTF-8 harms its line only. */
async function* readCsv({ stream }: Input, keyColumn: string): AsyncGenerator<LineRecord> {
  const skipped: LineRecord[] = []
  // The line in which the last record ended, and how many blank ones there were by then.
  let ended = { line: 0, blank: 0 }
  const parser = parse({
    encoding: 'latin1',
    info: true,
    columns: (names: readonly string[]) => {
      ended = { line: parser.info.lines, blank: parser.info.empty_lines }
      return names.map(utf8Of)
    },
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: MAX_LINE_BYTES,
    skip_records_with_error: true,
    on_record: (record: unknown, { lines, empty_lines }) => {
      ended = { line: lines, blank: empty_lines }
      return record
    },
    on_skip: (error) => {
      const open = OPEN_QUOTE[error?.code ?? '']
      const { lines, empty_lines: blank } = parser.info
      const begun = ended.line + 1 + blank - ended.blank
      skipped.push(open === undefined ? bad(lines, error) : unread(begun, open))
      ended = { line: lines, blank }
      // What follows would be read as a part of it.
      if (open !== undefined) parser.destroy(UNCLOSED)
    }
  })
  const bytes = Readable.from(withoutMark(stream))
  bytes.on('error', (error) => parser.destroy(error))
  bytes.pipe(parser)
  try {
    for await (const row of parser as AsyncIterable<CsvRow>) {
      while (skipped[0] !== undefined && skipped[0].line <= row.info.lines)
        yield* skipped.splice(0, 1)
      yield fromRow(row, keyColumn)
    }
  } catch (error) {
    if (error instanceof CliError || (error instanceof Error && 'syscall' in error)) throw error
    if (error !== UNCLOSED) yield bad(parser.info.lines, error) // the line that names the columns
  }
  yield* skipped
}

/** What is wrong with a quote that is not closed; it holds everything that follows. */
const OPEN_QUOTE: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote that opens here is not closed',
  CSV_MAX_RECORD_SIZE: `what begins here is longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB: is a quote open?`
}

/** Ends reading; what is wrong has been said. */
const UNCLOSED = new Error('A quote is not closed')

/** Without the byte order mark that some programs write first. */
async function* withoutMark(stream: Readable): AsyncGenerator<Buffer> {
  let isFirst = true
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const hasMark = isFirst && chunk.subarray(0, 3).equals(BYTE_ORDER_MARK)
    yield hasMark ? chunk.subarray(3) : chunk
    isFirst = false
  }
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function utf8Of(latin1: string): string {
  try {
    return utf8.decode(Buffer.from(latin1, 'latin1'))
  } catch {
    throw new TypeError('the line is not UTF-8')
  }
}

interface CsvRow {
  readonly record: Readonly<Record<string, string>>
  readonly info: {
    readonly lines: number
    readonly columns: readonly { readonly name: string }[]
    readonly error?: Error
  }
}

function fromRow({ record, info }: CsvRow, keyColumn: string): LineRecord {
  const names = info.columns.map(({ name }) => name)
  if (!names.includes(keyColumn)) {
    throw usage(
      `The file has no column ${JSON.stringify(keyColumn)}, but ${names.join(', ')}.`,
      'Name the one that holds the key: --key COLUMN'
    )
  }
  try {
    if (info.error !== undefined) throw info.error
    const texts = Object.entries(record).map(([name, field]) => [name, utf8Of(field)] as const)
    const { [keyColumn]: key = '', ...fields } = Object.fromEntries(texts)
    const bytes = texts.reduce((sum, [, field]) => sum + field.length, 0)
    return checked(info.lines, key, rowValue(names, fields), bytes)
  } catch (error) {
    return bad(info.lines, error)
  }
}

/** `key,value` is what export writes: the value is JSON. Other columns are fields of text. */
function rowValue(names: readonly string[], fields: Readonly<Record<string, string>>): Value {
  const { value } = fields
  const isWhole = names.length === 2 && names.includes('value') && value !== undefined
  return isWhole ? jsonToValue(JSON.parse(value)) : { ...fields }
}

const encoder = new TextEncoder()

/** Everything that the database would refuse is refused here, where the line is known. */
function checked(line: number, key: string, value: Value, bytes: number): LineRecord {
  if (key === '') throw new TypeError('the key is empty')
  if (!key.isWellFormed()) throw new TypeError('the key has a lone surrogate')
  if (encoder.encode(key).byteLength > MAX_KEY_BYTES) {
    throw new TypeError(`the key is longer than ${MAX_KEY_BYTES} bytes`)
  }
  encodeValue(value)
  return { line, key, value, bytes, problem: null }
}

function bad(line: number, error: unknown): LineRecord {
  if (error instanceof CliError && error.exit === EXIT.usage) throw error
  const message = error instanceof Error ? error.message : String(error)
  return unread(line, message.replace(/\.$/, ''))
}

function unread(line: number, problem: string): LineRecord {
  return { line, key: '', value: null, bytes: 0, problem }
}
