/**
 * What every benchmark shares: a race between competitors, a table, a file.
 *
 * Absolute figures of a noisy machine mean little, so competitors run in one process (or each in its own) and in turns
 * (A B C A B C ...), after one round that counts for nothing, and what is to be quoted is the ratio
 * of the medians. By default a run is charged with the processor time of the whole process (its
 * collector and compiler threads included): it does not grow when somebody else takes the
 * machine. Choose `wall` where waiting is what is measured.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { drawPlot, type Plot } from './plot.ts'

/** What `bench/run.ts` hands to a benchmark. */
export interface BenchOptions {
  /** Fewer units and rounds: to see that it works, not to quote. */
  readonly quick: boolean
  /** How to run it again; goes into the result. */
  readonly command: string
  /** Of a benchmark with rows (`Rows`): the one row to run. */
  readonly only?: string
  /** Of a benchmark that replays an editing trace: its file. */
  readonly trace?: string
}

/** The default export of `bench/<name>.ts`. */
export type Bench = (options: BenchOptions) => Promise<void>

/** The export `rows` of a `bench/<name>.ts` that takes `--only <row>`: their names. */
export type Rows = readonly string[]

export interface Competitor {
  readonly name: string
  /** Not timed. */
  readonly setup?: () => void | Promise<void>
  /** Timed, unless it says what it took, elsewhere. A failure takes the competitor out of the race; its row says why. */
  readonly run: () => void | Promise<void | Run>
  /** Not timed. */
  readonly teardown?: () => void | Promise<void>
  /** What else its runs showed, for the last column. */
  readonly note?: () => string
  /** One run must do, without a round before it: it takes minutes. */
  readonly once?: boolean
}

interface RaceOptions {
  /** The competitor whose median is 1.00. */
  readonly baseline: string
  /** What one run does, in `unit`s. */
  readonly units: number
  readonly unit: string
  /** Rounds that count; odd, so that the median is a run. */
  readonly rounds: number
  readonly by?: 'cpu' | 'wall'
  /**
   * Seconds of wall clock. `run` is repeated until they have passed, for runs that can be repeated
   * and are too short for the clock. Default 0: once.
   */
  readonly atLeast?: number
}

/** Rates are in units per second. A competitor that failed has no rates but a note. */
interface Row {
  readonly name: string
  readonly rates?: Rates
  readonly note?: string
}

interface Rates {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Median over the median of the baseline; null if the baseline failed. */
  readonly ratio: number | null
  /** The median by wall clock. */
  readonly wall: number
}

/** One line of a table of goals, and whether it was reached. */
export interface Goal {
  readonly what: string
  readonly goal: string
  readonly measured: string
  readonly isMet: boolean
}

export interface Table {
  readonly title: string
  readonly unit: string
  readonly by: 'cpu' | 'wall'
  readonly baseline: string
  readonly rows: readonly Row[]
}

export async function race(
  title: string,
  competitors: readonly Competitor[],
  { baseline, units, unit, rounds, by = 'cpu', atLeast = 0 }: RaceOptions
): Promise<Table> {
  const lanes = competitors.map((competitor) => new Lane(competitor))
  for (let round = 0; round <= rounds; round++) {
    const isWarmUp = round === 0
    for (const lane of lanes) await lane.run(atLeast, isWarmUp)
  }
  const base = lanes.find(({ name }) => name === baseline)
  if (base === undefined) throw new TypeError(`"baseline" names no competitor: ${baseline}`)
  const rows = lanes.map((lane) => lane.row(units, by, base))
  return { title, unit, by, baseline, rows }
}

/** Seconds per run. */
export interface Run {
  readonly cpu: number
  readonly wall: number
}

/** One competitor and its runs so far. */
class Lane {
  readonly #competitor: Competitor
  readonly #runs: Run[] = []
  #failure: string | undefined

  constructor(competitor: Competitor) {
    this.#competitor = competitor
  }

  get name(): string {
    return this.#competitor.name
  }

  async run(atLeast: number, isWarmUp: boolean): Promise<void> {
    const { setup, run, teardown, once = false } = this.#competitor
    if (this.#failure !== undefined || (once && (isWarmUp || this.#runs.length > 0))) return
    try {
      await setup?.()
      try {
        const time = await timed(run, once ? 0 : atLeast)
        if (!isWarmUp) this.#runs.push(time)
      } finally {
        await teardown?.()
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error)
    }
  }

  row(units: number, by: 'cpu' | 'wall', base: Lane): Row {
    const { name } = this
    if (this.#failure !== undefined) return { name, note: `fails: ${this.#failure}` }
    const rates = this.#ratesBy(by, units)
    const ratio =
      base.#failure === undefined ? rates.median / base.#ratesBy(by, units).median : null
    const note = this.#competitor.note?.()
    return {
      name,
      rates: { ...rates, ratio, wall: this.#ratesBy('wall', units).median },
      ...(note === undefined ? {} : { note })
    }
  }

  #ratesBy(by: 'cpu' | 'wall', units: number): { median: number; min: number; max: number } {
    const rates = this.#runs.map((run) => units / run[by]).sort((a, b) => a - b)
    return { median: rates[rates.length >> 1]!, min: rates[0]!, max: rates.at(-1)! }
  }
}

/** @param atLeast seconds for which `run` is repeated */
export async function timed(run: Competitor['run'], atLeast = 0): Promise<Run> {
  // Nobody pays for the young garbage of the one before. Not a full collection: that drops compiled code, and what was
  // measured then was how fast it is compiled again (puts came out at half).
  collectGarbage({ type: 'minor' })
  const cpuBefore = process.cpuUsage()
  const wallBefore = performance.now()
  let count = 0
  let wall = 0
  do {
    const elsewhere = await run()
    if (elsewhere !== undefined) return elsewhere
    count++
    wall = (performance.now() - wallBefore) / 1e3
  } while (wall < atLeast)
  const { user, system } = process.cpuUsage(cpuBefore)
  return { cpu: (user + system) / 1e6 / count, wall: wall / count }
}

type Collect = (options: { readonly type: 'minor' }) => void

const collectGarbage: Collect = exposeCollector()

function exposeCollector(): Collect {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

const COLUMNS = ['name', 'median', 'min', 'max', 'ratio', 'wall', 'note']

function formatTable({ title, unit, by, rows }: Table): string {
  const lines = [COLUMNS, ...rows.map(cellsOf)]
  const widths = COLUMNS.map((_, i) => Math.max(...lines.map((cells) => cells[i]!.length)))
  const align = (cell: string, i: number): string =>
    i === 0 || i === COLUMNS.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
  const body = lines.map((cells) => cells.map(align).join('  ').trimEnd())
  return [`${title} (${unit}/s, by ${by})`, ...body].join('\n')
}

function cellsOf({ name, rates, note = '' }: Row): string[] {
  if (rates === undefined) return [name, '-', '-', '-', '-', '-', note]
  const { median, min, max, ratio, wall } = rates
  const share = ratio === null ? '-' : ratio.toFixed(2)
  return [name, ...[median, min, max].map(formatRate), share, formatRate(wall), note]
}

/** Three digits that count: 5.31M, 412k, 97.3. */
export function formatRate(rate: number): string {
  for (const [size, suffix] of [
    [1e6, 'M'],
    [1e3, 'k']
  ] as const) {
    if (rate >= size) return `${threeDigits(rate / size)}${suffix}`
  }
  return threeDigits(rate)
}

const threeDigits = (value: number): string => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)

/** Units per second of a competitor; NaN, of which no goal is reached, if it failed. */
export function rateOf(table: Table, name: string): number {
  return table.rows.find((row) => row.name === name)?.rates?.median ?? Number.NaN
}

/**
 * Prints the tables; writes them, with what one needs to judge them, to `results/<name>.json`; those of a quick run to
 * `results/<name>.quick.json`, which no page shows.
 */
export async function report(
  name: string,
  { command, quick }: BenchOptions,
  {
    tables,
    goals = [],
    plots = [],
    notes = [],
    packages = []
  }: {
    readonly tables: readonly Table[]
    readonly goals?: readonly Goal[]
    /** Drawn into docs/plots, unless it was a quick run. */
    readonly plots?: readonly Plot[]
    readonly notes?: readonly string[]
    /** Packages whose versions matter here. */
    readonly packages?: readonly string[]
  }
): Promise<void> {
  for (const table of tables) console.log(`${formatTable(table)}\n`)
  for (const goal of goals) console.log(formatGoal(goal))
  for (const note of notes) console.log(note)
  if (quick) console.log('A quick run, much of it spent compiling: not to be quoted.')
  const result = {
    name,
    command,
    quick,
    date: new Date().toISOString(),
    node: process.version,
    machine: describeMachine(),
    packages: Object.fromEntries(await Promise.all(packages.map(versionOf))),
    notes,
    goals,
    plots: plots.map(({ file, title }) => ({ file, title })),
    tables
  }
  const folder = new URL('./results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const file = quick ? `${name}.quick.json` : `${name}.json`
  await writeFile(new URL(file, folder), `${JSON.stringify(result, null, 2)}\n`)
  if (!quick) await writePlots(plots, result.date)
}

const formatGoal = ({ what, goal, measured, isMet }: Goal): string =>
  `${isMet ? 'met   ' : 'MISSED'}  ${what}: ${measured} (goal: ${goal})`

async function writePlots(plots: readonly Plot[], date: string): Promise<void> {
  const { cpu, cores } = describeMachine()
  const source = `${date.slice(0, 10)}, Node ${process.version}, ${cpu}, ${cores} cores`
  const folder = new URL('../docs/plots/', import.meta.url)
  await mkdir(folder, { recursive: true })
  for (const plot of plots) await writeFile(new URL(plot.file, folder), drawPlot(plot, source))
}

function describeMachine(): Record<string, string | number> {
  const all = cpus()
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`
  }
}

async function versionOf(name: string): Promise<[string, string]> {
  const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  const { version }: { version: string } = JSON.parse(await readFile(manifest, 'utf8'))
  return [name, version]
}
