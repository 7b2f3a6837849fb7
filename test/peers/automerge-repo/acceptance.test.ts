/** automerge-repo's own acceptance tests pass: run by vitest, counted here. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempFolder } from '../../support/devices.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** How many tests automerge-repo 2.5.6 ships: fewer would mean that some were not run. */
const TESTS = { storage: 11, network: 7 } as const

interface Report {
  readonly numTotalTests: number
  readonly numPassedTests: number
}

async function runSuite(name: string): Promise<Report> {
  const folder = await tempFolder()
  const report = join(folder.path, 'report.json')
  const args = ['run', `${name}.suite.ts`, '--config', 'test/peers/automerge-repo/vitest.config.ts']
  const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${report}`]
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, ...args, ...reporters], {
    cwd: ROOT,
    env: { ...process.env, CI: '1' },
    stdio: ['ignore', 'inherit', 'inherit']
  })
  await new Promise((resolve) => child.once('close', resolve))
  const counts = JSON.parse(await readFile(report, 'utf8')) as Report
  await folder.remove()
  return counts
}

for (const [name, count] of Object.entries(TESTS)) {
  test(`the ${count} acceptance tests of automerge-repo's ${name} adapters pass over a space`, async () => {
    const { numTotalTests, numPassedTests } = await runSuite(name)
    assert.equal([numTotalTests, numPassedTests], [count, count])
  })
}

test.run()
