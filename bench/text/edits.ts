/**
 * Edits of one text until they are stored: one by one, each awaited, and 100 under way at a time. y-leveldb writes what Yjs made of
 * an edit into LevelDB; ours signs it into the device's log as well, and keeps the local index. Two floors of ours are shown beside
 * it: the same update appended to a bare Hypercore, with no tree, no space and no document above it, and put into a bare hyperbee2,
 * which is the tree that every entry stands in.
 */
import { join } from 'node:path'
import Corestore from 'corestore'
import { LeveldbPersistence } from 'y-leveldb'
import * as Y from 'yjs'
import { openDevice } from '../../index.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { atLeast, times, type Row, type RowContext } from '../kv/row.ts'
import { hyperbee2 } from '../peers.ts'

const OURS = 'manyhands'
const Y_LEVELDB = 'y-leveldb'
const FLOOR = 'bare Hypercore append'
const TREE = 'bare hyperbee2 put'
const IN_FLIGHT = 100

/** A text whose every edit is stored. */
interface Stored {
  readonly name: string
  /** One letter; resolves when it is stored. */
  readonly type: () => Promise<unknown>
  close(): Promise<void>
}

export const edits: Row = async (context) => {
  const floors = [await openHypercore(context.folder), await openHyperbee2(context.folder)]
  const kinds = [await openOurs(context.folder), openLeveldb(context.folder)]
  try {
    const awaited = await raceAwaited([...kinds, ...floors], context)
    const together = await racePipelined(kinds, context)
    return {
      tables: [awaited, together],
      goals: [
        goalOf(awaited, 'edit stored, awaited, against y-leveldb', 0.6),
        goalOf(together, `edits stored, ${IN_FLIGHT} under way, against y-leveldb`, 5)
      ]
    }
  } finally {
    for (const kind of [...kinds, ...floors]) await kind.close()
  }
}

async function openOurs(folder: string): Promise<Stored> {
  const device = await openDevice({ storage: join(folder, 'ours') })
  const space = await device.createSpace()
  const live = await space.documents.open('text')
  const text = live.doc.getText('text')
  return {
    name: OURS,
    type: () => {
      text.insert(text.length, 'a')
      return live.flush()
    },
    close: () => device.close()
  }
}

async function openHypercore(folder: string): Promise<Stored> {
  const store = new Corestore(join(folder, 'hypercore'))
  const core = store.get({ name: 'text' })
  await core.ready()
  const doc = new Y.Doc()
  const text = doc.getText('text')
  let last: Promise<unknown> = Promise.resolve()
  doc.on('update', (update: Uint8Array) => {
    last = core.append(update)
  })
  return {
    name: FLOOR,
    type: () => {
      text.insert(text.length, 'a')
      return last
    },
    close: () => store.close()
  }
}

async function openHyperbee2(folder: string): Promise<Stored> {
  const bee = await hyperbee2(join(folder, 'hyperbee2'))
  const doc = new Y.Doc()
  const text = doc.getText('text')
  let last: Promise<unknown> = Promise.resolve()
  let number = 0
  doc.on('update', (value: Uint8Array) => {
    last = bee.put({ key: keyOf(number++), value })
  })
  return {
    name: TREE,
    type: () => {
      text.insert(text.length, 'a')
      return last
    },
    close: () => bee.close()
  }
}

/** As a document's updates are called: a name, and a number that rises. */
export function keyOf(number: number): Uint8Array {
  const key = Buffer.from('doc/text/0000')
  key.writeUInt32BE(number, key.byteLength - 4)
  return key
}

function openLeveldb(folder: string): Stored {
  const store = new LeveldbPersistence(join(folder, 'leveldb'))
  const doc = new Y.Doc()
  const text = doc.getText('text')
  let last: Promise<unknown> = Promise.resolve()
  doc.on('update', (update: Uint8Array) => {
    last = store.storeUpdate('text', update)
  })
  return {
    name: Y_LEVELDB,
    type: () => {
      text.insert(text.length, 'a')
      return last
    },
    close: () => store.destroy()
  }
}

function raceAwaited(kinds: readonly Stored[], { quick }: RowContext): Promise<Table> {
  const units = quick ? 50 : 500
  const competitors = kinds.map(({ name, type }): Competitor => ({
    name,
    async run() {
      for (let i = 0; i < units; i++) await type()
    }
  }))
  return race('edits stored, awaited one by one', competitors, {
    baseline: Y_LEVELDB,
    units,
    unit: 'edits',
    rounds: quick ? 3 : 7
  })
}

function racePipelined(kinds: readonly Stored[], { quick }: RowContext): Promise<Table> {
  const units = quick ? 500 : 5000
  const competitors = kinds.map(({ name, type }): Competitor => ({
    name,
    async run() {
      for (let i = 0; i < units; i += IN_FLIGHT) {
        await Promise.all(Array.from({ length: IN_FLIGHT }, type))
      }
    }
  }))
  return race(`edits stored, ${IN_FLIGHT} under way`, competitors, {
    baseline: Y_LEVELDB,
    units,
    unit: 'edits',
    rounds: quick ? 3 : 7
  })
}

function goalOf(table: Table, what: string, goal: number): Goal {
  return atLeast(what, rateOf(table, OURS) / rateOf(table, Y_LEVELDB), goal, times)
}
