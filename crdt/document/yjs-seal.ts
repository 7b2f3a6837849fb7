/**
 * What a seal takes out of a Yjs document, and what it cannot.
 *
 * Items stand on one another: a letter names its neighbours, and its client's item before it. So a letter of ours that was typed
 * into a sealed text can only be shown if the letters that it names are there. Yjs would keep it waiting for ever otherwise.
 * Of what lies past a seal therefore exactly those updates are brought in that admitted ones stand on, over any number of steps;
 * their own deletions are left out, and all that they brought is struck: deleted, and emptied, so that no undo brings it back. Only
 * a container that holds something admitted stays: striking it would hide what nobody sealed.
 *
 * Whether an item is there or struck changes nothing for the others: the order of a Yjs list does not depend on items that nobody
 * names. So a document that had everything and is struck shows what one shows that is built without it, but for two effects that
 * cannot be taken back: what was deleted, and what a key of a map held before. `canStrike` tells whether there are any; else the
 * document is built anew.
 */
import * as Y from 'yjs'
import { Spans } from './spans.ts'
import type { Decoded, Struct } from './yjs-update.ts'

/** The items that an update brings. */
export function spansOf({ structs }: Decoded): Spans {
  const spans = new Spans()
  for (const struct of structs) {
    if (struct instanceof Y.Skip) continue
    const { client, clock } = struct.id
    spans.add({ source: client, start: clock, end: clock + struct.length })
  }
  return spans
}

/**
 * The indices of the updates past a seal that admitted ones stand on, and so on from these. Of several that bring the same item, the
 * first counts.
 */
export function neededOf(
  admitted: readonly Decoded[],
  past: readonly Decoded[]
): readonly number[] {
  const here = new Spans(admitted.flatMap((update) => [...spansOf(update)]))
  const brings = past.map(spansOf)
  const needed = new Set<number>()
  const queue = [...admitted]
  for (let update = queue.pop(); update !== undefined; update = queue.pop()) {
    for (const { client, clock } of placesNamedBy(update)) {
      if (here.has(client, clock)) continue
      const by = brings.findIndex((spans) => spans.has(client, clock))
      const found = past[by]
      if (found === undefined || needed.has(by)) continue
      needed.add(by)
      queue.push(found)
    }
  }
  return [...needed].sort((a, b) => a - b)
}

/** Each place once that items of an update name outside of it: neighbours, parents, and the item of the same client before them. */
function* placesNamedBy(update: Decoded): Generator<Y.ID> {
  const own = spansOf(update)
  const told = new Spans()
  for (const struct of update.structs) {
    for (const { client, clock } of placesOf(struct)) {
      if (own.has(client, clock) || told.has(client, clock)) continue
      told.add({ source: client, start: clock, end: clock + 1 })
      yield Y.createID(client, clock)
    }
  }
}

function placesOf(struct: Struct): readonly Y.ID[] {
  if (struct instanceof Y.Skip) return []
  const { client, clock } = struct.id
  const before = clock > 0 ? [Y.createID(client, clock - 1)] : []
  if (!(struct instanceof Y.Item)) return before
  const named = [struct.origin, struct.rightOrigin, struct.parent]
  return [...before, ...named.filter((place) => place instanceof Y.ID)]
}

/** Whether an update past a seal does nothing that striking its items would not undo. @param past what it brings, and others past seals */
export function canStrike({ structs, ds }: Decoded, past: Spans): boolean {
  const isListItem = (struct: Struct) => !(struct instanceof Y.Item) || struct.parentSub === null
  const isOwnDeletion = ([source, items]: readonly [
    number,
    readonly { clock: number; len: number }[]
  ]) =>
    items.every(
      ({ clock, len }) => past.without({ source, start: clock, end: clock + len }).length === 0
    )
  return structs.every(isListItem) && [...ds.clients].every(isOwnDeletion)
}

/** The origin of what a seal takes out of a document. */
export const SEAL = Symbol('seal')

/** Shows as deleted what is in these spans, for good. What is not in the document changes nothing. */
export function strike(doc: Y.Doc, spans: Spans): void {
  const struck: Y.Item[] = []
  doc.transact((transaction) => {
    transaction.local = false
    const kept = containersOf(doc, spans)
    Y.iterateDeletedStructs(transaction, deleteSetOf(doc, spans), (struct) => {
      if (!(struct instanceof Y.Item) || kept.has(struct)) return
      struct.delete(transaction)
      struck.push(struct)
    })
  }, SEAL)
  for (const item of struck) {
    if (!(item.content instanceof Y.ContentDeleted)) item.gc(doc.store, false)
  }
}

/** Struck containers that hold something which is not, and those around them. */
function containersOf(doc: Y.Doc, spans: Spans): ReadonlySet<Y.Item> {
  const kept = new Set<Y.Item>()
  for (const structs of doc.store.clients.values()) {
    for (const struct of structs) {
      if (!(struct instanceof Y.Item) || spans.has(struct.id.client, struct.id.clock)) continue
      let container = containerOf(struct)
      while (container !== null && !kept.has(container)) {
        kept.add(container)
        container = containerOf(container)
      }
    }
  }
  return kept
}

function containerOf({ parent }: Y.Item): Y.Item | null {
  return parent instanceof Y.AbstractType ? parent._item : null
}

/** Spans, as far as the document has them. */
export function deleteSetOf(doc: Y.Doc, spans: Spans): ReturnType<typeof Y.createDeleteSet> {
  const set = Y.createDeleteSet()
  for (const { source, start, end } of spans) {
    if (typeof source !== 'number') continue // none of ours
    const length = Math.min(end, Y.getState(doc.store, source)) - start
    if (length <= 0) continue
    const items = set.clients.get(source) ?? []
    set.clients.set(source, items)
    items.push(deleteItem(start, length))
  }
  return set
}

/** Yjs does not export the class, and asks for no more than its two fields. */
function deleteItem(clock: number, len: number) {
  return { clock, len }
}
