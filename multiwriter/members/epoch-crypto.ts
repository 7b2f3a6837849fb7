/** How the keys of epochs are made, sealed to devices, and wrapped under each other (docs/FORMAT.md, "Keys"). */
import type { EpochCrypto } from '../../acl/index.ts'
import {
  BoxOpener,
  epochHash,
  openBox,
  randomBytes,
  sealBox,
  sealTo,
  type DeviceStore
} from '../../core/index.ts'
import { bytesOf, keyOf } from './credentials.ts'

const KEY_BYTES = 32

/** @param keyPair of this device, which opens what is sealed to it */
export function epochCrypto(keyPair: DeviceStore['keyPair']): EpochCrypto {
  const opener = new BoxOpener(keyPair)
  return {
    newKey: () => randomBytes(KEY_BYTES),
    hashOf: (key) => keyOf(epochHash(key)),
    seal: (key, device) => sealTo(key, bytesOf(device)),
    open: (box) => opener.open(box),
    wrap: (key, under) => sealBox(key, under),
    unwrap: (box, under) => openBox(box, under)
  }
}
