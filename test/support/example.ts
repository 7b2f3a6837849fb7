/** An example, run as a user runs it, with a folder for temporary files of its own, so that what is left there can be seen. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tempFolder, until } from './devices.ts'
import { TYPESCRIPT } from './typescript.ts'

export interface ExampleRun {
  readonly output: string
  readonly code: number | null
  /** Stores that were not removed. */
  readonly left: readonly string[]
}

/**
 * @param stopAt a text in the output at which it gets a Ctrl-C
 * @param args of the example
 */
export async function runExample(
  name: string,
  stopAt?: string,
  args: readonly string[] = []
): Promise<ExampleRun> {
  const temp = await tempFolder()
  const env = { ...process.env, TMPDIR: temp.path }
  const child = spawn(process.execPath, [...TYPESCRIPT, 'examples/run.ts', name, ...args], {
    env
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close')
  if (stopAt !== undefined) {
    await until(() => output.includes(stopAt) || child.exitCode !== null, { timeout: 30_000 })
    child.kill('SIGINT')
  }
  await ended
  const left = (await readdir(temp.path)).filter((each) => each.startsWith('manyhands'))
  await temp.remove()
  return { output, code: child.exitCode, left }
}

/** Lines that a person would not like to read. */
export function badLines(output: string): string[] {
  const isBad = (line: string) =>
    line.length > 100 || line !== line.trimEnd() || /[\p{Cc}\p{Cf}]/u.test(line)
  return output.trimEnd().split('\n').filter(isBad)
}
