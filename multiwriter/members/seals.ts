/** What membership says of data cores, told to the list of writers: who is read, and how far. */
import { compareRoles, type CoreStanding, type Membership } from '../../acl/index.ts'
import type { Writer, WriterList } from '../writers.ts'
import { bytesOf, keyOf } from './credentials.ts'

/** A core that counts less far than it did. */
export interface LoweredSeal {
  readonly core: Uint8Array
  /** How far it counted. */
  readonly from: number
}

export interface Sealed {
  /**
   * Cores that are no writers here yet, with their seals. Also those of which nothing counts: somebody may have built on what
   * stands there before it heard of the seal (docs/decisions/007-documents-and-seals.md).
   */
  readonly missing: readonly Writer[]
  readonly lowered: readonly LoweredSeal[]
}

/** How far a core counts; null while that cannot be said, and then it stays as it is. */
export type LengthOf = (standing: CoreStanding) => number | null

/** Seals the writers as membership says; who is no member is left as it is. */
export function sealWriters(
  writers: WriterList,
  { cores }: Membership,
  lengthOf: LengthOf
): Sealed {
  const seals = new Map(writers.list().map(({ core, seal }) => [keyOf(core), seal]))
  const missing: Writer[] = []
  const lowered: LoweredSeal[] = []
  for (const standing of cores.values()) {
    if (standing.use !== 'data') continue
    const core = bytesOf(standing.core)
    const [length, from] = [countedLength(standing, lengthOf), seals.get(standing.core)]
    if (length === null) continue
    const isWriter = compareRoles(standing.role, 'writer') >= 0
    if (from === undefined && isWriter) missing.push({ core, seal: length })
    if (from === undefined || from === length) continue
    writers.seal(core, length)
    if (length < from) lowered.push({ core, from })
  }
  return { missing, lowered }
}

/** How far a data core counts: who only reads writes nothing that does. */
export function countedLength(standing: CoreStanding, lengthOf: LengthOf): number | null {
  return compareRoles(standing.role, 'writer') < 0 ? 0 : lengthOf(standing)
}
