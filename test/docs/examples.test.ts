/** Every TypeScript example in the docs runs as it stands, in a folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { examplesIn, makeProject, root } from '../support/docs.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const PROGRAM = fileURLToPath(new URL('../support/examples-process.ts', import.meta.url))
const TIMEOUT_MS = 100_000

/** Functions, not programs: tests of their own call them. */
const CALLED = ['EDITORS.md', 'MIGRATION.md']

const documents = (await readdir(join(root, 'docs'))).filter(
  (name) => name.endsWith('.md') && !CALLED.includes(name)
)
const examples = (
  await Promise.all(['README.md', ...documents.map((name) => `docs/${name}`)].map(examplesIn))
).flat()

const project = await makeProject()
const folders = examples.map(({ document, line }) => join(project, `${basename(document)}-${line}`))
let output = ''
let code: number | null = null

test.before(async () => {
  for (const [i, { code: text }] of examples.entries()) {
    await mkdir(folders[i] ?? '')
    await writeFile(join(folders[i] ?? '', 'example.ts'), text)
  }
  const child = spawn(process.execPath, [...TYPESCRIPT, PROGRAM, JSON.stringify(folders)])
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  await once(child, 'close')
  clearTimeout(timer)
  code = child.exitCode
})

test.after(() => rm(project, { recursive: true, force: true }))

test('docs: there are examples to run', () => {
  assert.ok(examples.length >= 5, `found ${examples.length}`)
})

for (const [i, { document, line }] of examples.entries()) {
  test(`docs: the example at ${document}:${line} runs to its end`, () => {
    const [, what] = output.split(`begin ${folders[i] ?? ''}\n`)
    assert.ok(what !== undefined, 'one before it ended the process')
    assert.ok(what.includes(`end ${folders[i] ?? ''}\n`), what)
  })
}

test('docs: no example leaves anything open', () => {
  assert.is(code, 0, output)
})

test.run()
