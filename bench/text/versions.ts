/**
 * A big document at any moment of its history: the recorded session of two persons (examples/real-session), typed on two devices, and
 * opened at versions from its first to its last. Timed is `document.at(version)`, each on a device that was just opened, and again;
 * opening the live document is not. "Behind a snapshot": one letter on each device after both have closed the document.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Replay } from '../../examples/real-session/replay.ts'
import { readSession } from '../../examples/real-session/session.ts'
import { LIBRARIES } from '../../examples/real-session/sheets.ts'
import { MemoryNetwork, openDevice, type Space } from '../../index.ts'
import type { Device } from '../../multiwriter/index.ts'
import { atMost, type Row } from '../kv/row.ts'

const ID = 'friends'
const MOMENTS = 20

interface Opening {
  readonly first: number
  readonly again: number
}

export const versions: Row = async ({ folder, quick }) => {
  const edits = quick ? 2000 : Infinity
  const count = await typeSession(folder, edits)
  const openings = await openAll(join(folder, 'laptop'))
  const firsts = openings.slice(0, -1).map(({ first }) => first)
  const agains = openings.slice(0, -1).map(({ again }) => again)
  const behind = openings.at(-1) ?? { first: Number.NaN, again: Number.NaN }
  return {
    tables: [],
    goals: [
      atMost('opening a version of a big document, the slowest', Math.max(...firsts), 1000, ms),
      atMost('opening a version of a big document, behind a snapshot', behind.first, 100, ms)
    ],
    notes: [
      `${count} edits of two persons, opened at ${firsts.length} versions from the first to the last`,
      `on a device just opened: median ${ms(median(firsts))}, slowest ${ms(Math.max(...firsts))}, behind a snapshot ${ms(behind.first)}`,
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

async function openAll(storage: string): Promise<readonly Opening[]> {
  const wanted = await withSpace(storage, momentsOf)
  const openings: Opening[] = []
  for (const version of wanted) {
    openings.push(
      await withSpace(storage, async (space) => {
        await using live = await space.documents.open(ID)
        const open = async () => {
          const begin = performance.now()
          const doc = await live.at(version)
          doc.getText('text').toJSON()
          return performance.now() - begin
        }
        return { first: await open(), again: await open() }
      })
    )
  }
  return openings
}

/** Versions at equal distances, and the last one. */
async function momentsOf(space: Space): Promise<readonly string[]> {
  await using live = await space.documents.open(ID)
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
