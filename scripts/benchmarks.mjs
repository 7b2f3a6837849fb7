/**
 * Puts the results of the last bench runs (bench/results/*.json) into docs/BENCHMARKS.md, each between its two marks. The prose
 * around them is written by hand. `goals kv` stands for the goals of all results whose names begin with `kv-`.
 */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const document = path.join(root, 'docs', 'BENCHMARKS.md')

const results = path.join(root, 'bench', 'results')

const text = fs.readFileSync(document, 'utf8')
const marked = /(<!-- (goals )?([\w-]+) -->\n)([^]*?)(<!-- end -->)/g
fs.writeFileSync(
  document,
  text.replace(
    marked,
    (_, begin, goals, name, old, end) =>
      begin + (goals ? renderGoals(name, old) : render(name, old)) + end
  )
)

/** What was not run here stays as it is. */
function render(name, old) {
  const file = path.join(results, `${name}.json`)
  if (!fs.existsSync(file)) return old
  const result = JSON.parse(fs.readFileSync(file, 'utf8'))
  const { command, date, node, machine, packages, tables, goals, notes, plots = [] } = result
  const versions = Object.entries(packages).map(([each, version]) => `${each} ${version}`)
  const { cpu, cores, memoryGiB } = machine
  const where = `Node ${node}, ${cpu}, ${cores} cores, ${memoryGiB} GiB`
  const used = versions.length === 0 ? '' : ` ${versions.join(', ')}.`
  const head = `\`${command}\`, ${date.slice(0, 10)}, ${where}.${used}`
  const list = notes.map((note) => `* ${note}\n`).join('')
  const drawn = plots.map(({ file, title }) => `![${title}](plots/${file})\n\n`).join('')
  // What is measured in milliseconds or bytes alone has goals and no rates.
  const shown =
    tables.length === 0 ? renderedGoals(goals.map(renderGoal)) : tables.map(renderTable).join('\n')
  return `\n${head}\n\n${drawn}${shown}\n${list}\n`
}

function renderGoals(group, old) {
  const files = fs
    .readdirSync(results)
    .filter((file) => file.startsWith(`${group}-`) && !file.endsWith('.quick.json'))
  if (files.length === 0) return old
  const all = files.map((file) => JSON.parse(fs.readFileSync(path.join(results, file), 'utf8')))
  const rows = all.flatMap(({ goals }) => goals.map(renderGoal))
  return `\n${renderedGoals(joined(old, rows))}\n`
}

function renderedGoals(rows) {
  return `| what | goal | measured | |\n|---|---|---|---|\n${rows.join('')}`
}

/** Rows of benches that were not run here stay as they are, where they are. */
function joined(old, rows) {
  const byWhat = new Map(rows.map((row) => [whatOf(row), row]))
  const lines = old
    .split(/(?<=\n)/)
    .filter((line) => line.startsWith('| ') && !line.startsWith('| what |'))
  const kept = lines.map((line) => {
    const row = byWhat.get(whatOf(line)) ?? line
    byWhat.delete(whatOf(line))
    return row
  })
  return [...kept, ...byWhat.values()]
}

function whatOf(row) {
  return row.split(' | ')[0]
}

function renderGoal({ what, goal, measured, isMet }) {
  return `| ${what} | ${goal} | ${measured} | ${isMet ? 'met' : '**missed**'} |\n`
}

function renderTable({ title, unit, by, baseline, rows }) {
  const head = `${title} (${unit}/s, by ${by} time; ratio to ${baseline})\n\n`
  const columns =
    '| | median | min | max | ratio | median by wall clock | |\n|---|---:|---:|---:|---:|---:|---|\n'
  return head + columns + rows.map(renderRow).join('')
}

function renderRow({ name, rates, note = '' }) {
  if (!rates) return `| ${name} | - | - | - | - | - | ${note} |\n`
  const { median, min, max, ratio, wall } = rates
  const share = ratio === null ? '-' : ratio.toFixed(2)
  const cells = [rate(median), rate(min), rate(max), share, rate(wall), note]
  return `| ${name} | ${cells.join(' | ')} |\n`
}

function rate(number) {
  if (number >= 1e6) return `${(number / 1e6).toPrecision(3)}M`
  return number >= 1e3 ? `${(number / 1e3).toPrecision(3)}k` : String(Math.round(number))
}
