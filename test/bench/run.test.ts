import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TYPESCRIPT } from '../support/typescript.ts'

const ROOT = new URL('../../', import.meta.url)

interface Ended {
  readonly code: number
  readonly output: string
}

async function runBench(...args: readonly string[]): Promise<Ended> {
  try {
    const all = [...TYPESCRIPT, 'bench/run.ts', ...args]
    const { stdout } = await promisify(execFile)(process.execPath, all, { cwd: ROOT })
    return { code: 0, output: stdout }
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string }
    return { code, output: stderr }
  }
}

test('bench: without a name it lists the benchmarks, and nothing that is none', async () => {
  const { code, output } = await runBench()
  assert.is(code, 0)
  for (const name of ['kv', 'merge', 'scan', 'wire', 'write']) assert.match(output, `  ${name}\n`)
  for (const other of ['bases', 'harness', 'peers', 'plot', 'run']) {
    assert.not.match(output, `  ${other}\n`)
  }
})

test('bench: a row that a benchmark does not have is refused, and those it has are named', async () => {
  const { code, output } = await runBench('kv', '--only', 'nonsense')
  assert.is(code, 2)
  assert.match(output, 'kv has no row "nonsense"')
  assert.match(output, '  converge')
})

test('bench: --only is refused by a benchmark without rows', async () => {
  const { code, output } = await runBench('merge', '--only', 'scan')
  assert.is(code, 2)
  assert.match(output, 'merge has no row "scan"')
})

test.run()
