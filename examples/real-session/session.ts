/** A recorded session of two people (data/README.md): what each typed, and how much of the other's they had on the screen. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

/** Deletes, then inserts, at a position. */
export type Patch = readonly [position: number, deleted: number, inserted: string]

export type Person = 0 | 1

export interface Edit {
  readonly by: Person
  /** So many edits of the other were on the screen, the first ones; with all of one's own. */
  readonly seen: number
  readonly patches: readonly Patch[]
}

export interface Session {
  /** In an order in which each comes after those it stands on. */
  readonly edits: readonly Edit[]
  /** Null where only a beginning was asked for: the recording tells of the end alone. */
  readonly endContent: string | null
}

interface Recording {
  readonly endContent: string
  readonly txns: readonly {
    readonly parents: readonly number[]
    readonly agent: Person
    readonly patches: readonly Patch[]
  }[]
}

/** @param first so many edits; default all */
export async function readSession(first = Infinity): Promise<Session> {
  const file = await readFile(new URL('data/friendsforever.json.gz', import.meta.url))
  const { endContent, txns }: Recording = JSON.parse((await promisify(gunzip)(file)).toString())
  const some = txns.slice(0, first)
  return { edits: editsOf(some), endContent: some.length < txns.length ? null : endContent }
}

/** How many edits of each person something stands on. */
type Seen = readonly [number, number]

const NOTHING: Seen = [0, 0]

function editsOf(txns: Recording['txns']): Edit[] {
  const after: Seen[] = []
  return txns.map(({ parents, agent, patches }) => {
    const before = parents.reduce((seen, parent) => union(seen, after[parent] ?? NOTHING), NOTHING)
    const [one, two] = before
    after.push(agent === 0 ? [one + 1, two] : [one, two + 1])
    return { by: agent, seen: before[other(agent)], patches }
  })
}

function union(a: Seen, b: Seen): Seen {
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1])]
}

export function other(person: Person): Person {
  return person === 0 ? 1 : 0
}

/** Edits, counted per person, after which the other saw so much and no more. */
export function glimpsesOf(edits: readonly Edit[]): readonly [Set<number>, Set<number>] {
  const glimpses: [Set<number>, Set<number>] = [new Set(), new Set()]
  for (const { by, seen } of edits) glimpses[other(by)].add(seen)
  return glimpses
}

/** Edits typed before all that the other had typed was on the screen. */
export function countConcurrent(edits: readonly Edit[]): number {
  const typed = [0, 0]
  return edits.filter(({ by, seen }) => {
    typed[by] = (typed[by] ?? 0) + 1
    return seen < (typed[other(by)] ?? 0)
  }).length
}
