/** What one person has on the screen: a text of its own, which shows what has arrived only when it is told to. */
import type { Library, Paper } from './sheets.ts'
import type { Edit, Patch, Person } from './session.ts'
import { other } from './session.ts'

interface Arrived {
  /** With it, so many edits of the other are shown. */
  readonly upTo: number
  readonly updates: readonly Uint8Array[]
}

export class Screen {
  readonly #paper: Paper
  readonly #arrived: Arrived[] = []
  #arriving: Uint8Array[] = []
  #shown = 0
  /** Own edits. */
  typed = 0

  constructor(library: Library, person: Person, ontyped: (update: Uint8Array) => void) {
    this.#paper = library.paper(person, ontyped)
  }

  get content(): string {
    return this.#paper.content
  }

  type(patches: readonly Patch[]): void {
    this.typed++
    this.#paper.type(patches)
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
      this.#paper.take(next.updates)
      this.#shown = next.upTo
    }
  }

  showAll(): void {
    this.show(this.#arrived.at(-1)?.upTo ?? 0)
  }
}

/** The same with the library alone: no logs, no devices. */
export function replayInMemory(library: Library, edits: readonly Edit[]): string {
  const screens: readonly [Screen, Screen] = [
    new Screen(library, 0, (update) => screens[1].arrive(update)),
    new Screen(library, 1, (update) => screens[0].arrive(update))
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
