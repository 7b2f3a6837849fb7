/** A member that serves one log, whoever's it is. */
import type { Hypercore } from '../../core/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'
import { helloOf, RawPeer } from './raw-peer.ts'

/** @param space to which the log is served; it must read the log already */
export async function serve(space: Space, core: Hypercore): Promise<RawPeer> {
  const peer = new RawPeer(space)
  const { membershipKey } = decodeTicket(space.ticket)
  await peer.greet(membershipKey, () => helloOf(peer.proof(membershipKey)))
  core.core.replicator.attachTo(peer.mux)
  return peer
}
