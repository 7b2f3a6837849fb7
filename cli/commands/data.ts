/** Reading and writing single keys, listing, watching. */
import { writeFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { MAX_VALUE_BYTES, type Value } from '../../crdt/index.ts'
import type {
  DevicePort,
  PlainChange,
  PlainConflict,
  PlainEntry,
  PlainRange,
  PlainWrite,
  Where
} from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { CliError, EXIT, usage } from '../exit.ts'
import { openFile, readWhole } from '../files.ts'
import { rangeOf, readOf, withPaging, withRange, type RangeOptions } from '../options.ts'
import { clipped, shown, type Output } from '../output.ts'
import type { Run } from '../run.ts'
import { parseValue, valueToJson, valueToText } from '../values.ts'

interface ValueOptions {
  readonly text?: boolean
  readonly file?: string
}

interface Condition {
  readonly if?: string
  readonly ifAbsent?: boolean
}

interface PutOptions extends ValueOptions, Condition {}

export function dataCommands(define: Define, execute: Execute): void {
  define('put <key> [value]', 'write a value: JSON, or with --text what you typed', [
    `manyhands put contacts/ann '{"phone":"1"}'`,
    'manyhands put greeting --text "good morning"',
    'manyhands put photo --file cat.jpg',
    'date | manyhands put now --text -',
    'manyhands put counter 2 --if 1                 # exit code 1: it was not 1'
  ])
    .option('--text', 'the value is text, not JSON; - reads it from stdin')
    .option('--file <file>', 'the value is the bytes of a file; - reads them from stdin')
    .option('--if <value>', 'only if this JSON is there now; else exit code 1')
    .option('--if-absent', 'only if nothing is there; else exit code 1')
    .action((key: string, value: string | undefined, options: PutOptions, command) =>
      execute(command, async (run) => {
        checkCondition(options)
        const given = await run.unlessInterrupted(readValue(run.host.stdin, value, options))
        const port = await run.open()
        const where = await run.where(port)
        const written = await writeOne(port, where, { key, value: given }, options)
        return wrote(run.output, { key, written })
      })
    )

  define('patch <key> [fields]', 'set some fields of an object, whatever the others are', [
    `manyhands patch contacts/ann '{"phone":"2"}'`,
    'manyhands patch contacts/ann --unset fax --unset address.city'
  ])
    .option('--unset <field>', 'delete a field; a dot leads into one; may be repeated', collect)
    .action((key: string, fields: string | undefined, { unset = [] }: PatchOptions, command) =>
      execute(command, async (run) => {
        if (fields === undefined && unset.length === 0) throw usage('Give fields, or --unset.')
        const given = fields === undefined ? {} : parseValue(fields)
        const port = await run.open()
        const where = await run.where(port)
        const paths = unset.map((path) => path.split('.'))
        await port.call('db/patch', { ...where, key, fields: given, unset: paths })
        return wrote(run.output, { key, written: true })
      })
    )

  define('get <key>', 'the value of a key; exit code 1 if there is none', [
    'manyhands get contacts/ann',
    'manyhands get greeting --text',
    'manyhands get photo --file cat.jpg',
    'manyhands get contacts/ann --json   # with author, time and conflicts'
  ])
    .option('--text', 'print text as it is, not as JSON')
    .option('--file <file>', 'write bytes or text into a file; - writes them to stdout')
    .action((key: string, options: ValueOptions, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const entry = await port.call('db/get', { ...(await run.where(port)), key })
        if (entry === null) return missing(run.output, key)
        await showValue(run.output, entry, options)
        return EXIT.ok
      })
    )

  define('del <key>', 'delete a key; exit code 1 if there is none', [
    'manyhands del contacts/ann',
    `manyhands del lock --if '"mine"'`
  ])
    .option('--if <value>', 'only if this JSON is there now; else exit code 1')
    .action((key: string, options: Condition, command) =>
      execute(command, async (run) => {
        checkCondition(options)
        const port = await run.open()
        const where = await run.where(port)
        if ((await port.call('db/get', { ...where, key })) === null) return missing(run.output, key)
        const deleted = await writeOne(port, where, { key }, options)
        return wrote(run.output, { key, deleted })
      })
    )

  withPaging(
    define('list [prefix]', 'keys and values in order', [
      'manyhands list contacts/',
      'manyhands list --gte a --lt b --reverse --limit 20',
      'manyhands list --keys | wc -l'
    ])
  )
    .option('--keys', 'only the keys')
    .action((prefix: string | undefined, options: ListOptions, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const where = await run.where(port)
        const entries = port.stream('db/read', { ...where, ...readOf(prefix, options) })
        for await (const entry of entries) await showEntry(run.output, entry, options)
      })
    )

  withPaging(
    define('conflicts [prefix]', 'what was written at the same time, and not chosen', [
      'manyhands conflicts contacts/',
      'manyhands conflicts --json'
    ])
  ).action((prefix: string | undefined, options: RangeOptions, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const where = await run.where(port)
      const entries = port.stream('db/conflicts', { ...where, ...readOf(prefix, options) })
      for await (const entry of entries) await showConflicts(run.output, entry)
    })
  )

  withRange(
    define('watch [prefix]', 'show each change as it happens, until Ctrl-C', [
      'manyhands watch contacts/',
      'manyhands watch --json | while read -r change; do echo "$change"; done'
    ])
  ).action((prefix: string | undefined, options: RangeOptions, command) =>
    execute(command, (run) =>
      run.lasting(
        () => watch(run, rangeOf(prefix, options)),
        () => run.output.note(TAKEN_OVER)
      )
    )
  )
}

/** A change between the two could not be seen by anybody who watches. */
const TAKEN_OVER =
  'The command that owned the store has ended. Watching again, from now on; changes between are not shown.'

async function watch(run: Run, range: PlainRange): Promise<void> {
  const port = await run.open({ serve: true })
  const changes = port.stream('db/watch', { ...(await run.where(port)), ...range })
  if (run.output.isTerminal) run.output.note('Watching; Ctrl-C ends.')
  for await (const change of changes) await showChange(run.output, change)
}

interface PatchOptions {
  readonly unset?: readonly string[]
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

interface ListOptions extends RangeOptions {
  readonly keys?: boolean
}

async function readValue(
  stdin: Readable,
  value: string | undefined,
  options: ValueOptions
): Promise<Value> {
  const { text = false, file } = options
  if (file !== undefined) {
    if (value !== undefined || text) throw usage('Give a value, or --file, not both.')
    const stream = file === '-' ? stdin : (await openFile(file)).stream
    return new Uint8Array(await readWhole(stream, MAX_VALUE_BYTES))
  }
  if (value === undefined) throw usage('The value is missing.', 'See: manyhands help put')
  const most = text ? MAX_VALUE_BYTES : MAX_JSON_BYTES
  const given = value === '-' ? (await readWhole(stdin, most)).toString() : value
  return text ? given : parseValue(given)
}

/** JSON may take more than the value that it says: blanks, escapes, base64. */
const MAX_JSON_BYTES = 8 * MAX_VALUE_BYTES

/** Before anything is read or opened. */
function checkCondition({ if: expected, ifAbsent = false }: Condition): void {
  if (expected === undefined) return
  if (ifAbsent) throw usage('Give --if or --if-absent, not both.')
  parseValue(expected)
}

/** @returns false when the condition did not hold: nothing was written */
async function writeOne(
  port: DevicePort,
  where: Where,
  write: PlainWrite,
  { if: expected, ifAbsent = false }: Condition
): Promise<boolean> {
  if (expected !== undefined) {
    return port.call('db/writeIf', { ...where, ...write, expected: parseValue(expected) })
  }
  if (ifAbsent) return port.call('db/writeIf', { ...where, ...write })
  await port.call('db/write', { ...where, writes: [write] })
  return true
}

async function wrote(
  output: Output,
  answer: { readonly key: string; readonly written?: boolean; readonly deleted?: boolean }
): Promise<number> {
  const isDone = answer.written ?? answer.deleted ?? false
  if (output.json) await output.data(answer)
  else if (!isDone) output.note(`${shown(answer.key)} has another value: nothing was written.`)
  return isDone ? EXIT.ok : EXIT.no
}

async function missing(output: Output, key: string): Promise<number> {
  if (output.json) await output.data(null)
  else output.note(`There is no ${shown(key)}.`)
  return EXIT.no
}

export function entryToJson(entry: PlainEntry): object {
  const { key, value, seq, writer, stamp } = entry
  const conflicts = entry.conflicts.map((each) => {
    const { path, deleted, seq, writer, stamp } = each
    return { path, value: valueToJson(each.value), deleted, seq, writer, stamp }
  })
  return { key, value: valueToJson(value), seq, writer, stamp, conflicts }
}

async function showValue(output: Output, entry: PlainEntry, options: ValueOptions): Promise<void> {
  const { text = false, file } = options
  if (output.json) return output.data(entryToJson(entry))
  if (file !== undefined) return writeValue(output, entry.value, file)
  if (text) return output.write(withNewline(textOf(entry.value, '--text')))
  await output.line(valueToText(entry.value))
  if (entry.conflicts.length === 0) return
  output.note(output.noteStyle('yellow', 'Written at the same time, and not chosen:'))
  for (const conflict of entry.conflicts) output.note(`  ${conflictToText(conflict)}`)
}

function conflictToText({ path, value, deleted, writer }: PlainConflict): string {
  const place = path.length === 0 ? '' : `${shown(path.join('.'))}: `
  return `${place}${deleted ? '(deleted)' : valueToText(value)}  by ${writer}`
}

async function showConflicts(output: Output, entry: PlainEntry): Promise<void> {
  if (output.json) return output.data(entryToJson(entry))
  const value = entry.value === null ? '(deleted)' : valueToText(entry.value)
  const room = Math.max(output.width - shown(entry.key).length - 2, 20)
  await output.line(
    `${output.style('cyan', shown(entry.key))}${separator(output)}${clipped(value, room)}`
  )
  for (const conflict of entry.conflicts) await output.line(`  ${conflictToText(conflict)}`)
}

async function writeValue(output: Output, value: Value, file: string): Promise<void> {
  const content = value instanceof Uint8Array ? value : textOf(value, '--file')
  if (file === '-') return output.write(content)
  await writeFile(file, content)
}

function textOf(value: Value, option: string): string {
  if (typeof value === 'string') return value
  throw new CliError(EXIT.usage, 'USAGE', `The value is not text: ${option} is not for it.`)
}

/** What a terminal prints ends its line; what a pipe carries as well. */
function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

async function showEntry(output: Output, entry: PlainEntry, { keys }: ListOptions): Promise<void> {
  if (output.json) return output.data(keys === true ? entry.key : entryToJson(entry))
  if (keys === true) return output.line(shown(entry.key))
  const mark = entry.conflicts.length === 0 ? '' : output.style('yellow', ' (conflict)')
  const room = output.width - shown(entry.key).length - 2 - (mark === '' ? 0 : 11)
  const value = clipped(valueToText(entry.value), Math.max(room, 20))
  await output.line(`${output.style('cyan', shown(entry.key))}${separator(output)}${value}${mark}`)
}

/** Two blanks for people, a tab for programs. */
function separator(output: Output): string {
  return output.isTerminal ? '  ' : '\t'
}

async function showChange(output: Output, change: PlainChange): Promise<void> {
  const { key, current, previous, writer } = change
  if (output.json) {
    return output.data({
      key,
      current: current === null ? null : entryToJson(current),
      previous: previous === null ? null : entryToJson(previous),
      writer
    })
  }
  const sign = current === null ? '-' : previous === null ? '+' : '~'
  const value = current === null ? '' : valueToText(current.value)
  const room = Math.max(output.width - shown(key).length - 14, 20)
  const by = output.style('dim', writer.slice(0, 8))
  await output.line(`${sign} ${output.style('cyan', shown(key))} ${clipped(value, room)} ${by}`)
}
