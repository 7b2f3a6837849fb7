/**
 * A database at one version: each log at the length that the version names, whatever is written or sealed later. The same for
 * ever, on every device that holds the logs so far.
 */
import b4a from 'b4a'
import {
  decodeVersion,
  encodeVersion,
  SPACE_TAG_BYTES,
  type CoreLength,
  type Version
} from '../clock/index.ts'
import type { ReadOptions } from '../core/index.ts'
import { invalid, ManyhandsError } from '../errors.ts'
import { fixedEngine, type Engine } from './engine.ts'
import type { View } from './view.ts'

/** The tag of a database without a space. */
export const NO_TAG = new Uint8Array(SPACE_TAG_BYTES)

/**
 * The version that a text names.
 * @param tag of the space it must be of
 * @throws VERSION_INVALID, VERSION_FOREIGN
 */
export function readVersion(text: unknown, tag: Uint8Array): Version {
  if (typeof text !== 'string') return invalid('version', 'the text that version() gave', text)
  const version = decodeVersion(text)
  if (version === null) throw new ManyhandsError('VERSION_INVALID', 'This text names no version')
  if (b4a.equals(version.space, tag)) return version
  throw new ManyhandsError('VERSION_FOREIGN', 'This is a version of another space')
}

/** The text of what a view shows. */
export function versionOf(view: View, tag: Uint8Array): string {
  return encodeVersion({ space: tag, acl: [], data: lengthsOf(view) })
}

/** How far each log is read in a view. */
export function lengthsOf(view: View): readonly CoreLength[] {
  return view.parts.map(({ core, tree }) => ({ core, length: tree.length }))
}

/** The database as a version names it. The logs are looked at when it is read: VERSION_UNAVAILABLE comes then. */
export function checkoutOf(engine: Engine, { data }: Version): Engine {
  let opened: View | null = null
  return fixedEngine(engine, async (options: ReadOptions) => {
    opened ??= await engine.union.at(data, options)
    return opened
  })
}

/** The database as it is now. */
export function snapshotOf(engine: Engine): Engine {
  const view = engine.isFixed ? null : engine.union.view()
  view?.catch(() => {}) // shown by the first read, if there is one
  return fixedEngine(engine, (options) => view ?? engine.view(options))
}
