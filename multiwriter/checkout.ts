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
import { fixedEngine, type Engine, type Fixed } from './engine.ts'
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

/** What is read at one moment, and how far the membership logs are that say so. */
export interface Moment {
  readonly view: View
  readonly acl: readonly CoreLength[]
}

/** @param view reads what is there now */
export async function momentNow(
  { membership }: Pick<Engine, 'membership'>,
  view: () => View | Promise<View>
): Promise<Moment> {
  for (;;) {
    const acl = membership?.lengths() ?? NO_LOGS
    const moment = { view: await view(), acl }
    // Membership that came meanwhile may have moved seals, or not yet: what is named must be what was read by.
    if (acl === (membership?.lengths() ?? NO_LOGS)) return moment
  }
}

const NO_LOGS: readonly CoreLength[] = []

/** The text of what is read at a moment. */
export function versionOf({ view, acl }: Moment, tag: Uint8Array): string {
  return encodeVersion({ space: tag, acl, data: lengthsOf(view) })
}

/** The text of what is read. */
export async function versionNow(engine: Engine, options: ReadOptions = {}): Promise<string> {
  if (engine.fixed !== null) return engine.fixed.version(options)
  return versionOf(await momentNow(engine, () => engine.view(options)), engine.tag)
}

/** How far each log is read in a view. */
export function lengthsOf(view: View): readonly CoreLength[] {
  return view.parts.map(({ core, tree }) => ({ core, length: tree.length }))
}

/** What a version names, by membership as it was then. @throws VERSION_UNAVAILABLE, NO_EPOCH_KEY */
export async function viewAt(
  { union, membership }: Engine,
  version: Version,
  options: ReadOptions
): Promise<View> {
  return union.at(membership?.placesAt(version) ?? version.data, options)
}

/** The database as a version names it. The logs are looked at when it is read: VERSION_UNAVAILABLE comes then. */
export function checkoutOf(engine: Engine, version: Version): Engine {
  let opened: View | null = null
  return fixedEngine(engine, {
    excludedSince: (core, key, seq) => engine.union.excludedSince(core, key, seq),
    async view(options) {
      opened ??= await viewAt(engine, version, options)
      return opened
    },
    version: () => Promise.resolve(encodeVersion(version))
  })
}

/** The database as it is now. */
export function snapshotOf(engine: Engine): Engine {
  return fixedEngine(engine, engine.fixed ?? fixedNow(engine))
}

function fixedNow(engine: Engine): Fixed {
  const moment = momentNow(engine, () => engine.union.view())
  moment.catch(() => {}) // shown by the first read, if there is one
  return {
    excludedSince: null,
    view: async () => (await moment).view,
    version: async () => versionOf(await moment, engine.tag)
  }
}
