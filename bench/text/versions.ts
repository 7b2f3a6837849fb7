/**
 * A big document at any moment of its history: the recorded session of two persons (examples/real-session), typed on two devices, and
 * an Automerge document, typed in bursts on one. Each is opened at versions from its first to its last. Timed is `document.at(version)`, each on a device that was just opened, and again;
 * opening the live document is not. "Behind a snapshot": one letter on each device after both have closed the document.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import * as A from '@automerge/automerge'
import { Replay } from '../../examples/real-session/replay.ts'
import { readSession } from '../../examples/real-session/session.ts'
import { LIBRARIES } from '../../examples/real-session/sheets.ts'
import { MemoryNetwork, openDevice, type Space } from '../../index.ts'
import type { Device } from '../../multiwriter/index.ts'
import { atMost, type Row, type RowContext, type RowResult } from '../kv/row.ts'

const ID = 'friends'
const MOMENTS = 20

const KEYSTROKES = 26_000
const BURST = 40
/** The document is closed so often while it is typed: each time makes a snapshot, and each has an actor of its own. */
const SITTINGS = 20

interface Text {
  text: string
}

/** The document, as one of the libraries has it. */
interface Opened extends AsyncDisposable {
  versions(): AsyncIterable<{ readonly version: string }>
  /** Opens it at a version, and reads it. */
  read(version: string): Promise<number>
}

type Open = (space: Space) => Promise<Opened>

interface Opening {
  readonly first: number
  readonly again: number
}

export const versions: Row = async (context) => {
  const yjs = await yjsVersions(context)
  const other = await automergeVersions(context)
  return {
    tables: [],
    goals: [...yjs.goals, ...other.goals],
    notes: [...(yjs.notes ?? []), ...(other.notes ?? [])]
  }
}

async function yjsVersions({ folder, quick }: RowContext): Promise<RowResult> {
  const count = await typeSession(folder, quick ? 2000 : Infinity)
  const openings = await openAll(join(folder, 'laptop'), openYjs)
  return resultOf('a big document', `${count} edits of two persons`, openings)
}

async function automergeVersions({ folder, quick }: RowContext): Promise<RowResult> {
  const storage = join(folder, 'automerge')
  const count = quick ? 2000 : KEYSTROKES
  const floor = await typeSittings(storage, count)
  const openings = await openAll(storage, openAutomerge)
  const what = `Automerge: ${count} keystrokes in ${SITTINGS} sittings`
  const { notes = [], ...result } = resultOf('a big Automerge document', what, openings)
  const least = `Automerge: the least, Automerge alone from one file that it saved: ${ms(floor)}`
  return { ...result, notes: [...notes, least] }
}

function resultOf(what: string, typed: string, openings: readonly Opening[]): RowResult {
  const firsts = openings.slice(0, -1).map(({ first }) => first)
  const agains = openings.slice(0, -1).map(({ again }) => again)
  const behind = openings.at(-1) ?? { first: Number.NaN, again: Number.NaN }
  const slowest = Math.max(...firsts)
  return {
    tables: [],
    goals: [
      atMost(`opening a version of ${what}, the slowest`, slowest, 1000, ms),
      atMost(`opening a version of ${what}, behind a snapshot`, behind.first, 100, ms)
    ],
    notes: [
      `${typed}, opened at ${firsts.length} versions from the first to the last`,
      `on a device just opened: median ${ms(median(firsts))}, slowest ${ms(slowest)}, behind a snapshot ${ms(behind.first)}`,
      `again: median ${ms(median(agains))}, slowest ${ms(Math.max(...agains))}, behind a snapshot ${ms(behind.again)}`
    ]
  }
}

const ms = (value: number): string => `${value.toFixed(0)} ms`

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

/** @returns how many edits */
async function typeSession(folder: string, first: number): Promise<number> {
  const { transport } = new MemoryNetwork()
  const laptop = await openDevice({ storage: join(folder, 'laptop'), transport })
  const phone = await openDevice({ storage: join(folder, 'phone'), transport })
  const space = await laptop.createSpace({ open: true })
  const same = await phone.openSpace(space.ticket)
  const { edits } = await readSession(first)
  const documents = [await LIBRARIES.yjs.open(space), await LIBRARIES.yjs.open(same)] as const
  await new Replay(LIBRARIES.yjs, documents).run(edits)
  for (const document of documents) await document.close()
  for (const each of [space, same]) {
    await using live = await each.documents.open(ID)
    live.doc.getText('text').insert(0, '.')
    await live.flush()
  }
  await inStep(space, same)
  await laptop.close()
  await phone.close()
  return edits.length
}

async function inStep(one: Space, other: Space): Promise<void> {
  const lengths = (space: Space) =>
    [one, other].map(({ writer }) => space.writers().find((each) => each.writer === writer)?.length)
  while (lengths(one).join() !== lengths(other).join()) await setTimeout(1)
}

/** @returns ms that Automerge alone takes to load all of it */
async function typeSittings(storage: string, count: number): Promise<number> {
  const device = await openDevice({ storage })
  const space = await device.createSpace()
  for (let i = 0; i < SITTINGS; i++) await typeSitting(space, count / SITTINGS)
  await using live = await space.documents.open<Text>(ID, { engine: 'automerge' })
  const saved = A.save(live.doc.value)
  live.doc.change((draft) => A.splice(draft, ['text'], 0, 0, '.'))
  await live.flush()
  const begin = performance.now()
  const loaded = A.load<Text>(saved)
  const floor = performance.now() - begin
  if (loaded.text.length !== count) throw new Error('Not all of it was typed')
  await device.close()
  return floor
}

async function typeSitting(space: Space, count: number): Promise<void> {
  await using live = await space.documents.open<Text>(ID, { engine: 'automerge' })
  if (!('text' in live.doc.value)) live.doc.change((draft) => (draft.text = ''))
  for (let typed = 0; typed < count; typed += BURST) {
    const length = live.doc.value.text.length
    const from = (length * 7919) % (length + 1)
    for (let i = 0; i < Math.min(BURST, count - typed); i++)
      live.doc.change((draft) => A.splice(draft, ['text'], from + i, 0, 'a'))
    await live.flush()
  }
}

async function openYjs(space: Space): Promise<Opened> {
  const live = await space.documents.open(ID)
  return {
    versions: () => live.versions(),
    read: async (version) => (await live.at(version)).getText('text').toJSON().length,
    [Symbol.asyncDispose]: () => live.close()
  }
}

async function openAutomerge(space: Space): Promise<Opened> {
  const live = await space.documents.open<Text>(ID, { engine: 'automerge' })
  return {
    versions: () => live.versions(),
    read: async (version) => ((await live.at(version)).value.text ?? '').length,
    [Symbol.asyncDispose]: () => live.close()
  }
}

async function openAll(storage: string, open: Open): Promise<readonly Opening[]> {
  const wanted = await withSpace(storage, (space) => momentsOf(space, open))
  const openings: Opening[] = []
  for (const version of wanted) {
    openings.push(
      await withSpace(storage, async (space) => {
        await using live = await open(space)
        const read = async () => {
          const begin = performance.now()
          await live.read(version)
          return performance.now() - begin
        }
        return { first: await read(), again: await read() }
      })
    )
  }
  return openings
}

/** Versions at equal distances, and the last one. */
async function momentsOf(space: Space, open: Open): Promise<readonly string[]> {
  await using live = await open(space)
  const all: string[] = []
  for await (const { version } of live.versions()) all.push(version)
  const typed = all.slice(0, -2) // without the letters that came after
  const places = Array.from({ length: MOMENTS }, (_, i) => {
    return typed[Math.round((i * (typed.length - 1)) / (MOMENTS - 1))] ?? ''
  })
  return [...places, all.at(-1) ?? '']
}

async function withSpace<T>(storage: string, task: (space: Space) => Promise<T>): Promise<T> {
  const device: Device = await openDevice({ storage })
  try {
    const [known] = device.spaces()
    if (known === undefined) throw new Error('The store has no space')
    return await task(await device.openSpace(known.address))
  } finally {
    await device.close()
  }
}
