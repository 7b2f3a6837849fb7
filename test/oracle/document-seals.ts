/**
 * What a sealed text shows, the obvious slow way: all letters that anybody ever wrote, in their order, and of these the ones that
 * an update brought which counts, unless one deleted them.
 */
import * as Y from 'yjs'

export interface Written {
  /** In Yjs' first encoding. */
  readonly update: Uint8Array
  readonly counts: boolean
}

export function showSlowly(written: readonly Written[], name: string): string {
  const everything = new Y.Doc({ gc: false })
  for (const { update } of written) Y.applyUpdate(everything, update)
  const shown = new Set<string>()
  for (const { update } of written.filter(({ counts }) => counts)) {
    for (const { id, length } of Y.decodeUpdate(update).structs)
      for (const letter of letters(id.client, id.clock, length)) shown.add(letter)
  }
  for (const { update } of written.filter(({ counts }) => counts)) {
    for (const [client, items] of Y.decodeUpdate(update).ds.clients)
      for (const { clock, len } of items)
        for (const letter of letters(client, clock, len)) shown.delete(letter)
  }
  let text = ''
  for (let item = everything.getText(name)._start; item !== null; item = item.right) {
    if (!(item.content instanceof Y.ContentString)) continue
    const names = letters(item.id.client, item.id.clock, item.length)
    const { str } = item.content
    names.forEach((letter, i) => (text += shown.has(letter) ? str.charAt(i) : ''))
  }
  return text
}

function letters(client: number, clock: number, length: number): readonly string[] {
  return Array.from({ length }, (_, i) => `${client} ${clock + i}`)
}
