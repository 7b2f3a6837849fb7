/** Telling peers how far a log is here, where the stack does not: each of its silences is one for good. */
import type Hypercore from 'hypercore'

/**
 * To be called whenever a log of others has grown, or a block of it has come. Two things go wrong in Hypercore:
 *
 * 1. It looks whom it can bring further when the length grows, but when blocks come only at the peer that sent them. Who holds a length
 *    in between, for which the tree here was not whole yet, is told nothing. So all such are looked at; it costs no word if there is
 *    no news.
 * 2. While it looks (it reads), the peer may tell of a greater length. Then it says nothing at all, not even how long the log is here by
 *    now; and it asks nobody for more who does not know that. So those are told.
 */
export async function passOn(core: Hypercore): Promise<void> {
  const behind = core.peers.filter((peer) => !peer.canUpgrade && peer.remoteLength < core.length)
  for (const peer of behind) peer.signalUpgrade()
  // Ends after what was begun before.
  await Promise.all(behind.map((peer) => peer._canUpgrade(peer.remoteLength, peer.remoteFork)))
  for (const peer of behind) {
    if (peer.remoteLength >= core.length && peer.lengthAcked !== core.length) peer.signalUpgrade()
  }
}
