/** What was refused of others' data: counted, with a reason, visible; never thrown out of a view, never lost silently. */
import { EventEmitter } from 'eventemitter3'
import type { EntryRefusal } from '../crdt/index.ts'
import type { TreeRefusal, TreeRefusalReason } from '../core/index.ts'

export type RefusalReason =
  | Exclude<TreeRefusalReason, 'no-epoch-key'>
  | EntryRefusal
  /** The entry claims to have been written where its writer has not written. */
  | 'position-invalid'
  /** The entry stands in a block, but in no tree: nobody who reads the database has ever seen it. */
  | 'unlinked-entry'
  /** The log declares blocks as cleared that it stands on, or declares nonsense. */
  | 'cleared-untrue'
  /** What the log says it relied on when it pruned is nonsense. */
  | 'pruned-malformed'
  /** What a log left out relying on a seal that has fallen since can be put back no more: its own blocks are gone. */
  | 'pruned-lost'
  /** The entry stands where its writer may not write. */
  | 'outside-prefixes'
  /** The value is not one canonical value. */
  | 'value-malformed'
  /** What a merge type of the application cannot decode, or does not fold. */
  | 'merge-type-refused'
  /** The key or the value is not of the encoding it was read with. */
  | 'encoding-mismatch'
  /** The value does not fit the schema it was read with. */
  | 'schema-mismatch'
  /** What stands among a document's updates is none, or a piece of it is missing. */
  | 'document-malformed'
  /** An update of another engine than the document is open with: two devices made one id at once, each with its own, or a newer version did. */
  | 'document-other-engine'
  /** A document's update that its engine cannot bring in. */
  | 'document-update-refused'
  /** A document's update stands on what is not here, as more do than are kept: read again when that comes. */
  | 'document-update-held'
  /** A document's update brings something under a source that is not its writer's. */
  | 'document-author-forged'
  /** A document's update brings something under a source that another writer has, too, and proves to have. */
  | 'document-author-taken'
  /** A document's update lies past a seal; what counts stands on it, and its engine can only show both. */
  | 'document-sealed-shown'
  /** What stands among the anchors is none. */
  | 'anchor-malformed'
  /** An open space has as many logs as it takes. */
  | 'too-many-logs'
  /** A peer knew the space's topic, but could not prove to hold its key, or speaks another version. */
  | 'peer-proof'
  | 'peer-version'
  /** A device that was removed connected, or was connected: it gets nothing but the membership logs. */
  | 'peer-removed'
  /** A peer told of a device that asks to be let in, whose credentials are none or not signed. */
  | 'asker-forged'
  /** A peer asked to be let in by an invite, and what it sent is no request, or not signed by who has the invite; or it asks too often. */
  | 'invite-malformed'
  | 'invite-forged'
  | 'invite-flood'
  /** A log that was sealed is held here in another history than the one that the seal names. */
  | 'sealed-other-history'
  /** A membership log publishes a proof of a fork that proves none. */
  | 'fork-unproved'
  /** A record was to give this device the key of an epoch, and gives another or none. */
  | 'epoch-key-mismatch'
  /** Of what a peer said of the histories of logs: what shows nothing, is none, or is more than it may ask at once. */
  | 'branch-forged'
  | 'branch-malformed'
  | 'branch-flood'
  /** Of what was said in presence; counted in `space.presence.stats()`. */
  | 'presence-oversized'
  | 'presence-malformed'
  | 'presence-unsupported'
  | 'presence-forged'
  | 'presence-flood'
  /** Of what was said on channels: nothing more of it is heard on that connection. */
  | 'channel-oversized'
  | 'channel-malformed'
  | 'channel-unsupported'
  | 'channel-flood'

export interface Refusal {
  /** The writer's log in text form; for a refused peer, its device key. */
  readonly writer: string
  readonly reason: RefusalReason
  /** The merge type, where that is what refused. */
  readonly type?: string
  /** Different places found so far; repeated reads of one place count once. */
  readonly count: number
  /** The first block it was found in. */
  readonly seq: number
}

/** Why an entry was left out of a fold, and by which merge type. */
export function foldRefusal({ type, name }: { readonly type: string; readonly name?: string }): {
  readonly reason: RefusalReason
  readonly name?: string
} {
  return type === 'named' && name !== undefined
    ? { reason: 'merge-type-refused', name }
    : { reason: 'value-malformed' }
}

/** Places remembered, so that reading one again is not counted again. Beyond, counts may be too high. */
const MAX_PLACES = 10_000

export class Refusals {
  readonly events = new EventEmitter<{ refused: [Refusal] }>()
  readonly #refusals = new Map<string, Refusal>()
  readonly #places = new Set<string>()

  add(writer: string, reason: RefusalReason, seq: number, type?: string): void {
    const id = type === undefined ? `${writer} ${reason}` : `${writer} ${reason} ${type}`
    const place = `${id} ${seq}`
    if (this.#places.has(place)) return
    if (this.#places.size < MAX_PLACES) this.#places.add(place)
    const known = this.#refusals.get(id)
    const count = (known?.count ?? 0) + 1
    const named = type === undefined ? {} : { type }
    const refusal = { writer, reason, ...named, count, seq: known?.seq ?? seq }
    this.#refusals.set(id, refusal)
    this.events.emit('refused', refusal)
  }

  /** Of a tree, or a block. What waits for its key is no refusal. */
  addTree(writer: string, refusal: TreeRefusal): void {
    const { reason, seq } = refusal
    if (reason !== 'no-epoch-key') this.add(writer, reason, seq)
  }

  list(): readonly Refusal[] {
    return [...this.#refusals.values()]
  }
}
