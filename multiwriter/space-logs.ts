/**
 * The logs of one space in the device's store, each opened with what its blocks are encrypted with. Membership logs keep one key for
 * good, made of the membership key: who holds a space's logs for others must know which they are, and who was removed knew already.
 */
import {
  constantKeys,
  hash,
  type BlockKeys,
  type DeviceStore,
  type Hypercore,
  type LogEncryption,
  type OwnLog,
  type Pin
} from '../core/index.ts'

export type LogUse = 'acl' | 'data'

type Store = Pick<DeviceStore, 'ownLog' | 'remoteLog' | 'archiveLog'>

export class SpaceLogs {
  readonly #store: Store
  readonly #encryption: Readonly<Record<LogUse, LogEncryption | null>>

  constructor(store: Store, encryption: Readonly<Record<LogUse, LogEncryption | null>>) {
    this.#store = store
    this.#encryption = encryption
  }

  own(use: LogUse, salt: Uint8Array): Promise<OwnLog> {
    return this.#store.ownLog(use, salt, this.#encryption[use])
  }

  remote(use: LogUse, log: Uint8Array): Promise<Hypercore> {
    return this.#store.remoteLog(log, this.#encryption[use])
  }

  /** As it is stored: to look at what it hashes to, not at what stands in it. */
  stored(log: Uint8Array): Promise<Hypercore> {
    return this.#store.remoteLog(log, null)
  }

  /** @param log the log whose first blocks these are */
  archive(use: LogUse, log: Uint8Array, pin: Pin): Promise<Hypercore> {
    return this.#store.archiveLog(pin, log, this.#encryption[use])
  }
}

/** What a space's logs are encrypted with. @param content keys of its data */
export function spaceEncryption(
  space: Uint8Array,
  membershipKey: Uint8Array,
  content: BlockKeys
): Readonly<Record<LogUse, LogEncryption>> {
  return {
    acl: { space, keys: constantKeys(hash('manyhands/acl-epoch', membershipKey)) },
    data: { space, keys: content }
  }
}

/** Of a space that was made without, to measure what it costs. */
export const NO_ENCRYPTION: Readonly<Record<LogUse, null>> = { acl: null, data: null }
