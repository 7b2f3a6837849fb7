/** How far a space is: what is here of each log, and whether each connected device is in step with us. */
import b4a from 'b4a'
import z32 from 'z32'
import type { LogReader, SpacePeer } from '../core/index.ts'

export interface SyncState {
  readonly logs: readonly LogState[]
  readonly peers: readonly PeerState[]
}

/** It goes on by itself when the key has come. */
export type Behind = 'NO_EPOCH_KEY'

/** One device's log. */
export interface LogState {
  readonly writer: string
  readonly isOwn: boolean
  /** Blocks on this device, without a gap; what its writer has cleared is none. */
  readonly here: number
  /** Blocks that there are, as far as anybody has told. */
  readonly known: number
  /** Blocks that some other device has said it holds, without a gap; remembered when it is gone. */
  readonly elsewhere: number
  /** Why less of it is read than is here: some of it waits for a key. */
  readonly behind: Behind | null
}

/** A connected device. */
export interface PeerState {
  /** Its key in text form. */
  readonly peer: string
  /** Which of our logs it reads too. */
  readonly reads: readonly string[]
  /** We have all that it has of the logs we share, and it has all that we have. */
  readonly inStep: boolean
}

export interface SyncParts {
  readonly logs: readonly LogReader[]
  readonly peers: Iterable<SpacePeer>
  readonly own: string
  /** Devices tell each other of logs: before that was done, nobody is in step. */
  readonly isOpen: boolean
  /** Every log that counts is open. */
  readonly isComplete: boolean
}

export function syncState({ logs, peers, own, isOpen, isComplete }: SyncParts): SyncState {
  return {
    logs: logs.map((log) => logState(log, own)),
    peers: [...peers].map((peer) => {
      const shared = logs.filter((log) => replicaOf(log, peer) !== undefined)
      const hasMet = !isOpen || (peer.hasToldLogs && shared.length === logs.length)
      return {
        peer: z32.encode(peer.remoteKey),
        reads: shared.map(({ id }) => id),
        inStep: isComplete && hasMet && shared.every((log) => isInStep(log, peer))
      }
    })
  }
}

function logState({ id, core, lengthHere, behind }: LogReader, own: string): LogState {
  return {
    writer: id,
    isOwn: id === own,
    here: lengthHere,
    known: core.length,
    elsewhere: core.remoteContiguousLength,
    behind: behind === null ? null : 'NO_EPOCH_KEY'
  }
}

/** The stack's record of what a peer has of a log; undefined while the two have not met on it. */
function replicaOf({ core }: LogReader, peer: SpacePeer) {
  return core.peers.find(({ remotePublicKey }) => b4a.equals(remotePublicKey, peer.remoteKey))
}

function isInStep(log: LogReader, peer: SpacePeer): boolean {
  const replica = replicaOf(log, peer)
  const { length } = log.core
  if (replica === undefined || !replica.remoteSynced) return false
  if (log.lengthHere < length || length < replica.remoteLength) return false
  return Math.max(replica.remoteContiguousLength, peer.lengthThere(log.key)) >= length
}
