/**
 * Runs in Node's thread for loaders (typescript.mjs). What was stripped once is kept in node_modules/.cache, one file for each source
 * file; the source's hash in its last line says of which state it is.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PROJECT = new URL('../', import.meta.url)
const CACHE = new URL('node_modules/.cache/manyhands-typescript/', PROJECT)

/** @type {import('esbuild').TransformOptions} */
const OPTIONS = {
  loader: 'ts',
  format: 'esm',
  target: 'es2023',
  sourcemap: 'inline',
  sourcesContent: false,
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } }
}

const VERSION = hash(JSON.stringify(OPTIONS))

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context)
  const file = fileURLToPath(url)
  const text = readFileSync(file, 'utf8')
  // Others' files come and go, in temporary folders.
  const isOurs = url.startsWith(PROJECT.href)
  const source = await (isOurs ? recall(file, text) : strip(file, text))
  return { format: 'module', source, shortCircuit: true }
}

async function recall(file, text) {
  const kept = new URL(`${hash(file)}.js`, CACHE)
  const mark = `\n//${hash(VERSION + text)}\n`
  const known = read(kept)
  if (known?.endsWith(mark)) return known
  const code = await strip(file, text)
  keep(kept, code + mark)
  return code
}

async function strip(file, text) {
  const { transform } = await import('esbuild')
  const { code } = await transform(text, { ...OPTIONS, sourcefile: file })
  return code
}

function read(kept) {
  try {
    return readFileSync(kept, 'utf8')
  } catch {
    return null
  }
}

/** Whole or not at all: several processes write at once. A folder that cannot be written only costs time. */
function keep(kept, code) {
  const part = new URL(`${kept.href}.${process.pid}`)
  try {
    mkdirSync(CACHE, { recursive: true })
    writeFileSync(part, code)
    renameSync(part, kept)
  } catch {}
}

function hash(text) {
  return createHash('sha1').update(text).digest('hex')
}
