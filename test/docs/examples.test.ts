/** Every TypeScript example in the docs runs as it stands, in a folder of its own. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const run = promisify(execFile)
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const documents = [
  'README.md',
  ...(await readdir(join(root, 'docs'))).map((name) => `docs/${name}`)
]

interface Example {
  readonly document: string
  readonly line: number
  readonly code: string
}

function examplesIn(document: string, text: string): Example[] {
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length + 1,
    code: match[1] ?? ''
  }))
}

/** A project that has manyhands installed: the sources, under the package's name. */
async function project(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'manyhands-docs-'))
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, 'manyhands'), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== 'manyhands') await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  const manifest = {
    name: 'manyhands',
    type: 'module',
    exports: { '.': './index.ts', './*': './*/index.ts' }
  }
  await writeFile(join(modules, 'manyhands', 'package.json'), JSON.stringify(manifest))
  for (const name of ['index.ts', 'errors.ts', 'clock', 'crdt', 'core', 'multiwriter']) {
    await symlink(join(root, name), join(modules, 'manyhands', name))
  }
  await symlink(join(root, 'adapters', 'yjs'), join(modules, 'manyhands', 'yjs'))
  return folder
}

const examples: Example[] = []
for (const document of documents.filter((name) => name.endsWith('.md'))) {
  examples.push(...examplesIn(document, await readFile(join(root, document), 'utf8')))
}

test('docs: there are examples to run', () => {
  assert.ok(examples.length >= 5, `found ${examples.length}`)
})

for (const { document, line, code } of examples) {
  test(`docs: the example at ${document}:${line} runs to its end`, async () => {
    const folder = await project()
    try {
      await writeFile(join(folder, 'example.ts'), code)
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
      const tsx = join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')
      await run(process.execPath, ['--import', tsx, 'example.ts'], { cwd: folder, timeout: 30_000 })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}

test.run()
