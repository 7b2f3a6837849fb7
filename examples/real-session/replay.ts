/**
 * Two persons, each before a screen of their own, which is a text beside the one that the device keeps. What is typed there
 * goes into the device's document at once, and on to the other device. But the other person sees it only when the recording says so:
 * that is how everything that was concurrent then is concurrent now, whatever the network does.
 *
 * To show exactly so much, it must be known which edits an arriving update brings. So wherever somebody saw the other's text at that
 * point, the typist waits until both devices hold the same: what arrived since then is what was typed since then.
 */
import { setImmediate } from 'node:timers/promises'
import progress from 'cli-progress'
import { Screen } from './screen.ts'
import type { Library, Sheet } from './sheets.ts'
import { glimpsesOf, other, type Edit } from './session.ts'

/** Devices in one process have each other's edits within milliseconds. */
const MEET_MS = 20_000

/** The bar is drawn anew after so many edits. */
const STEP = 100

export class Replay {
  readonly screens: readonly [Screen, Screen]
  readonly documents: readonly [Sheet, Sheet]

  constructor(library: Library, documents: readonly [Sheet, Sheet]) {
    this.documents = documents
    this.screens = [screenAt(library, 0, documents[0]), screenAt(library, 1, documents[1])]
  }

  async run(edits: readonly Edit[]): Promise<void> {
    const bar = new progress.SingleBar({
      format: '   {bar} {percentage} % of {total} edits, {eta_formatted} left',
      clearOnComplete: true,
      hideCursor: true
    })
    bar.start(edits.length, 0)
    try {
      await this.#run(edits, (done) => done % STEP === 0 && bar.update(done))
    } finally {
      bar.stop()
    }
  }

  async #run(edits: readonly Edit[], ondone: (done: number) => void): Promise<void> {
    const glimpses = glimpsesOf(edits)
    for (const [i, { by, seen, patches }] of edits.entries()) {
      const screen = this.screens[by]
      screen.show(seen)
      screen.type(patches)
      if (glimpses[by].has(screen.typed)) await this.#exchange()
      ondone(i + 1)
    }
    await this.#exchange()
    for (const screen of this.screens) screen.showAll()
  }

  /** Resolves when each device has what was typed on the other. */
  async #exchange(): Promise<void> {
    await Promise.all(this.documents.map((document) => document.flush()))
    await meet(this.documents)
    for (const person of [0, 1] as const) {
      this.screens[person].mark(this.screens[other(person)].typed)
    }
  }
}

/** What is typed on the screen goes into the document; what comes from elsewhere, the screen keeps until it is to show it. */
function screenAt(library: Library, person: 0 | 1, document: Sheet): Screen {
  const screen: Screen = new Screen(library, person, (update) => document.write(update, screen))
  document.onupdate((update, origin) => {
    if (origin !== screen) screen.arrive(update)
  })
  return screen
}

/** Resolves when both show the same. */
export async function meet([one, two]: readonly [Sheet, Sheet]): Promise<void> {
  const deadline = performance.now() + MEET_MS
  while (one.measure !== two.measure) {
    if (performance.now() > deadline) throw new Error('The documents did not become the same.')
    await setImmediate()
  }
}
