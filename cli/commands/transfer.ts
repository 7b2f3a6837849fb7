/** `import` and `export`: whole databases as JSON Lines or CSV. */
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { Option } from 'commander'
import { stringify, type Stringifier } from 'csv-stringify'
import type { Progress } from '../../core/index.ts'
import type { DevicePort, PlainEntry, PlainWrite, Where } from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { CliError, EXIT, usage } from '../exit.ts'
import { openInput, readRecords, type Format, type Input, type LineRecord } from '../import.ts'
import { counted, verb } from '../numbers.ts'
import { readOf, withPaging, type RangeOptions } from '../options.ts'
import type { Output } from '../output.ts'
import type { Run } from '../run.ts'
import { valueToJson, valueToText } from '../values.ts'

interface ImportOptions {
  readonly format?: Format
  readonly key: string
  readonly skipBad?: boolean
  readonly atomic?: boolean
}

interface ExportOptions extends RangeOptions {
  readonly format?: Format
  readonly output?: string
  readonly columns?: string
}

/** Written together; all of it or nothing. */
const BATCH_LINES = 500
const BATCH_BYTES = 1024 * 1024

/** More bad lines than that are counted, not named. */
const MAX_NAMED = 20

export function transferCommands(define: Define, execute: Execute): void {
  define('import <file>', 'write the keys and values of a file; - reads stdin', [
    'manyhands import contacts.jsonl                # lines of {"key":"…","value":…}',
    'manyhands import people.csv --key email        # each row an object under its email',
    'manyhands import big.jsonl --atomic            # nothing is written if a line is bad',
    'zcat big.jsonl.gz | manyhands import - --skip-bad'
  ])
    .addOption(formatOption())
    .option('--key <column>', 'of CSV: the column that holds the key', 'key')
    .option('--skip-bad', 'name bad lines and write the others (exit code 1 if there were any)')
    .option('--atomic', 'check the whole file first; a bad line, and nothing is written')
    .action((file: string, options: ImportOptions, command) =>
      execute(command, (run) => importFile(run, file, options))
    )

  withPaging(
    define('export [prefix]', 'print keys and values, as import takes them', [
      'manyhands export > all.jsonl',
      'manyhands export contacts/ --format csv --columns name,phone',
      'manyhands export --output all.csv'
    ])
  )
    .addOption(formatOption())
    .option('--output <file>', 'write into a file instead of stdout')
    .option('--columns <names>', 'of CSV: fields of the values, instead of one column of JSON')
    .action((prefix: string | undefined, options: ExportOptions, command) =>
      execute(command, (run) => exportRange(run, prefix, options))
    )
}

function formatOption(): Option {
  return new Option(
    '--format <format>',
    'default: what the name of the file says, else jsonl'
  ).choices(['jsonl', 'csv'])
}

function formatOf(file: string | undefined, format: Format | undefined): Format {
  return format ?? (file?.toLowerCase().endsWith('.csv') === true ? 'csv' : 'jsonl')
}

async function importFile(run: Run, file: string, options: ImportOptions): Promise<number> {
  const { skipBad = false, atomic = false, key } = options
  if (skipBad && atomic) throw usage('Give --skip-bad or --atomic, not both.')
  const format = formatOf(file, options.format)
  const { stdin } = run.host
  const first = await openInput(file, stdin, run.signal) // a missing file is said before the store is opened
  if (atomic) {
    if (!first.isAtRest) {
      first.close()
      throw usage('--atomic reads the file twice: stdin, or a pipe, cannot be.')
    }
    await check(run, first, format, key)
    return writeAll(run, await openInput(file, stdin, run.signal), { format, key, skipBad })
  }
  return writeAll(run, first, { format, key, skipBad })
}

/** @throws naming the first bad line */
async function check(run: Run, input: Input, format: Format, key: string): Promise<void> {
  const bar = run.output.progress()
  try {
    for await (const record of readRecords(input, format, key)) {
      if (run.isInterrupted) return
      if (record.problem !== null) throw badLine(record, 'Nothing was written.')
      bar.show(readOfFile('checking', input))
    }
  } finally {
    bar.stop()
    input.close()
  }
}

interface WriteOptions {
  readonly format: Format
  readonly key: string
  readonly skipBad: boolean
}

async function writeAll(run: Run, input: Input, options: WriteOptions): Promise<number> {
  const port = await run.open({ serve: true })
  const writer = new BatchWriter(port, await run.where(port))
  const bar = run.output.progress()
  run.onInterrupt = () => `Interrupted: ${lines(writer.written)} of the file are written.`
  let bad = 0
  try {
    for await (const record of readRecords(input, options.format, options.key)) {
      if (run.isInterrupted) return EXIT.interrupted
      if (record.problem === null) await writer.add(record)
      else if (options.skipBad) nameBad(run.output, record, ++bad)
      else {
        await writer.flush()
        throw badLine(record, `${lines(writer.written)} before it ${verb(writer.written)} written.`)
      }
      bar.show(readOfFile('importing', input), lines(writer.written))
    }
    await writer.flush()
  } finally {
    bar.stop()
    input.close()
  }
  run.onInterrupt = null
  await run.output.result({ written: writer.written, bad }, () => [
    `${lines(writer.written)} written${bad > 0 ? `, ${lines(bad)} left out` : ''}.`
  ])
  return bad > 0 ? EXIT.no : EXIT.ok
}

function nameBad(output: Output, { line, problem }: LineRecord, bad: number): void {
  if (bad <= MAX_NAMED) output.note(`Line ${line}: ${problem}`)
  if (bad === MAX_NAMED + 1) output.note('More bad lines are only counted.')
}

function badLine({ line, problem }: LineRecord, done: string): CliError {
  const next = 'Correct the line, or write the others with --skip-bad.'
  return new CliError(EXIT.input, 'LINE_INVALID', `Line ${line}: ${problem}. ${done}`, next)
}

/** How far a file is read. Of stdin nobody knows how much there is. */
function readOfFile(task: string, input: Input): Progress {
  const total = input.bytes === 0 ? {} : { total: input.bytes }
  return { task, done: input.read(), ...total, unit: 'bytes' }
}

function lines(number: number): string {
  return counted(number, 'line')
}

class BatchWriter {
  written = 0
  readonly #port: DevicePort
  readonly #where: Where
  #writes: PlainWrite[] = []
  #bytes = 0

  constructor(port: DevicePort, where: Where) {
    this.#port = port
    this.#where = where
  }

  async add({ key, value, bytes }: LineRecord): Promise<void> {
    this.#writes.push({ key, value })
    this.#bytes += bytes
    if (this.#writes.length >= BATCH_LINES || this.#bytes >= BATCH_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    const writes = this.#writes
    this.#writes = []
    this.#bytes = 0
    if (writes.length === 0) return
    await this.#port.call('db/write', { ...this.#where, writes })
    this.written += writes.length
  }
}

async function exportRange(
  run: Run,
  prefix: string | undefined,
  options: ExportOptions
): Promise<number> {
  const format = formatOf(options.output, options.format)
  if (options.columns !== undefined && format !== 'csv') throw usage('--columns is for CSV.')
  const port = await run.open()
  const where = await run.where(port)
  const sink = await openSink(run.output, options.output)
  let written = 0
  const rows = format === 'csv' ? csvRows(options.columns) : jsonRows()
  // On a terminal the lines themselves say how far it is.
  const bar = options.output === undefined && run.output.isTerminal ? null : run.output.progress()
  try {
    for await (const entry of port.stream('db/read', { ...where, ...readOf(prefix, options) })) {
      if (run.isInterrupted) break
      await sink.write(await rows(entry))
      bar?.show({ task: 'exporting', done: ++written, unit: 'entries' })
    }
    await sink.write(await rows(null))
  } finally {
    bar?.stop()
    await sink.close()
  }
  if (options.output !== undefined) {
    await run.output.result({ written }, () => [`${lines(written)} written to ${options.output}.`])
  }
  return EXIT.ok
}

/** An entry as text; null asks for what ends the file. */
type Rows = (entry: PlainEntry | null) => Promise<string>

function jsonRows(): Rows {
  return (entry) =>
    Promise.resolve(
      entry === null
        ? ''
        : `${JSON.stringify({ key: entry.key, value: valueToJson(entry.value) })}\n`
    )
}

function csvRows(columns: string | undefined): Rows {
  const names = columns?.split(',') ?? ['value']
  const csv = stringify({ header: true, columns: ['key', ...names] })
  let text = ''
  csv.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const take = () => {
    const taken = text
    text = ''
    return taken
  }
  return async (entry) => {
    if (entry === null) await ended(csv)
    else csv.write(columns === undefined ? wholeRow(entry) : fieldsRow(entry, names))
    return take()
  }
}

async function ended(csv: Stringifier): Promise<void> {
  csv.end()
  await once(csv, 'end')
}

function wholeRow({ key, value }: PlainEntry): Record<string, string> {
  return { key, value: valueToText(value) }
}

function fieldsRow({ key, value }: PlainEntry, names: readonly string[]): Record<string, string> {
  const fields = new Map<string, unknown>(
    typeof value === 'object' && value !== null ? Object.entries(value) : []
  )
  return { key, ...Object.fromEntries(names.map((name) => [name, cell(fields.get(name))])) }
}

function cell(field: unknown): string {
  if (field === undefined) return ''
  return typeof field === 'string' ? field : valueToText(field as PlainEntry['value'])
}

interface Sink {
  write(text: string): Promise<void>
  close(): Promise<void>
}

async function openSink(output: Output, file: string | undefined): Promise<Sink> {
  if (file === undefined) {
    return { write: (text) => output.write(text), close: () => Promise.resolve() }
  }
  const stream: WriteStream = createWriteStream(file)
  await once(stream, 'open')
  return {
    async write(text) {
      if (!stream.write(text)) await once(stream, 'drain')
    },
    async close() {
      stream.end()
      await once(stream, 'close')
    }
  }
}
