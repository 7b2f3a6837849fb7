/** Thousands of edits at once, until the other side shows the last: a paste by a program, or coming back from offline. */
import { join } from 'node:path'
import { race, rateOf, type Competitor } from '../harness.ts'
import { atLeast, times, type Row } from '../kv/row.ts'
import { hocuspocus, manyhands, OURS, Y_WEBSOCKET, yWebsocket, type Rig } from './rigs.ts'

export const burst: Row = async ({ folder, quick }) => {
  const units = quick ? 500 : 5000
  const rigs: Rig[] = []
  try {
    const competitors: Competitor[] = []
    for (const [i, kind] of [manyhands, yWebsocket, hocuspocus].entries()) {
      const rig = await kind.open(join(folder, `${i}`), 1)
      rigs.push(rig)
      competitors.push({ name: kind.name, run: () => typeAll(rig, units) })
    }
    const table = await race(
      `${units} edits at once, until the other side shows them`,
      competitors,
      {
        baseline: Y_WEBSOCKET,
        units,
        unit: 'edits',
        rounds: quick ? 3 : 7,
        by: 'wall'
      }
    )
    const ratio = rateOf(table, OURS) / rateOf(table, Y_WEBSOCKET)
    const goal = atLeast(`burst of ${units} edits, against y-websocket`, ratio, 1, times)
    return { tables: [table], goals: [goal] }
  } finally {
    for (const rig of rigs) await rig.close()
  }
}

async function typeAll(rig: Rig, edits: number): Promise<void> {
  const wanted = rig.shown(0) + edits
  const shown = new Promise<void>((resolve) => {
    rig.onshown = () => {
      if (rig.shown(0) >= wanted) resolve()
    }
  })
  for (let i = 0; i < edits; i++) rig.type()
  await shown
}
