/**
 * A device is removed while a document is open elsewhere that shows 1,000 edits of it which do not count any more. Timed is on that
 * device, wall clock: from when it knows of the removal until its document shows it.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openDevice, type Device, type LiveDocument, type Space } from '../../index.ts'
import { atMost, type Row } from '../kv/row.ts'

const TIMES = 5
const ID = 'letter'

interface Size {
  readonly length: number
  readonly edits: number
}

export const seal: Row = async ({ folder, quick }) => {
  const size = quick ? { length: 10_000, edits: 100 } : { length: 100_000, edits: 1000 }
  const took: number[] = []
  for (let i = 0; i < TIMES; i++) took.push(await timeOne(join(folder, String(i)), size))
  const median = took.toSorted((a, b) => a - b)[TIMES >> 1] ?? Number.NaN
  const what = `a removal that takes ${size.edits} edits out of a live document of ${size.length} characters`
  return {
    tables: [],
    goals: [atMost(what, median, 200, ms)],
    notes: [`${took.map(ms).join(', ')}; median ${ms(median)}`]
  }
}

const ms = (value: number): string => `${value.toFixed(0)} ms`

async function timeOne(folder: string, size: Size): Promise<number> {
  const names = ['owner', 'watcher', 'removed']
  const devices = await Promise.all(
    names.map((name) => openDevice({ storage: join(folder, name) }))
  )
  const [owner, watcher, removed] = devices as [Device, Device, Device]
  const space = await owner.createSpace()
  const [watching, writing] = [
    await watcher.openSpace(space.ticket),
    await removed.openSpace(space.ticket)
  ]
  for (const { writer } of [watching, writing]) await space.addWriter(writer)
  const took = await timeRemoval(space, watching, writing, removed.id, size)
  for (const device of devices) await device.close()
  return took
}

async function timeRemoval(
  space: Space,
  watching: Space,
  writing: Space,
  device: string,
  { length, edits }: Size
): Promise<number> {
  const first = [connect(space, watching), connect(space, writing)]
  const spaces = [space, watching, writing]
  await until(() => spaces.every(({ members }) => members.list().length === spaces.length))
  const live = await watching.documents.open(ID)
  live.doc.getText('text').insert(0, 'x'.repeat(length - edits))
  await live.flush()
  const late = await writing.documents.open(ID)
  await until(() => lengthOf(late) === length - edits)
  for (const cut of first) cut()
  await until(() => space.peers().length === 0)

  const between = connect(watching, writing)
  for (let i = 0; i < edits; i++) {
    late.doc.getText('text').insert(((i * 7919) % length) % lengthOf(late), 'y')
    if (i % 10 === 0) await late.flush()
  }
  await until(() => lengthOf(live) === length)
  await late.flush()
  between()

  await space.members.revoke(device)
  const told = new Promise<number>((resolve) =>
    watching.once('members', () => resolve(performance.now()))
  )
  const shown = new Promise<number>((resolve) => {
    const look = () => {
      if (lengthOf(live) === length - edits) resolve(performance.now())
    }
    live.on('seal', look)
    live.on('reload', look)
  })
  connect(space, watching)
  const took = (await shown) - (await told)
  for (const each of [live, late]) await each.close().catch(() => {}) // who was removed has nothing to write
  return took
}

function lengthOf({ doc }: LiveDocument): number {
  return doc.getText('text').length
}

/** @returns how to cut it */
function connect(one: Space, other: Space): () => void {
  const [here, there] = [one.replicate(true), other.replicate(false)]
  here.pipe(there).pipe(here)
  return () => {
    here.destroy()
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(2)
}
