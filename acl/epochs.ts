/**
 * Which keys content is encrypted under: what the records `epoch` and `share` come to, once it is known who is in. A pure function of
 * the set of records, as all of membership. An epoch is named by the hash of its key; all that counting records say of one hash is said of
 * one epoch, whoever says it.
 *
 * The question is always who else may have the key. Whoever it was sealed to has it, whoever minted it or passed it on has it, and so has
 * everybody who has a later one that it is wrapped under: links that lead nowhere are taken for true here, those that run in a circle
 * as well. Whom the records do not show to have it may still have it, from somebody who had not heard of a removal: so an epoch serves
 * only while its minter had seen every removal that is known, and only who holds all that its minter had seen may use it. What is held of the
 * keys is keyring.ts, who says to lack one epoch-asking.ts. The slow twin is test/oracle/epochs.ts.
 */
import { push } from './claims.ts'
import { isAsking, whoAsks, type Asking } from './epoch-asking.ts'
import type { Refusal } from './pass.ts'
import {
  compareRoles,
  type EpochRecord,
  type Key,
  type KeyShare,
  type Role,
  type ShareRecord,
  type WrappedKey
} from './records.ts'

/** Hex digits of an epoch's hash that stand in front of each block under it: 8 bytes. */
export const EPOCH_ID_DIGITS = 16

/** What a record of epochs says, and what is known of whoever said it. */
export interface EpochStatement {
  readonly record: EpochRecord | ShareRecord
  readonly device: Key
  /** The role under which it was said. */
  readonly role: Role
  /** Of its identity's office now; Infinity below all. */
  readonly rank: number
  /** All that its author had seen is held. */
  readonly isWhole: boolean
  /** Its author had seen every removal that is known. */
  readonly isUpToDate: boolean
}

/** Why nothing is to be written under an epoch any more, or not yet. */
export type Unusable =
  /** Somebody may have its key who may not read (now). */
  | 'held-outside'
  /** Who minted it had not heard of a removal. */
  | 'before-removal'
  /** Who minted it had seen more than is here. */
  | 'not-all-here'
  /** Another one has the same id. */
  | 'same-id'

export interface Epoch {
  /** The hash of its key. */
  readonly epoch: Key
  /** 1 + the highest of its parents'. */
  readonly generation: number
  /** Of its highest-ranking minter's office. */
  readonly rank: number
  /** Earlier epochs that its holders have as well. Links that run in a circle are none. */
  readonly parents: ReadonlySet<Key>
  readonly wrapped: readonly WrappedKey[]
  readonly shares: readonly KeyShare[]
  /** Devices that have it by the word of a record: those it was sealed to, those which minted it or passed it on. */
  readonly holders: ReadonlySet<Key>
  /** All that a minter of it had seen is here: it can be passed on without giving it to somebody that the minter kept it from. */
  readonly isWhole: boolean
  readonly asking: Asking
  /** Null where it may be written under. */
  readonly unusable: Unusable | null
}

/** What records that do not count say of an epoch: members may have written under it who had not heard that they do not. */
export type VoidEpoch = Pick<Epoch, 'epoch' | 'wrapped' | 'shares' | 'isWhole' | 'asking'>

/** One that does not count. */
export type VoidStatement = Pick<EpochStatement, 'record' | 'device' | 'isWhole'>

export interface Epochs {
  /** By the hash of its key. The best for writing first, usable ones before all others. */
  readonly all: ReadonlyMap<Key, Epoch>
  /** In the order in which writers prefer them: each takes the first that it has. */
  readonly usable: readonly Epoch[]
  /** What members have said that does not count: to read with, not to write under, and passed on to nobody but who asks. */
  readonly void: ReadonlyMap<Key, VoidEpoch>
  readonly refused: ReadonlyMap<EpochRecord | ShareRecord, Refusal>
  /** Devices that are to have the newest, by the rank of their identities. */
  readonly readers: readonly Key[]
}

/** What is said of one hash. */
interface Said {
  readonly minted: readonly EpochStatement[]
  readonly shared: readonly EpochStatement[]
}

export function resolveEpochs(
  statements: Iterable<EpochStatement>,
  readers: ReadonlySet<Key>,
  notCounting: readonly VoidStatement[] = []
): Epochs {
  const refused = new Map<EpochRecord | ShareRecord, Refusal>()
  const { minted, shared } = gather(statements, refused)
  const said = new Map<Key, Said>(
    [...minted].map(([epoch, by]) => [epoch, { minted: by, shared: shared.get(epoch) ?? [] }])
  )
  const others = describeVoid(notCounting, said, shared)
  refuseUnknown(shared, (epoch) => said.has(epoch) || others.has(epoch), refused)
  const parents = withoutCircles(claimedParents(said))
  const generations = generationsOf(parents)
  const outside = heldOutside(said, (device) => readers.has(device))
  const taken = sameIds(said.keys())
  const epochs = [...said].map(([epoch, each]): Epoch => {
    const held = describe(each)
    const generation = generations.get(epoch) ?? 1
    const unusable = unusableOf(each, held, outside.has(epoch), taken.has(epoch))
    return { epoch, generation, parents: parents.get(epoch) ?? NONE, ...held, unusable }
  })
  epochs.sort(compareEpochs)
  return {
    all: new Map(epochs.map((each) => [each.epoch, each])),
    usable: epochs.filter(({ unusable }) => unusable === null),
    void: others,
    readers: [...readers],
    refused
  }
}

const NONE: ReadonlySet<Key> = new Set()

type ByEpoch = ReadonlyMap<Key, readonly EpochStatement[]>

/** RULE 13: Any writer may mint, any reader who has a key pass it on. */
function gather(
  statements: Iterable<EpochStatement>,
  refused: Map<EpochRecord | ShareRecord, Refusal>
): { readonly minted: ByEpoch; readonly shared: ByEpoch } {
  const minted = new Map<Key, EpochStatement[]>()
  const shared = new Map<Key, EpochStatement[]>()
  for (const statement of statements) {
    const { record, role } = statement
    const needed = record.kind === 'epoch' ? 'writer' : 'reader'
    if (compareRoles(role, needed) < 0) refused.set(record, { rule: 12, why: `a ${role} said it` })
    else push(record.kind === 'epoch' ? minted : shared, record.epoch, statement)
  }
  return { minted, shared }
}

function refuseUnknown(
  shared: ByEpoch,
  isKnown: (epoch: Key) => boolean,
  refused: Map<EpochRecord | ShareRecord, Refusal>
): void {
  for (const [epoch, all] of shared) {
    if (isKnown(epoch)) continue
    for (const { record } of all) refused.set(record, { rule: 12, why: 'there is no such epoch' })
  }
}

/** Those that nobody minted by a record that counts are asked for, and passed on, by records that do. */
function describeVoid(
  statements: readonly VoidStatement[],
  said: ReadonlyMap<Key, Said>,
  shared: ByEpoch
): ReadonlyMap<Key, VoidEpoch> {
  const byEpoch = new Map<Key, VoidStatement[]>()
  for (const statement of statements) push(byEpoch, statement.record.epoch, statement)
  const epochs = [...byEpoch].flatMap(([epoch, all]): readonly [Key, VoidEpoch][] => {
    const minted = all.filter(({ record }) => record.kind === 'epoch')
    const counting = said.has(epoch) || minted.length === 0 ? [] : (shared.get(epoch) ?? [])
    if (minted.length === 0 && !said.has(epoch)) return []
    const wrapped = minted.flatMap(wrappedIn)
    const shares = [...all, ...counting].flatMap(sharesIn)
    const isWhole = minted.some((each) => each.isWhole)
    return [[epoch, { epoch, wrapped, shares, isWhole, asking: whoAsks(counting) }]]
  })
  return new Map(epochs)
}

function describe({ minted, shared }: Said) {
  const all = [...minted, ...shared]
  const shares = all.flatMap(sharesIn)
  return {
    rank: Math.min(...minted.map(({ rank }) => rank)),
    wrapped: minted.flatMap(wrappedIn),
    shares,
    holders: new Set([...all, ...shares].map(({ device }) => device)),
    isWhole: minted.some(({ isWhole }) => isWhole),
    asking: whoAsks(all)
  }
}

function wrappedIn({ record }: Pick<EpochStatement, 'record'>): readonly WrappedKey[] {
  return record.kind === 'epoch' ? record.parents : []
}

function sharesIn(said: VoidStatement): readonly KeyShare[] {
  return isAsking(said) ? [] : said.record.shares
}

function unusableOf(
  { minted }: Said,
  { isWhole }: Pick<Epoch, 'isWhole'>,
  isOutside: boolean,
  isTaken: boolean
): Unusable | null {
  if (isOutside) return 'held-outside'
  if (isTaken) return 'same-id'
  if (!isWhole) return 'not-all-here'
  return minted.some((each) => each.isWhole && each.isUpToDate) ? null : 'before-removal'
}

/** RULE 13: Writers use the usable one of highest generation, then of the highest-ranking minter, then the smaller id. */
function compareEpochs(a: Epoch, b: Epoch): number {
  const [isA, isB] = [a.unusable === null, b.unusable === null]
  if (isA !== isB) return isA ? -1 : 1
  if (a.generation !== b.generation) return b.generation - a.generation
  if (a.rank !== b.rank) return a.rank < b.rank ? -1 : 1
  return a.epoch < b.epoch ? -1 : 1
}

// Links.

type Links = ReadonlyMap<Key, ReadonlySet<Key>>

/** Of epochs that there are. */
function claimedParents(said: ReadonlyMap<Key, Said>): Links {
  return new Map(
    [...said].map(([epoch, { minted }]) => {
      const named = minted.flatMap(wrappedIn).map((each) => each.epoch)
      return [epoch, new Set(named.filter((each) => each !== epoch && said.has(each)))]
    })
  )
}

/** Nobody can have wrapped a key that was made later, but for one who knows both: such links say nothing of which is newer. */
function withoutCircles(links: Links): Links {
  const rest = unordered(links)
  if (rest.size === 0) return links
  return new Map(
    [...links].map(([epoch, parents]) => {
      const isStraight = (parent: Key) => !rest.has(parent) || !reached(links, parent).has(epoch)
      return [epoch, rest.has(epoch) ? new Set([...parents].filter(isStraight)) : parents]
    })
  )
}

/** Those in circles, and those that stand on them. */
function unordered(links: Links): ReadonlySet<Key> {
  const ordered = generationsOf(links)
  return new Set([...links.keys()].filter((epoch) => !ordered.has(epoch)))
}

/** Of all that stand on no circle. */
function generationsOf(links: Links): ReadonlyMap<Key, number> {
  const generations = new Map<Key, number>()
  const children = reversed(links)
  const ready = [...links].flatMap(([epoch, parents]) => (parents.size === 0 ? epoch : []))
  const waiting = new Map([...links].map(([epoch, parents]) => [epoch, parents.size]))
  for (let epoch = ready.pop(); epoch !== undefined; epoch = ready.pop()) {
    const above = [...(links.get(epoch) ?? [])].map((parent) => generations.get(parent) ?? 0)
    generations.set(epoch, above.reduce((most, each) => Math.max(most, each), 0) + 1)
    for (const child of children.get(epoch) ?? []) {
      const left = (waiting.get(child) ?? 0) - 1
      waiting.set(child, left)
      if (left === 0) ready.push(child)
    }
  }
  return generations
}

function reversed(links: Links): ReadonlyMap<Key, readonly Key[]> {
  const children = new Map<Key, Key[]>()
  for (const [epoch, parents] of links) for (const parent of parents) push(children, parent, epoch)
  return children
}

/** All that links lead to from here; itself only where they lead back. */
function reached(links: Links, from: Key): ReadonlySet<Key> {
  const found = new Set<Key>()
  const left = [from]
  for (let epoch = left.pop(); epoch !== undefined; epoch = left.pop()) {
    for (const parent of links.get(epoch) ?? []) {
      if (found.has(parent)) continue
      found.add(parent)
      left.push(parent)
    }
  }
  return found
}

/** RULE 13: An epoch is usable while all who may have its key may read: those who have a later one with it have it, too. */
function heldOutside(
  said: ReadonlyMap<Key, Said>,
  mayRead: (device: Key) => boolean
): ReadonlySet<Key> {
  const links = claimedParents(said)
  const outside = new Set<Key>()
  for (const [epoch, each] of said) {
    if ([...describe(each).holders].every(mayRead)) continue
    outside.add(epoch)
    for (const parent of reached(links, epoch)) outside.add(parent)
  }
  return outside
}

function sameIds(epochs: Iterable<Key>): ReadonlySet<Key> {
  const byId = new Map<string, Key[]>()
  for (const epoch of epochs) push(byId, epochId(epoch), epoch)
  return new Set([...byId.values()].flatMap((same) => (same.length > 1 ? same : [])))
}

/** What stands in front of blocks: the beginning of the hash. */
export function epochId(epoch: Key): string {
  return epoch.slice(0, EPOCH_ID_DIGITS)
}
