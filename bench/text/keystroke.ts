/** From a keystroke on one device until another shows it, 100 in a second. */
import { atLeast, atMost, times, type Row } from '../kv/row.ts'
import { latencyNotes, measureLatencies } from './latency.ts'
import {
  automerge,
  AUTOMERGE,
  hocuspocus,
  manyhands,
  OURS,
  signedUpdates,
  Y_WEBSOCKET,
  yWebsocket
} from './rigs.ts'

export const keystroke: Row = async ({ folder, quick }) => {
  const all = await measureLatencies(
    [manyhands, yWebsocket, hocuspocus, automerge, signedUpdates],
    {
      folder,
      readers: 1,
      perSecond: 100,
      keystrokes: quick ? 20 : 200,
      rounds: quick ? 1 : 5
    }
  )
  const ours = all.get(OURS)!
  const theirs = all.get(Y_WEBSOCKET)!
  const slowest = all.get(AUTOMERGE)!
  return {
    tables: [],
    goals: [
      atMost(
        'keystroke to the other screen, p50, against y-websocket',
        ours.p50 / theirs.p50,
        3,
        times
      ),
      atMost(
        'keystroke to the other screen, p99, against y-websocket',
        ours.p99 / theirs.p99,
        1.5,
        times
      ),
      atLeast(
        'keystroke to the other screen, p50, faster than automerge-repo',
        slowest.p50 / ours.p50,
        20,
        times
      )
    ],
    notes: latencyNotes('100 keystrokes per second', all)
  }
}
