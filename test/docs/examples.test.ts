/** Every TypeScript example in the docs runs as it stands, in a folder of its own. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { examplesIn, makeProject, root } from '../support/docs.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const run = promisify(execFile)

/** Functions, not programs: tests of their own call them. */
const CALLED = ['EDITORS.md', 'MIGRATION.md']

const documents = (await readdir(join(root, 'docs'))).filter(
  (name) => name.endsWith('.md') && !CALLED.includes(name)
)
const examples = (
  await Promise.all(['README.md', ...documents.map((name) => `docs/${name}`)].map(examplesIn))
).flat()

const project = await makeProject()

test.after(() => rm(project, { recursive: true, force: true }))

test('docs: there are examples to run', () => {
  assert.ok(examples.length >= 5, `found ${examples.length}`)
})

for (const { document, line, code } of examples) {
  test(`docs: the example at ${document}:${line} runs to its end`, async () => {
    const cwd = join(project, `${basename(document)}-${line}`)
    await mkdir(cwd)
    await writeFile(join(cwd, 'example.ts'), code)
    await run(process.execPath, [...TYPESCRIPT, 'example.ts'], { cwd, timeout: 30_000 })
  })
}

test.run()
