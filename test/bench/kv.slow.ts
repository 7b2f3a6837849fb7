/** The speed table runs: quick runs only show that everything in it is measured. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rows as ROWS } from '../../bench/kv.ts'
import type { Goal, Table } from '../../bench/harness.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const ROOT = new URL('../../', import.meta.url)

interface Result {
  readonly tables: readonly Table[]
  readonly goals: readonly Goal[]
}

for (const row of ROWS) {
  test(`bench kv, ${row}: every competitor is measured, and every goal has a figure`, async () => {
    const args = [...TYPESCRIPT, 'bench/run.ts', 'kv', '--quick', '--only', row]
    await promisify(execFile)(process.execPath, args, { cwd: ROOT })
    const { tables, goals } = await readResult(row)
    for (const { title, rows } of tables) {
      for (const { name, rates, note } of rows) {
        assert.ok(rates !== undefined && rates.median > 0, `${title}, ${name}: ${note}`)
      }
    }
    assert.ok(goals.length > 0)
    for (const { what, measured } of goals) assert.match(measured, /\d/, what)
  })
}

async function readResult(row: string): Promise<Result> {
  const file = new URL(`bench/results/kv-${row}.quick.json`, ROOT)
  return JSON.parse(await readFile(file, 'utf8'))
}

test.run()
