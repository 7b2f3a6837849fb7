/** `npm run bench -- <name> [--quick] [--only <row>] [--trace <file>]` runs `bench/<name>.ts`; without a name it lists them. */
import { readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Bench, Rows } from './harness.ts'

const NOT_BENCHMARKS = ['bases.ts', 'harness.ts', 'peers.ts', 'plot.ts', 'run.ts']

const USAGE = 'npm run bench -- <name> [--quick] [--only <row>] [--trace <file>]'

process.exitCode = await main()

async function main(): Promise<number> {
  const names = await listNames()
  const request = parseRequest()
  if (typeof request === 'string') return refuse(request, names)

  const { name, quick, only, trace } = request
  if (name === undefined) {
    console.log(`${USAGE}\n\n${list(names)}`)
    return 0
  }
  if (!names.includes(name)) return refuse(`No benchmark is called "${name}".`, names)

  const url = new URL(`./${name}.ts`, import.meta.url).href
  const module: { default: Bench; rows?: Rows } = await import(url)
  if (only !== undefined && module.rows?.includes(only) !== true) {
    return refuse(`${name} has no row "${only}".`, module.rows ?? [])
  }
  const flags = `${quick ? ' --quick' : ''}${only === undefined ? '' : ` --only ${only}`}`
  const command = `npm run bench -- ${name}${flags}`
  await module.default({
    quick,
    command,
    ...(only === undefined ? {} : { only }),
    ...(trace === undefined ? {} : { trace })
  })
  return 0
}

async function listNames(): Promise<string[]> {
  const files = await readdir(new URL('.', import.meta.url))
  return files
    .filter((file) => file.endsWith('.ts') && !NOT_BENCHMARKS.includes(file))
    .map((file) => file.slice(0, -'.ts'.length))
    .sort()
}

interface Request {
  readonly name: string | undefined
  readonly quick: boolean
  readonly only: string | undefined
  readonly trace: string | undefined
}

/** The request, or what is wrong with it. */
function parseRequest(): Request | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        trace: { type: 'string' }
      }
    })
    if (positionals.length > 1) return `One benchmark at a time: ${positionals.join(', ')}.`
    const { quick, only, trace } = values
    return { name: positionals[0], quick, only, trace }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function refuse(problem: string, names: readonly string[]): number {
  console.error(`${problem}\n${USAGE}\n\n${list(names)}`)
  return 2
}

function list(names: readonly string[]): string {
  return names.map((name) => `  ${name}`).join('\n')
}
