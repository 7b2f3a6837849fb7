/** Versions: naming them, looking back, comparing, undoing, and links to them. */
import { Option } from 'commander'
import type { PlainDifference, PlainHistory } from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { counted, localTime, verb } from '../numbers.ts'
import { rangeOf, readOf, withPaging, withRange, type RangeOptions } from '../options.ts'
import { clipped, shown, type Output } from '../output.ts'
import { valueToJson, valueToText } from '../values.ts'
import { entryToJson } from './data.ts'

interface HistoryOptions extends RangeOptions {
  readonly since?: string
  readonly live?: boolean
}

export function historyCommands(define: Define, execute: Execute): void {
  define('version', 'the text that names what is there now, or was at a time', [
    'BEFORE=$(manyhands version)',
    'manyhands version --at 2026-11-20',
    'manyhands version --at "2026-11-20 14:30"',
    'manyhands version --at 2026-11-20T12:00:00Z'
  ])
    .option('--at <time>', 'a date and time, of this machine unless it names a zone')
    .action(({ at }: { readonly at?: string }, command) =>
      execute(command, async (run) => {
        const time = at === undefined ? undefined : timeOf(at)
        const port = await run.open()
        const space = await run.space(port)
        const params = { space, ...(time === undefined ? {} : { at: time }) }
        const version = await run.long((work) => port.call('space/version', params, work))
        await run.output.result({ version }, () => [version])
      })
    )

  withPaging(
    define('history [prefix]', 'who wrote what when, oldest first', [
      'manyhands history contacts/ann',
      'manyhands history --reverse --limit 20',
      'manyhands history --since "$BEFORE" --live'
    ])
  )
    .option('--since <version>', 'only what was written after this version')
    .option('--live', 'go on with what is written, until Ctrl-C')
    .action((prefix: string | undefined, options: HistoryOptions, command) =>
      execute(command, async (run) => {
        const { since, live = false } = options
        const port = await run.open({ serve: live })
        const entries = port.stream('db/history', {
          ...(await run.where(port)),
          ...readOf(prefix, options),
          ...(since === undefined ? {} : { since }),
          ...(live ? { live } : {})
        })
        for await (const entry of entries) await showHistory(run.output, entry)
      })
    )

  withPaging(
    define(
      'diff <left> [right] [prefix]',
      'what differs between two versions, or a version and now',
      ['manyhands diff "$BEFORE"', 'manyhands diff "$MONDAY" "$TUESDAY" contacts/']
    )
  ).action(
    (
      left: string,
      right: string | undefined,
      prefix: string | undefined,
      options: RangeOptions,
      command
    ) =>
      execute(command, async (run) => {
        const port = await run.open()
        const differences = port.stream('db/diff', {
          ...(await run.where(port)),
          ...(right === undefined ? {} : { version: right }),
          ...readOf(prefix, options),
          left
        })
        for await (const difference of differences) await showDifference(run.output, difference)
      })
  )

  withRange(
    define('revert [prefix]', "undo one writer's work after a version, as new entries", [
      'manyhands revert --writer 8pbsw… --after "$BEFORE"'
    ])
  )
    .addOption(new Option('--writer <writer>', 'whose work').makeOptionMandatory())
    .addOption(new Option('--after <version>', 'up to here it stays').makeOptionMandatory())
    .action(
      (
        prefix: string | undefined,
        options: RangeOptions & { writer: string; after: string },
        command
      ) =>
        execute(command, async (run) => {
          const port = await run.open()
          const { writer, after } = options
          const params = { ...(await run.where(port)), ...rangeOf(prefix, options), writer, after }
          run.onInterrupt = () => UNDO_INTERRUPTED
          const report = await run.long((work) => port.call('space/revert', params, work))
          await run.output.result(report, () => [
            undone(report),
            ...report.kept.map((key) => `kept, as somebody wrote over it: ${shown(key)}`)
          ])
          return report.skipped > 0 ? EXIT.no : EXIT.ok
        })
    )

  define('link [key]', 'a link to the space or a key, now or at a version', [
    'manyhands link contacts/ann',
    'manyhands link contacts/ann --strong     # proves which state was meant',
    'manyhands link --as-of "$BEFORE"'
  ])
    .option('--as-of <version>', 'what was there then')
    .option('--strong', 'the link breaks when a log was rewritten')
    .action((key: string | undefined, options: { asOf?: string; strong?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const { asOf, strong } = options
        const link = await port.call('space/link', {
          ...(await run.where(port)),
          ...(key === undefined ? {} : { key }),
          ...(asOf === undefined ? {} : { version: asOf }),
          ...(strong === undefined ? {} : { strong })
        })
        await run.output.result({ link }, () => [link])
      })
    )

  define('open <url>', 'show what a link leads to; exit code 1 if nothing is there', [
    'manyhands open "$(manyhands link contacts/ann)"'
  ]).action((url: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const { key, entry, ...place } = await port.call('link/open', { url })
      if (key === null) {
        for await (const each of port.stream('link/read', { url })) {
          if (run.output.json) await run.output.data(entryToJson(each))
          else await run.output.line(`${shown(each.key)}\t${valueToText(each.value)}`)
        }
        return EXIT.ok
      }
      if (run.output.json) {
        await run.output.data({ ...place, key, entry: entry === null ? null : entryToJson(entry) })
      } else if (entry === null) run.output.note(`There is no ${shown(key)}.`)
      else await run.output.line(valueToText(entry.value))
      return entry === null ? EXIT.no : EXIT.ok
    })
  )
}

export const UNDO_INTERRUPTED =
  'Interrupted: a part of the keys may have their old values. The same command again does the rest.'

/** What a restore or revert did, in one line. */
export function undone(report: {
  readonly written: number
  readonly deleted: number
  readonly skipped: number
}): string {
  const { written, deleted, skipped } = report
  const left = skipped === 0 ? '' : `, ${skipped} left alone: a newer manyhands wrote them`
  return `${counted(written, 'key')} got ${written === 1 ? 'its' : 'their'} old value, ${deleted} ${verb(deleted)} deleted${left}.`
}

/** Without a zone it is local time, of a date alone as well, which `Date.parse` takes for UTC. */
function timeOf(text: string): number {
  const local = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00` : text
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(local) : NaN
  if (!Number.isNaN(time)) return time
  const next = 'Such as 2026-11-20, "2026-11-20 14:30", or 2026-11-20T12:00:00Z.'
  throw usage(`--at expects a date and time, got ${JSON.stringify(text)}`, next)
}

async function showHistory(output: Output, entry: PlainHistory): Promise<void> {
  const { type, key, value, writer, stamp } = entry
  if (output.json)
    return output.data({ ...entry, value: type === 'del' ? null : valueToJson(value) })
  const time = localTime(stamp)
  const text = type === 'del' ? '(deleted)' : valueToText(value)
  const room = Math.max(output.width - 36 - shown(key).length, 20)
  const by = output.style('dim', writer.slice(0, 8))
  await output.line(`${time} ${by} ${output.style('cyan', shown(key))} ${clipped(text, room)}`)
}

async function showDifference(
  output: Output,
  { key, left, right }: PlainDifference
): Promise<void> {
  if (output.json) {
    return output.data({
      key,
      left: left === null ? null : entryToJson(left),
      right: right === null ? null : entryToJson(right)
    })
  }
  const room = Math.max(output.width - shown(key).length - 3, 20)
  if (left !== null) {
    await output.line(
      output.style('red', `- ${shown(key)} ${clipped(valueToText(left.value), room)}`)
    )
  }
  if (right !== null) {
    await output.line(
      output.style('green', `+ ${shown(key)} ${clipped(valueToText(right.value), room)}`)
    )
  }
}
