/**
 * How devices find each other. A transport announces topics and brings Noise streams to peers that announce the same; who may
 * see what is decided on the stream (connection.ts). One contract suite for all of them: test/contract/transport.ts.
 */
import type { EventEmitter } from 'eventemitter3'
import type { KeyPair } from 'hypercore'
import type NoiseSecretStream from '@hyperswarm/secret-stream'

export interface Transport {
  /** A stream to a peer, from either side; the listener owns it. */
  readonly events: EventEmitter<{ connection: [NoiseSecretStream] }>
  /** Announces a topic and goes on looking for others until `leave`. Idempotent. */
  join(topic: Uint8Array): void
  leave(topic: Uint8Array): Promise<void>
  /** Drops every stream and stops. Idempotent. */
  close(): Promise<void>
}

/** Makes a device's transport: streams are authenticated by its key. */
export type TransportFactory = (keyPair: KeyPair) => Transport
