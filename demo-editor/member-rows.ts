/** Who is in the notebook, as a page shows it, with what left the view when somebody was removed. */
import { EventEmitter } from 'eventemitter3'
import type { ExcludedWork, MemberInfo, Space } from '../index.ts'
import { MAX_LEFT, type Left, type LeftEntry, type MemberRow, type Person } from './protocol.ts'

/** Who has not said who it is. */
const UNKNOWN = { name: 'Somebody', hue: null }

/** Of a value that left the view a page is told no more. */
const MAX_TOLD = 200

export class MemberRows extends EventEmitter<{
  /** `rows` are different. */
  change: []
}> {
  readonly #space: Space
  readonly #people: () => Promise<Readonly<Record<string, Person>>>
  #rows: readonly MemberRow[] = []
  #looking: Promise<void> | null = null
  #isDue = false
  /** The logs of those who were removed. */
  #removed: ReadonlySet<string> = new Set()
  /** Of the logs that are watched. */
  #lengths = ''

  /** @param people by writer */
  constructor(space: Space, people: () => Promise<Readonly<Record<string, Person>>>) {
    super()
    this.#space = space
    this.#people = people
    space.on('members', this.#onchange)
    space.on('sealed', this.#onchange)
    space.on('peer-add', this.#onchange)
    space.on('peer-remove', this.#onchange)
    this.refresh()
  }

  get rows(): readonly MemberRow[] {
    return this.#rows
  }

  /** One after the other: what changes while it is looked at is looked at again. */
  refresh(): void {
    this.#isDue = true
    this.#looking ??= this.#look()
      .catch(() => {}) // what cannot be read now is looked at with the next change
      .finally(() => (this.#looking = null))
  }

  /** Nothing tells of names that arrive, nor of what arrives and does not count. Typing is neither. */
  look(): void {
    const isNamed = this.#rows.every(({ hue }) => hue !== null)
    const { logs } = this.#space.syncState()
    const watched = isNamed ? logs.filter(({ writer }) => this.#removed.has(writer)) : logs
    const lengths = watched.map(({ here }) => here).join()
    if (lengths === this.#lengths) return
    this.#lengths = lengths
    this.refresh()
  }

  async close(): Promise<void> {
    this.removeAllListeners()
    this.#isDue = false
    this.#space.off('members', this.#onchange)
    this.#space.off('sealed', this.#onchange)
    this.#space.off('peer-add', this.#onchange)
    this.#space.off('peer-remove', this.#onchange)
    await this.#looking
  }

  async #look(): Promise<void> {
    while (this.#isDue) {
      this.#isDue = false
      const people = await this.#people()
      const { members } = this.#space
      const list = members.list()
      this.#removed = new Set(
        list
          .filter(({ role }) => role === null)
          .flatMap(({ devices }) => devices)
          .flatMap(({ writers }) => writers)
      )
      const excluded = this.#removed.size > 0 ? await members.excluded() : []
      const rows = list.map((member) => this.#rowOf(member, people, excluded))
      if (JSON.stringify(rows) === JSON.stringify(this.#rows)) continue
      this.#rows = rows
      this.emit('change')
    }
  }

  #rowOf(
    { identity, petname, role, isOwn, devices }: MemberInfo,
    people: Readonly<Record<string, Person>>,
    excluded: readonly ExcludedWork[]
  ): MemberRow {
    const writers = devices.flatMap((device) => device.writers)
    const { name, hue } = writers.map((writer) => people[writer]).find(Boolean) ?? UNKNOWN
    const seen = seenOf(devices)
    const works = excluded.filter(({ writer }) => writers.includes(writer))
    const left = this.#leftOf(works)
    const own = isOwn ? this.#ownRole(devices, role) : role
    return { identity, name, petname, hue, role: own, isOwn, seen, left }
  }

  /** Who comes back elsewhere keeps the rights; this device, which was lost then, has none. */
  #ownRole(devices: MemberInfo['devices'], role: MemberInfo['role']): MemberInfo['role'] {
    const own = devices.find(({ writers }) => writers.includes(this.#space.writer))
    return own === undefined ? role : own.role
  }

  #leftOf(works: readonly ExcludedWork[]): Left | null {
    if (works.length === 0) return null
    const { logs } = this.#space.syncState()
    const changes = works.map(({ writer, length }) => {
      const log = logs.find((each) => each.writer === writer)
      return Math.max(0, (log?.here ?? length) - length)
    })
    const entries = works.flatMap((work) => work.entries).slice(0, MAX_LEFT)
    return { changes: changes.reduce((sum, each) => sum + each, 0), entries: entries.map(told) }
  }

  readonly #onchange = (): void => this.refresh()
}

function seenOf(devices: MemberInfo['devices']): MemberRow['seen'] {
  if (devices.some(({ isConnected }) => isConnected)) return 'here'
  const times = devices.flatMap(({ lastSeen }) => lastSeen ?? [])
  return times.length === 0 ? null : Math.max(...times)
}

function told({ key, value }: ExcludedWork['entries'][number]): LeftEntry {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return { key: key.slice(0, MAX_TOLD), value: text.slice(0, MAX_TOLD) }
}
