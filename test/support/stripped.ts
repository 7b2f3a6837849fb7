/**
 * The project's TypeScript as JavaScript, stripped once for a whole run of the tests. Under the loader's hooks (scripts/typescript.mjs)
 * each module of each process goes to another thread and back, a third of a second of processor time before a test begins; these
 * files need no hooks. Each imports its neighbours as they stand here, and takes itself for its source: what it finds by
 * `import.meta.url` is the project's. Only what is imported by an address that is made at run time still needs the hooks.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !/^(\.|node_modules$|dist$)/.test(entry.name))
  .map(({ name }) => name)

/** What stands for `import.meta.url`. */
const SELF = '__source'

/** @returns the folder; whoever asked for it removes it */
export async function stripAll(): Promise<string> {
  const folder = path.join(ROOT, 'node_modules', '.cache', `manyhands-stripped-${process.pid}`)
  await rm(folder, { recursive: true, force: true })
  await build({
    entryPoints: sources(),
    outdir: folder,
    outbase: ROOT,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    treeShaking: false,
    platform: 'node',
    format: 'esm',
    target: 'es2023',
    sourcemap: 'linked',
    sourcesContent: false,
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    define: { 'import.meta.url': SELF },
    logLevel: 'error',
    plugins: [alone]
  })
  return folder
}

function sources(): string[] {
  const inFolder = (name: string) =>
    readdirSync(path.join(ROOT, name), { recursive: true, encoding: 'utf8' }).map((file) =>
      path.join(ROOT, name, file)
    )
  const onTop = readdirSync(ROOT).map((file) => path.join(ROOT, file))
  return [...onTop, ...FOLDERS.flatMap(inFolder)].filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.d.ts')
  )
}

/** Leaves every file a file of its own. */
const alone: Plugin = {
  name: 'alone',
  setup(bundler) {
    bundler.onResolve({ filter: /^/ }, ({ kind, path: asked, resolveDir }) => {
      if (kind === 'entry-point') return { path: asked }
      if (!asked.startsWith('.')) return { path: asked, external: true }
      const isOurs = asked.endsWith('.ts')
      const { href } = pathToFileURL(path.resolve(resolveDir, asked))
      return { path: isOurs ? asked.replace(/ts$/, 'mjs') : href, external: true }
    })
    bundler.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      const text = readFileSync(file, 'utf8')
      const self = `const ${SELF} = ${JSON.stringify(pathToFileURL(file).href)};`
      const contents = text.includes('import.meta.url') ? self + text : text
      return { contents, loader: 'ts' }
    })
  }
}
