/** What one person has on the screen: a Yjs document of its own, which shows what has arrived only when it is told to. */
import * as Y from 'yjs'
import type { Edit, Patch, Person } from './session.ts'
import { other } from './session.ts'

interface Arrived {
  /** With it, so many edits of the other are shown. */
  readonly upTo: number
  readonly updates: readonly Uint8Array[]
}

export class Screen {
  readonly #doc = new Y.Doc()
  readonly #text = this.#doc.getText('text')
  readonly #arrived: Arrived[] = []
  #arriving: Uint8Array[] = []
  #shown = 0
  /** Own edits. */
  typed = 0

  /**
   * Yjs settles by client ids, which are random else, who comes first where two insert at one place. In the recording it was person
   * 0; the other way round 14 of the 21,362 characters come out elsewhere.
   */
  constructor(person: Person, ontyped: (update: Uint8Array) => void) {
    this.#doc.clientID = person + 1
    this.#doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== this) ontyped(update)
    })
  }

  get content(): string {
    return this.#text.toJSON()
  }

  type(patches: readonly Patch[]): void {
    this.typed++
    this.#doc.transact(() => {
      for (const [position, deleted, inserted] of patches) {
        if (deleted > 0) this.#text.delete(position, deleted)
        if (inserted !== '') this.#text.insert(position, inserted)
      }
    })
  }

  /** Keeps an update of the other. */
  arrive(update: Uint8Array): void {
    this.#arriving.push(update)
  }

  /** All of the other's edits up to this number have arrived. */
  mark(upTo: number): void {
    this.#arrived.push({ upTo, updates: this.#arriving })
    this.#arriving = []
  }

  /** Shows exactly so many of the other's edits. @throws Error when they have not arrived, or only with more */
  show(count: number): void {
    while (this.#shown < count) {
      const next = this.#arrived[0]
      if (next === undefined || next.upTo > count)
        throw new Error(`Edit ${count} of the other is not here.`)
      this.#arrived.shift()
      for (const update of next.updates) Y.applyUpdate(this.#doc, update, this)
      this.#shown = next.upTo
    }
  }

  showAll(): void {
    this.show(this.#arrived.at(-1)?.upTo ?? 0)
  }
}

/** The same with Yjs alone: no logs, no devices. */
export function replayInMemory(edits: readonly Edit[]): string {
  const screens: readonly [Screen, Screen] = [
    new Screen(0, (update) => screens[1].arrive(update)),
    new Screen(1, (update) => screens[0].arrive(update))
  ]
  for (const { by, seen, patches } of edits) {
    screens[by].show(seen)
    screens[by].type(patches)
    screens[other(by)].mark(screens[by].typed)
  }
  for (const screen of screens) screen.showAll()
  const [one, two] = screens.map(({ content }) => content)
  if (one === undefined || one !== two) throw new Error('The two screens differ.')
  return one
}
