/** Who the writers are: each device says it once, in the notebook itself, so that it is known of those who are not there, too. */
import type { MultiBee, Space, Value } from '../index.ts'
import type { Person } from './protocol.ts'

const MAX_NAME = 24

/** As many colours as the pages have. */
const HUES = 6

export class People {
  readonly #db: MultiBee
  readonly #writer: string
  readonly #owner: Person
  #isIntroduced = false

  constructor(space: Space, owner: Person) {
    this.#db = space.db.sub('people')
    this.#writer = space.writer
    this.#owner = owner
  }

  /** Says who writes here. Once: when it fails, it is said at the next start. */
  introduce(): void {
    if (this.#isIntroduced) return
    this.#isIntroduced = true
    this.#introduce().catch(() => {}) // as said above
  }

  async all(): Promise<Readonly<Record<string, Person>>> {
    const people: Record<string, Person> = {}
    for await (const { key, value } of this.#db.createReadStream()) {
      const person = personIn(value)
      if (person !== null) people[key] = person
    }
    return people
  }

  async #introduce(): Promise<void> {
    const { name, hue } = this.#owner
    const known = personIn((await this.#db.get(this.#writer))?.value ?? null)
    if (known?.name === name && known.hue === hue) return
    await this.#db.put(this.#writer, { name, hue })
  }
}

/** Others may have written anything. */
function personIn(value: Value): Person | null {
  if (typeof value !== 'object' || value === null) return null
  const { name, hue } = value as Record<string, unknown>
  if (typeof name !== 'string' || name === '') return null
  const isHue = typeof hue === 'number' && Number.isSafeInteger(hue) && hue >= 0 && hue < HUES
  return { name: name.slice(0, MAX_NAME), hue: isHue ? hue : 0 }
}
