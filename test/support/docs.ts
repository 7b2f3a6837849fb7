/** The examples in the docs, and a project of a user to run them in. */
import { mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
// What is loaded here was written at run time: nobody has stripped it.
import '../../scripts/typescript.mjs'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export interface Example {
  readonly document: string
  readonly line: number
  /** What it stands under. */
  readonly heading: string
  readonly code: string
}

/** @param document as seen from the project's folder */
export async function examplesIn(document: string): Promise<Example[]> {
  const text = await readFile(join(root, document), 'utf8')
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => {
    const before = text.slice(0, match.index)
    return {
      document,
      line: before.split('\n').length + 1,
      heading: [...before.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? '',
      code: match[1] ?? ''
    }
  })
}

/** A project that has manyhands installed: the sources, under the package's name. */
export async function makeProject(): Promise<string> {
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
  for (const name of ['index.ts', 'errors.ts', 'clock', 'crdt', 'acl', 'core', 'multiwriter']) {
    await symlink(join(root, name), join(modules, 'manyhands', name))
  }
  for (const name of ['yjs', 'automerge-repo'])
    await symlink(join(root, 'adapters', name), join(modules, 'manyhands', name))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

/** What an example exports, loaded into this process. */
export async function load(project: string, { line, code }: Example): Promise<unknown> {
  const file = join(project, `example-${line}.ts`)
  await writeFile(file, code)
  return import(pathToFileURL(file).href)
}
