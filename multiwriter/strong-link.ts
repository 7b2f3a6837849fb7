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
import type { Union } from './union.ts'
import { notHere } from './versions.ts'

const CONTEXT = 'manyhands/link'

/** @throws VERSION_UNAVAILABLE, naming the log that is not here so far */
export async function hashVersion(
  union: Union,
  { acl, data }: Version,
  options: ReadOptions
): Promise<Uint8Array> {
  await union.ready()
  const cores = [...acl, ...data].sort((a, b) => b4a.compare(a.core, b.core))
  const hashes = await Promise.all(cores.map((each) => treeHashAt(union, each, options)))
  const parts = cores.flatMap(({ core, length }, i) => [
    core,
    c.encode(c.uint64, length),
    hashes[i] ?? NOTHING
  ])
  return hash(CONTEXT, ...parts)
}

/** @throws LINK_MISMATCH when the logs here are not those that the link was made of; VERSION_UNAVAILABLE */
export async function proveVersion(
  union: Union,
  version: Version,
  expected: Uint8Array,
  options: ReadOptions
): Promise<void> {
  if (b4a.equals(await hashVersion(union, version, options), expected)) return
  const logs = version.data.map(({ core }) => z32.encode(core)).join(', ')
  throw new ManyhandsError(
    'LINK_MISMATCH',
    `What is here is not what the link was made of: one of these logs has another past: ${logs}`
  )
}

const NOTHING = new Uint8Array(0)

/** What a data log hashes to there. @throws VERSION_UNAVAILABLE */
export async function treeHashAt(
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
