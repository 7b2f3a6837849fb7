/**
 * Edits of one Automerge text until they are stored, each awaited: beside automerge-repo with its storage in files. Ours signs each
 * into the device's log as well. What Automerge itself takes for an edit in memory is in all. The floors: each edit's change appended to a
 * bare log, and put into a bare hyperbee2, the tree that every entry of ours stands in.
 */
import { join } from 'node:path'
import * as A from '@automerge/automerge'
import { Repo } from '@automerge/automerge-repo'
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs'
import Corestore from 'corestore'
import { openDevice } from '../../index.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { atLeast, times, type Row } from '../kv/row.ts'
import { hyperbee2 } from '../peers.ts'
import { keyOf } from './edits.ts'

const OURS = 'manyhands'
const REPO = 'automerge-repo, nodefs'
const FLOOR = 'Automerge and a bare append'
const TREE = 'Automerge and a bare hyperbee2 put'
const IN_FLIGHT = 100

interface Text {
  text: string
}

/** A text whose every edit is stored. */
interface Stored {
  readonly name: string
  readonly type: () => Promise<unknown>
  close(): Promise<void>
}

export const automerge: Row = async ({ folder, quick }) => {
  const kinds = [
    await openOurs(folder),
    await openRepo(folder),
    await openFloor(folder),
    await openTree(folder)
  ]
  try {
    const awaited = await raceOf(kinds, 'awaited one by one', quick, async (type) => {
      await type()
      return 1
    })
    const together = await raceOf(kinds, `${IN_FLIGHT} under way`, quick, async (type) => {
      await Promise.all(Array.from({ length: IN_FLIGHT }, type))
      return IN_FLIGHT
    })
    return {
      tables: [awaited, together],
      goals: [
        goalOf(awaited, 'Automerge edit stored, awaited, against automerge-repo with nodefs'),
        goalOf(together, `Automerge edits stored, ${IN_FLIGHT} under way, against the same`)
      ]
    }
  } finally {
    for (const kind of kinds) await kind.close()
  }
}

function goalOf(table: Table, what: string): Goal {
  return atLeast(what, rateOf(table, OURS) / rateOf(table, REPO), 3, times)
}

/** @param write some edits; resolves to how many when all are stored */
function raceOf(
  kinds: readonly Stored[],
  how: string,
  quick: boolean,
  write: (type: Stored['type']) => Promise<number>
): Promise<Table> {
  const units = quick ? 100 : 400
  const competitors = kinds.map(({ name, type }): Competitor => ({
    name,
    async run() {
      for (let i = 0; i < units;) i += await write(type)
    }
  }))
  return race(`edits of an Automerge text stored, ${how}`, competitors, {
    baseline: REPO,
    units,
    unit: 'edits',
    rounds: quick ? 3 : 7
  })
}

async function openOurs(folder: string): Promise<Stored> {
  const device = await openDevice({ storage: join(folder, 'ours') })
  const space = await device.createSpace()
  const live = await space.documents.open<Text>('text', { engine: 'automerge' })
  live.doc.change((draft) => (draft.text = ''))
  return {
    name: OURS,
    type: () => {
      live.doc.change((draft) => A.splice(draft, ['text'], draft.text.length, 0, 'a'))
      return live.flush()
    },
    close: () => device.close()
  }
}

async function openRepo(folder: string): Promise<Stored> {
  const repo = new Repo({ storage: new NodeFSStorageAdapter(join(folder, 'repo')) })
  const handle = repo.create<Text>({ text: '' })
  await repo.flush()
  return {
    name: REPO,
    type: () => {
      handle.change((draft) => A.splice(draft, ['text'], draft.text.length, 0, 'a'))
      return repo.flush([handle.documentId])
    },
    close: () => repo.shutdown()
  }
}

async function openFloor(folder: string): Promise<Stored> {
  const store = new Corestore(join(folder, 'floor'))
  const core = store.get({ name: 'floor' })
  await core.ready()
  const type = typist((change) => core.append(change))
  return { name: FLOOR, type, close: () => store.close() }
}

async function openTree(folder: string): Promise<Stored> {
  const bee = await hyperbee2(join(folder, 'tree'))
  let number = 0
  const type = typist((value) => bee.put({ key: keyOf(number++), value }))
  return { name: TREE, type, close: () => bee.close() }
}

function typist(store: (change: Uint8Array) => Promise<unknown>): Stored['type'] {
  let doc = A.from<Record<string, unknown> & Text>({ text: '' })
  return () => {
    doc = A.change(doc, (draft) => A.splice(draft, ['text'], draft.text.length, 0, 'a'))
    return store(A.getLastLocalChange(doc) ?? new Uint8Array(0))
  }
}
