/** docs/FORMAT.md, "Encrypted block", once more: by the cipher of another library, and with nothing of ours. */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'

/** All that a block depends on. */
export interface Sealed {
  readonly key: Uint8Array
  readonly epochId: Uint8Array
  readonly space: Uint8Array
  readonly log: Uint8Array
  readonly seq: number
  readonly nonce: Uint8Array
  readonly content: Uint8Array
}

export function sealByHand({ epochId, nonce, content, ...rest }: Sealed): Uint8Array {
  const sealed = xchacha20poly1305(rest.key, nonce, associated(rest)).encrypt(content)
  // The library puts the tag behind what it encrypted.
  const tag = sealed.subarray(-16)
  return joined([[1], epochId, nonce, tag, sealed.subarray(0, -16)])
}

/** @throws where it does not open */
export function openByHand(
  block: Uint8Array,
  place: Pick<Sealed, 'key' | 'space' | 'log' | 'seq'>
): Uint8Array {
  if (block[0] !== 1) throw new Error('another version')
  const box = joined([block.subarray(49), block.subarray(33, 49)])
  return xchacha20poly1305(place.key, block.subarray(9, 33), associated(place)).decrypt(box)
}

function associated({ space, log, seq }: Pick<Sealed, 'space' | 'log' | 'seq'>): Uint8Array {
  const number: number[] = []
  for (let i = 0, rest = seq; i < 8; i++, rest = Math.floor(rest / 256)) number.unshift(rest % 256)
  return joined([new TextEncoder().encode('manyhands/block'), space, log, number])
}

function joined(parts: readonly ArrayLike<number>[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => Array.from(part)))
}
