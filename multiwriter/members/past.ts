/**
 * Membership as it was: a version names how far the membership logs were, and what they came to then is resolved from exactly that
 * (docs/decisions/030-versions-know-their-membership.md). So a version shows the same for ever, whoever is let in, narrowed,
 * widened, removed or brought back later.
 *
 * Named are the logs that membership names: those are what everybody in the space comes to hold. What strangers have written, who
 * wait at the door, is theirs. Of a log that forked every history that is held takes part, up to the length that is named of the one
 * that counts; a version names lengths, and only a strong link tells histories apart.
 */
import {
  compareRoles,
  resolveMembership,
  type AclLog,
  type CoreStanding,
  type Key,
  type LoggedRecord,
  type Membership
} from '../../acl/index.ts'
import type { CoreLength, Version } from '../../clock/index.ts'
import type { MembershipThen } from '../engine.ts'
import { notHere } from '../not-here.ts'
import type { PlaceInLog } from '../union.ts'
import type { AclLogs } from './acl-logs.ts'
import { bytesOf, hashText, keyOf, verifier } from './credentials.ts'

/** Who compares versions goes back and forth between two; of a large space each takes a while to resolve. */
const MAX_REMEMBERED = 4

export class PastMembership implements MembershipThen {
  readonly #logs: Pick<AclLogs, 'space' | 'membership' | 'historiesOf'>
  /** The newest last. */
  readonly #remembered = new Map<string, Membership>()
  #now: { readonly membership: Membership | null; readonly lengths: readonly CoreLength[] } = {
    membership: null,
    lengths: []
  }

  constructor(logs: Pick<AclLogs, 'space' | 'membership' | 'historiesOf'>) {
    this.#logs = logs
  }

  /** How far the logs are held that membership names. The same object as long as nothing comes. */
  lengths(): readonly CoreLength[] {
    const { membership } = this.#logs
    if (this.#now.membership !== membership) {
      const acl = [...membership.cores.values()].filter(({ use }) => use === 'acl')
      const all = acl.map(({ core }) => ({
        core: bytesOf(core),
        length: this.#chosen(core).length
      }))
      this.#now = { membership, lengths: all.filter(({ length }) => length > 0) }
    }
    return this.#now.lengths
  }

  /** What a membership log hashes to at a length; null where it is not held so far. */
  hashAt({ core, length }: CoreLength): Uint8Array | null {
    const record = this.#chosen(keyOf(core))[length - 1]
    return record === undefined ? null : bytesOf(record.treeHash)
  }

  /** A version without membership logs is of a time when none were known, or of an older format: it is read as of today. */
  placesAt({ acl, data }: Pick<Version, 'acl' | 'data'>): readonly PlaceInLog[] {
    if (acl.length === 0) return data
    const { cores } = this.at(acl)
    return data.map((place) => placeIn(place, cores.get(keyOf(place.core))))
  }

  endedAt({ acl, data }: Pick<Version, 'acl' | 'data'>): readonly PlaceInLog[] {
    const named = new Set(data.map(({ core }) => keyOf(core)))
    return [...this.at(acl).cores.values()].flatMap((standing) => {
      if (standing.use !== 'data' || named.has(standing.core)) return []
      const place = placeIn({ core: bytesOf(standing.core), length: 0 }, standing)
      return place.seal === Infinity ? [] : place
    })
  }

  /** Membership by these logs alone. @throws VERSION_UNAVAILABLE naming the one that is not here so far */
  at(acl: readonly CoreLength[]): Membership {
    const name = acl.map(({ core, length }) => `${keyOf(core)} ${length}`).join()
    const known = this.#remembered.get(name)
    this.#remembered.delete(name)
    const membership = known ?? this.#resolve(acl)
    this.#remembered.set(name, membership)
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > MAX_REMEMBERED && oldest !== undefined)
      this.#remembered.delete(oldest)
    return membership
  }

  #resolve(acl: readonly CoreLength[]): Membership {
    const { space } = this.#logs
    const logs = acl.flatMap((place) => this.#upTo(place))
    return resolveMembership(logs, { space, verify: verifier, hash: hashText })
  }

  #upTo(place: CoreLength): readonly AclLog[] {
    const core = keyOf(place.core)
    const histories = this.#logs.historiesOf(core)
    if (!histories.some((records) => records.length >= place.length)) throw notHere(place)
    return histories.map((records) => ({ core, records: records.slice(0, place.length) }))
  }

  /** Of a log that forked the history that counts, where it is here. */
  #chosen(core: Key): readonly LoggedRecord[] {
    const histories = this.#logs.historiesOf(core)
    const fork =
      histories.length > 1
        ? this.#logs.membership.forks.find((each) => each.core === core)
        : undefined
    const isChosen = (records: readonly LoggedRecord[]) =>
      fork !== undefined && records[fork.length - 1]?.treeHash === fork.treeHash
    return histories.find(isChosen) ?? histories[0] ?? []
  }
}

/** What no membership named was read as it is, by the word of this device's user (docs/decisions/012). */
function placeIn(place: CoreLength, standing: CoreStanding | undefined): PlaceInLog {
  if (standing === undefined) return { ...place, prefixes: null }
  const { role, length, prefixes } = standing
  return { ...place, prefixes, seal: compareRoles(role, 'writer') < 0 ? 0 : length }
}
