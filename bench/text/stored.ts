/**
 * A big document on the disk: what it takes, and how long it takes to open it again. With `--trace <file>` it is a real one, else a
 * small made-up one. "Snapshot": what a device makes of its own log when it closes the document. "Bare log": another device received
 * the log before that, so it has every burst that was typed and nothing else. Neither has its cache, "cache" is with it.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import * as Y from 'yjs'
import { MemoryNetwork, openDevice, type Space } from '../../index.ts'
import type { Device } from '../../multiwriter/index.ts'
import { race, rateOf, type Competitor, type Table } from '../harness.ts'
import { atMost, times, type Row, type RowContext } from '../kv/row.ts'
import { applyEdit, openTrace, type Trace } from './trace.ts'

/** Fewer than a device writes before it makes a snapshot by itself. */
const MOST_BURSTS = 500

/** So many edits in one entry is what automatic edits make; a person's keystrokes are mostly an entry each. */
const SMALL_BURST = 10

const CACHE = 'manyhands, from its cache'
const SNAPSHOT = 'manyhands, from the snapshot'
const BARE = 'manyhands, from the bare log'
const YJS = 'Yjs, from one file of its v2 state'

/** Bytes of the typist's log. */
interface Sizes {
  readonly bare: number
  /** With the bursts that it replaces. */
  readonly withSnapshot: number
  readonly snapshot: number
}

export const stored: Row = async (context) => {
  const { folder, quick, trace: file } = context
  const trace = await openTrace(file, quick ? 2000 : 20_000)
  const yjs = join(folder, 'yjs')
  const bytes = await writeYjs(yjs, trace)
  const paths = { typist: join(folder, 'typist'), reader: join(folder, 'reader') }
  const sizes = await typeAll(trace, Math.ceil(trace.edits.length / MOST_BURSTS), paths)
  const small = await typeAll(trace, SMALL_BURST, { typist: join(folder, 'small') })
  const table = await raceOpening(trace, { ...paths, yjs }, context)
  const openedIn = (name: string): number => 1000 / rateOf(table, name)
  const shares = Object.entries({
    'the log': sizes.bare,
    'the log with its snapshot': sizes.withSnapshot,
    'the snapshot alone': sizes.snapshot,
    [`the log with all its snapshots, ${SMALL_BURST} edits at a time`]: small.withSnapshot
  })
  return {
    tables: [table],
    goals: [
      atMost('reopening a big document, from the cache', openedIn(CACHE), 150, ms),
      atMost('reopening a big document, from the snapshot', openedIn(SNAPSHOT), 150, ms),
      atMost('reopening a big document, from the bare log', openedIn(BARE), 2500, ms),
      atMost('stored bytes, log, against Yjs v2', sizes.bare / bytes, 8, times),
      atMost('stored bytes, snapshot, against Yjs v2', sizes.snapshot / bytes, 1, exactly)
    ],
    notes: [
      `Yjs v2 state of ${trace.name}: ${kilobytes(bytes)}`,
      ...shares.map(([what, size]) => `${what}: ${kilobytes(size)}, ${exactly(size / bytes)}`)
    ]
  }
}

const ms = (value: number): string => `${value.toFixed(0)} ms`
const kilobytes = (size: number): string => `${(size / 1000).toFixed(1)} KB`
const exactly = (value: number): string => `${value.toFixed(3)}x`

/** @returns how many bytes */
async function writeYjs(file: string, { edits, endContent }: Trace): Promise<number> {
  const doc = new Y.Doc()
  for (const edit of edits) applyEdit(doc, edit)
  if (endContent !== null && doc.getText('text').toJSON() !== endContent)
    throw new Error('The trace does not end as it says.')
  const state = Y.encodeStateAsUpdateV2(doc)
  await writeFile(file, state)
  return state.byteLength
}

/** Types on one device; where there is a reader, it has the log before the document is closed. */
async function typeAll(
  { edits }: Trace,
  atOnce: number,
  { typist, reader }: { readonly typist: string; readonly reader?: string }
): Promise<Sizes> {
  const { transport } = new MemoryNetwork()
  const device = await openDevice({ storage: typist, transport })
  const space = await device.createSpace({ open: true })
  const live = await space.documents.open('text')
  for (let i = 0; i < edits.length; i += atOnce) {
    for (const edit of edits.slice(i, i + atOnce)) applyEdit(live.doc, edit)
    await live.flush()
  }
  const before = await ownLog(space)
  if (reader !== undefined) {
    const other = await openDevice({ storage: reader, transport })
    await received(await other.openSpace(space.ticket), space)
    await other.close()
  }
  await live.close()
  const after = await ownLog(space)
  await device.close()
  return { bare: before.bytes, withSnapshot: after.bytes, snapshot: after.liveBytes ?? Number.NaN }
}

async function ownLog(space: Space) {
  const { logs } = await space.stats()
  return logs.find(({ isOwn }) => isOwn)!
}

async function received(to: Space, from: Space): Promise<void> {
  const { length } = from.writers().find(({ isOwn }) => isOwn)!
  while (to.writers().find(({ writer }) => writer === from.writer)?.length !== length) {
    await setTimeout(1)
  }
}

function raceOpening(
  trace: Trace,
  {
    typist,
    reader,
    yjs
  }: { readonly typist: string; readonly reader: string; readonly yjs: string },
  { quick }: RowContext
): Promise<Table> {
  const length = trace.edits.flat().reduce((sum, [, gone, text]) => sum + text.length - gone, 0)
  const competitors: Competitor[] = [
    opener(CACHE, typist, length, true),
    opener(SNAPSHOT, typist, length, false),
    opener(BARE, reader, length, false),
    {
      name: YJS,
      async run() {
        const doc = new Y.Doc()
        Y.applyUpdateV2(doc, await readFile(yjs))
        checkLength(doc, length)
      }
    }
  ]
  return race(`opening ${trace.name} again`, competitors, {
    baseline: YJS,
    units: 1,
    unit: 'openings',
    rounds: quick ? 3 : 7,
    by: 'wall'
  })
}

/** Opens the document of a device that was closed before; opening the device is not timed. */
function opener(name: string, folder: string, length: number, hasCache: boolean): Competitor {
  let device: Device
  let space: Space
  return {
    name,
    async setup() {
      if (!hasCache) await rm(join(folder, 'index'), { recursive: true, force: true })
      device = await openDevice({ storage: folder })
      space = await device.openSpace(device.spaces()[0]!.address)
    },
    async run() {
      const { doc } = await space.documents.open('text')
      checkLength(doc, length)
    },
    teardown: () => device.close()
  }
}

function checkLength(doc: Y.Doc, length: number): void {
  const shown = doc.getText('text').length
  if (shown !== length) throw new Error(`${shown} letters of ${length} are there`)
}
