/**
 * Edits of one Automerge text until they are stored, each awaited: beside automerge-repo with its storage in files. Ours signs each
 * into the device's log as well. What Automerge itself takes for an edit in memory is in both.
 */
import { join } from 'node:path'
import * as A from '@automerge/automerge'
import { Repo } from '@automerge/automerge-repo'
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs'
import { openDevice } from '../../index.ts'
import { race, rateOf, type Competitor } from '../harness.ts'
import { atLeast, times, type Row } from '../kv/row.ts'

const OURS = 'manyhands'
const REPO = 'automerge-repo, nodefs'

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
  const kinds = [await openOurs(folder), await openRepo(folder)]
  const units = quick ? 30 : 300
  const competitors = kinds.map(({ name, type }): Competitor => ({
    name,
    async run() {
      for (let i = 0; i < units; i++) await type()
    }
  }))
  try {
    const table = await race('edits of an Automerge text stored, awaited one by one', competitors, {
      baseline: REPO,
      units,
      unit: 'edits',
      rounds: quick ? 3 : 7
    })
    const ratio = rateOf(table, OURS) / rateOf(table, REPO)
    const what = 'Automerge edit stored, awaited, against automerge-repo with nodefs'
    return { tables: [table], goals: [atLeast(what, ratio, 3, times)] }
  } finally {
    for (const kind of kinds) await kind.close()
  }
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
