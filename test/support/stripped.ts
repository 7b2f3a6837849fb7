/**
 * The project's TypeScript as JavaScript, stripped once for a whole run of the tests. Under the loader's hooks (scripts/typescript.mjs)
 * each module of each process goes to another thread and back, a third of a second of processor time before a test begins; these
 * files need no hooks. Each imports its neighbours as they stand here, and takes itself for its source: what it finds by
 * `import.meta.url` is the project's. Only what is imported by an address that is made at run time still needs the hooks.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !/^(\.|node_modules$|dist$)/.test(entry.name))
  .map(({ name }) => name)

/** What stands for `import.meta.url`. */
const SELF = '__source'

const CACHE = path.join(ROOT, 'node_modules', '.cache')
const PREFIX = 'manyhands-stripped-'

/** @returns the folder; whoever asked for it removes it */
export async function stripAll(): Promise<string> {
  const folder = path.join(CACHE, `${PREFIX}${process.pid}`)
  await removeStale(CACHE)
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

/** Removes what runs left that were killed, and whatever has our own name. */
export async function removeStale(cache: string): Promise<void> {
  if (!existsSync(cache)) return
  for (const name of await readdir(cache)) {
    const pid = Number(name.slice(PREFIX.length))
    if (!name.startsWith(PREFIX) || (pid !== process.pid && isAlive(pid))) continue
    await rm(path.join(cache, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Somebody else's process is alive as well.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
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
