/** One typist, 20 keystrokes in a second, and 50 readers: each keystroke at each reader counts. The floor checks 50 signatures in this process. */
import { atMost, times, type Row } from '../kv/row.ts'
import { latencyNotes, measureLatencies } from './latency.ts'
import { manyhands, OURS, signedUpdates, Y_WEBSOCKET, yWebsocket } from './rigs.ts'

export const readers: Row = async ({ folder, quick }) => {
  const count = quick ? 5 : 50
  const all = await measureLatencies([manyhands, yWebsocket, signedUpdates], {
    folder,
    readers: count,
    perSecond: 20,
    keystrokes: quick ? 10 : 60,
    rounds: quick ? 1 : 3
  })
  const ratio = all.get(OURS)!.p50 / all.get(Y_WEBSOCKET)!.p50
  return {
    tables: [],
    goals: [atMost(`one typist, ${count} readers, p50, against y-websocket`, ratio, 2, times)],
    notes: latencyNotes(`20 keystrokes per second, ${count} readers`, all)
  }
}
