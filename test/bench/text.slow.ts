/** The rows of the text bench run: quick runs only show that everything in them is measured. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rows as ROWS } from '../../bench/text.ts'
import type { Goal, Table } from '../../bench/harness.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const ROOT = new URL('../../', import.meta.url)

interface Result {
  readonly tables: readonly Table[]
  readonly goals: readonly Goal[]
}

for (const row of ROWS) {
  test(`bench text, ${row}: every competitor is measured, every goal has a figure, and it ends`, async () => {
    const args = [...TYPESCRIPT, 'bench/run.ts', 'text', '--quick', '--only', row]
    await promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 120_000 })
    const file = new URL(`bench/results/text-${row}.quick.json`, ROOT)
    const { tables, goals }: Result = JSON.parse(await readFile(file, 'utf8'))
    for (const { title, rows } of tables) {
      for (const { name, rates, note } of rows) {
        assert.ok(rates !== undefined && rates.median > 0, `${title}, ${name}: ${note}`)
      }
    }
    assert.ok(goals.length > 0)
    for (const { what, measured } of goals) assert.match(measured, /\d/, what)
  })
}

test.run()
