/**
 * What makes a link strong: a hash over what the logs of its version hash to. Who opens the link later, elsewhere, learns whether
 * it leads to the very state that was meant, or whether somebody has rewritten a log since (docs/FORMAT.md, "Link").
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import z32 from 'z32'
import type { CoreLength, Version } from '../clock/index.ts'
import { hash, type ReadOptions } from '../core/index.ts'
import { isManyhandsError, ManyhandsError } from '../errors.ts'
import type { Engine } from './engine.ts'
import { notHere } from './not-here.ts'
import type { Union } from './union.ts'

type HashedParts = Pick<Engine, 'union' | 'membership'>

const CONTEXT = 'manyhands/link'

/** A log up to a length, and what Hypercore hashes that to. */
export interface HashedLog extends CoreLength {
  readonly treeHash: Uint8Array
}

/** @throws VERSION_UNAVAILABLE, naming the log that is not here so far */
export async function hashVersion(
  parts: HashedParts,
  version: Version,
  options: ReadOptions
): Promise<Uint8Array> {
  const { acl, data } = await hashesOf(parts, version, options)
  return linkHash([...acl, ...data])
}

/** The 32 bytes, of logs in any order. */
export function linkHash(all: readonly HashedLog[]): Uint8Array {
  const logs = [...all].sort((a, b) => b4a.compare(a.core, b.core))
  const fields = logs.flatMap(({ core, length, treeHash }) => [
    core,
    c.encode(c.uint64, length),
    treeHash
  ])
  return hash(CONTEXT, ...fields)
}

/** What the logs of a version hash to here. @throws VERSION_UNAVAILABLE */
export async function hashesOf(
  { union, membership }: HashedParts,
  { acl, data }: Version,
  options: ReadOptions
): Promise<{ readonly acl: readonly HashedLog[]; readonly data: readonly HashedLog[] }> {
  await union.ready()
  const records = acl.map((at) => ({ ...at, treeHash: membership?.hashAt(at) ?? missing(at) }))
  const logs = data.map(async (at) => ({ ...at, treeHash: await treeHashAt(union, at, options) }))
  return { acl: records, data: await Promise.all(logs) }
}

/** @throws LINK_MISMATCH when the logs here are not those that the link was made of; VERSION_UNAVAILABLE */
export async function proveVersion(
  parts: HashedParts,
  version: Version,
  expected: Uint8Array,
  options: ReadOptions
): Promise<void> {
  if (b4a.equals(await hashVersion(parts, version, options), expected)) return
  const logs = [...version.acl, ...version.data].map(({ core }) => z32.encode(core)).join(', ')
  throw new ManyhandsError(
    'LINK_MISMATCH',
    `What is here is not what the link was made of: one of these logs has another past: ${logs}`
  )
}

/** What a data log hashes to there. @throws VERSION_UNAVAILABLE */
async function treeHashAt(
  union: Union,
  place: CoreLength,
  options: ReadOptions
): Promise<Uint8Array> {
  const log = union.log(place.core)
  try {
    return (await log?.treeHash(place.length, options)) ?? missing(place)
  } catch (cause) {
    if (!isManyhandsError(cause, 'BLOCK_UNAVAILABLE')) throw cause
    throw new ManyhandsError('VERSION_UNAVAILABLE', `${notHere(place).message}: no hash`, { cause })
  }
}

function missing(place: CoreLength): never {
  throw notHere(place)
}
