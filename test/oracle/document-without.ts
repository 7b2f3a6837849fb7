/**
 * The slow twin of leaving some updates out of a Yjs text: every letter that was ever typed, in its place, with what deleted it. A
 * letter shows if it did not come with what is left out, and nothing that stays deleted it. Nothing is struck or compared; a
 * document that throws nothing away holds it all.
 */
import * as Y from 'yjs'
import { Spans } from '../../crdt/document/spans.ts'

/** @param updates as Yjs makes them, in its first encoding */
export function textWithout(
  name: string,
  updates: readonly Uint8Array[],
  left: readonly Uint8Array[]
): string {
  const doc = new Y.Doc({ gc: false })
  for (const update of [...updates, ...left]) Y.applyUpdate(doc, update)
  const gone = deletedBy(updates)
  const known = broughtBy(updates)
  let text = ''
  for (let item = doc.getText(name)._start; item !== null; item = item.right) {
    const { content, id } = item
    if (!(content instanceof Y.ContentString)) continue
    for (const [i, letter] of content.str.split('').entries()) {
      const clock = id.clock + i
      if (known.has(id.client, clock) && !gone.has(id.client, clock)) text += letter
    }
  }
  return text
}

function deletedBy(updates: readonly Uint8Array[]): Spans {
  const spans = new Spans()
  for (const update of updates) {
    for (const [source, items] of Y.decodeUpdate(update).ds.clients)
      for (const { clock, len } of items) spans.add({ source, start: clock, end: clock + len })
  }
  return spans
}

function broughtBy(updates: readonly Uint8Array[]): Spans {
  const spans = new Spans()
  for (const update of updates) {
    for (const { id, length } of Y.decodeUpdate(update).structs)
      spans.add({ source: id.client, start: id.clock, end: id.clock + length })
  }
  return spans
}
