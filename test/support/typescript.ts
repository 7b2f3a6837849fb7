/** How a process of its own runs the project's TypeScript. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * V8 optimizes what runs for long, and most tests are over before that pays: a tenth to a third of their processor time went there.
 * Fifteen times its patience, so that what really runs for long is still optimized.
 */
const PATIENT = '--interrupt-budget=1000000'

/** What Node is to be given to run TypeScript, from whatever folder. */
export const TYPESCRIPT = [
  PATIENT,
  '--import',
  new URL('../../scripts/typescript.mjs', import.meta.url).href
] as const

/** Where stripped.ts has put the sources, for the processes of one run of the tests. */
export const STRIPPED = 'MANYHANDS_STRIPPED'

/**
 * What Node is to be given to run a file of the tests: as it was stripped for this run of the tests, if that was done. Not for a file that
 * imports TypeScript by an address made at run time.
 */
export function programArguments(file: string): readonly string[] {
  const folder = process.env[STRIPPED]
  const place = path.relative(ROOT, path.resolve(ROOT, file)).replace(/ts$/, 'mjs')
  const stripped = folder === undefined ? null : path.join(folder, place)
  return stripped !== null && !place.startsWith('..') && existsSync(stripped)
    ? [PATIENT, '--enable-source-maps', stripped]
    : [...TYPESCRIPT, file]
}
