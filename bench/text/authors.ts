/**
 * Who wrote what in the whole of a big document: the recorded session of two persons (examples/real-session), each typing on a device
 * of its own, by Yjs; and as long a text of two devices by Automerge. Timed is `document.authorship()`, wall clock.
 */
import { join } from 'node:path'
import * as A from '@automerge/automerge'
import { Replay } from '../../examples/real-session/replay.ts'
import { readSession } from '../../examples/real-session/session.ts'
import { LIBRARIES } from '../../examples/real-session/sheets.ts'
import { MemoryNetwork, openDevice, type Space } from '../../index.ts'
import { atMost, type Row } from '../kv/row.ts'

const ID = 'friends'
const TIMES = 9

/** What the recorded session comes to. */
const AUTOMERGE_LENGTH = 21_000

export const authors: Row = async ({ folder, quick }) => {
  const { transport } = new MemoryNetwork()
  const devices = [
    await openDevice({ storage: join(folder, 'laptop'), transport }),
    await openDevice({ storage: join(folder, 'phone'), transport })
  ] as const
  const space = await devices[0].createSpace({ open: true })
  const same = await devices[1].openSpace(space.ticket)
  const yjs = await timeYjs(space, same, quick ? 2000 : Infinity)
  const automerge = await timeAutomerge(space, quick ? 2000 : AUTOMERGE_LENGTH)
  for (const device of devices) await device.close()
  return {
    tables: [],
    goals: [
      atMost('authorship of a whole big document, Yjs', yjs.median, 300, ms),
      atMost('authorship of a whole big document, Automerge', automerge.median, 300, ms)
    ],
    notes: [yjs, automerge].map(
      ({ name, length, runs, median }) =>
        `${name}: ${length} characters in ${runs} stretches of one device and minute: ${ms(median)}`
    )
  }
}

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`

interface Timed {
  readonly name: string
  readonly length: number
  readonly runs: number
  readonly median: number
}

async function timeYjs(space: Space, same: Space, first: number): Promise<Timed> {
  const { edits } = await readSession(first)
  const documents = [await LIBRARIES.yjs.open(space), await LIBRARIES.yjs.open(same)] as const
  await new Replay(LIBRARIES.yjs, documents).run(edits)
  await using live = await space.documents.open(ID)
  const result = timed('Yjs', live.doc.getText('text').length, () => live.authorship())
  for (const document of documents) await document.close()
  return result
}

async function timeAutomerge(space: Space, length: number): Promise<Timed> {
  await using live = await space.documents.open<{ text: string }>('automerge', {
    engine: 'automerge'
  })
  live.doc.change((draft) => (draft.text = ''))
  for (let at = 0; at < length; at += 100) {
    const place = (at * 7919) % (at + 1)
    live.doc.change((draft) => A.splice(draft, ['text'], place, 0, 'x'.repeat(100)))
  }
  await live.flush()
  return timed('Automerge', length, () => live.authorship())
}

function timed(name: string, length: number, ask: () => readonly unknown[]): Timed {
  const took: number[] = []
  let runs = 0
  for (let i = 0; i < TIMES; i++) {
    const begin = performance.now()
    runs = ask().length
    took.push(performance.now() - begin)
  }
  return { name, length, runs, median: took.sort((a, b) => a - b)[TIMES >> 1] ?? Number.NaN }
}
