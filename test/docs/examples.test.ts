/** Every TypeScript example in the docs runs as it stands, in a folder of its own. */
import { execFile } from 'node:child_process'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { examplesIn, makeProject, root } from '../support/docs.ts'

const run = promisify(execFile)

/** Functions, not programs: tests of their own call them. */
const CALLED = ['EDITORS.md', 'MIGRATION.md']

const documents = (await readdir(join(root, 'docs'))).filter(
  (name) => name.endsWith('.md') && !CALLED.includes(name)
)
const examples = (
  await Promise.all(['README.md', ...documents.map((name) => `docs/${name}`)].map(examplesIn))
).flat()

test('docs: there are examples to run', () => {
  assert.ok(examples.length >= 5, `found ${examples.length}`)
})

for (const { document, line, code } of examples) {
  test(`docs: the example at ${document}:${line} runs to its end`, async () => {
    const folder = await makeProject()
    try {
      await writeFile(join(folder, 'example.ts'), code)
      const tsx = join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')
      await run(process.execPath, ['--import', tsx, 'example.ts'], { cwd: folder, timeout: 30_000 })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}

test.run()
