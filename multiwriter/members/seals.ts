/** What membership says of data cores, told to the list of writers: who is read, how far, and where. */
import b4a from 'b4a'
import { compareRoles, startsWith, type CoreStanding, type Membership } from '../../acl/index.ts'
import type { Prefixes } from '../prefixes.ts'
import type { Writer, WriterList } from '../writers.ts'
import { bytesOf, keyOf } from './credentials.ts'

/** A core that counts less far than it did, or in fewer places. */
export interface LoweredSeal {
  readonly core: Uint8Array
  /** How far it counted. */
  readonly from: number
  /** And where. */
  readonly within: Prefixes
}

export interface Sealed {
  /**
   * Cores that are no writers here yet, with their seals. Also those of which nothing counts, of who only reads as well: somebody may
   * have built on what stands there, or quoted it, before it heard of that (docs/decisions/007-documents-and-seals.md).
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
  const known = new Map(writers.list().map((writer) => [keyOf(writer.core), writer]))
  const missing: Writer[] = []
  const lowered: LoweredSeal[] = []
  for (const standing of cores.values()) {
    if (standing.use !== 'data') continue
    const core = bytesOf(standing.core)
    const { prefixes } = standing
    const [length, writer] = [countedLength(standing, lengthOf), known.get(standing.core)]
    if (length === null) continue
    if (writer === undefined) {
      missing.push({ core, seal: length, prefixes })
      continue
    }
    if (!areSame(writer.prefixes, prefixes)) writers.narrow(core, prefixes)
    if (writer.seal !== length) writers.seal(core, length)
    if (length < writer.seal || isNarrower(prefixes, writer.prefixes))
      lowered.push({ core, from: writer.seal, within: writer.prefixes })
  }
  return { missing, lowered }
}

function areSame(a: Prefixes, b: Prefixes): boolean {
  if (a === null || b === null) return a === b
  return a.length === b.length && a.every((each, i) => b4a.equals(each, b[i] ?? NOTHING))
}

const NOTHING = new Uint8Array(0)

/** Whether there is a place in `before` that is none now. */
function isNarrower(now: Prefixes, before: Prefixes): boolean {
  if (now === null) return false
  return before === null || !before.every((each) => now.some((one) => startsWith(each, one)))
}

/** How far a data core counts: who only reads writes nothing that does. */
export function countedLength(standing: CoreStanding, lengthOf: LengthOf): number | null {
  return compareRoles(standing.role, 'writer') < 0 ? 0 : lengthOf(standing)
}
