/** How ranges are asked for on the command line. */
import { Option, type Command } from 'commander'
import type { PlainRange, ReadParams } from '../multiwriter/index.ts'
import { usage } from './exit.ts'
import { count } from './numbers.ts'

export interface RangeOptions extends PlainRange {
  readonly reverse?: boolean
  readonly limit?: number
}

export function withRange(command: Command): Command {
  return command
    .option('--gt <key>', 'keys after this one')
    .option('--gte <key>', 'keys from this one on')
    .option('--lt <key>', 'keys before this one')
    .option('--lte <key>', 'keys up to this one')
}

export function withPaging(command: Command): Command {
  return withRange(command)
    .option('--reverse', 'the last first')
    .addOption(new Option('--limit <n>', 'so many at most').argParser(count))
}

/** Of a prefix, or of bounds. */
export function rangeOf(prefix: string | undefined, options: RangeOptions): PlainRange {
  const { gt, gte, lt, lte } = options
  const bounds = {
    ...(gt === undefined ? {} : { gt }),
    ...(gte === undefined ? {} : { gte }),
    ...(lt === undefined ? {} : { lt }),
    ...(lte === undefined ? {} : { lte })
  }
  if (prefix === undefined || prefix === '') return bounds
  if (Object.keys(bounds).length > 0) throw usage('Give a prefix or bounds, not both.')
  const after = successor(prefix)
  return after === null ? { gte: prefix } : { gte: prefix, lt: after }
}

export function readOf(
  prefix: string | undefined,
  options: RangeOptions
): Omit<ReadParams, 'space'> {
  const { reverse, limit } = options
  return {
    ...rangeOf(prefix, options),
    ...(reverse === undefined ? {} : { reverse }),
    ...(limit === undefined ? {} : { limit })
  }
}

/** The first text that is greater than everything that begins with `prefix`; null when there is none. */
function successor(prefix: string): string | null {
  const points = Array.from(prefix, (each) => each.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return null
  // No character stands between these two.
  const next = last === 0xd7ff ? 0xe000 : last + 1
  return String.fromCodePoint(...points, next)
}
