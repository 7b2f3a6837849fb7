/**
 * How large an entry may be. It holds everything that its author says at one key, which many writes may have brought together, and
 * stands in one block: readers refuse a block of more than 8 MiB, and with it all that comes after it in its log. So what would
 * grow beyond is refused before it is written.
 */
import { ManyhandsError } from '../errors.ts'
import { packedBytes } from './pack-entry.ts'
import type { TypedEntry } from './typed-entry.ts'

/** One value of 4 MiB, and as much again of names and of what was there: below what readers take of a block with its keys. */
const MAX_ENTRY_BYTES = 6 * 1024 * 1024

/** A position, an index, a length or two. */
const ITEM_BYTES = 64

/** UTF-8 for one UTF-16 code unit, at most. */
const CHARACTER_BYTES = 3

/** @throws VALUE_TOO_LARGE */
export function checkEntrySize(entry: TypedEntry, core: Uint8Array, seq: number): void {
  // The sum tells at once that most are far below.
  if (roughBytes(entry) <= MAX_ENTRY_BYTES) return
  const bytes = packedBytes(entry, core, seq)
  if (bytes <= MAX_ENTRY_BYTES) return
  throw new ManyhandsError(
    'VALUE_TOO_LARGE',
    `All that this device says at one key would take ${bytes} bytes, the limit is ${MAX_ENTRY_BYTES}`
  )
}

/** No less than the entry takes. */
function roughBytes(entry: TypedEntry): number {
  let sum = headBytes(entry.head)
  if (entry.type === 'value') {
    for (const register of entry.registers) {
      const own = register.seen === entry.head.seen ? ITEM_BYTES : headBytes(register)
      sum += own + (register.value?.byteLength ?? 0)
      for (const name of register.path) sum += name.length * CHARACTER_BYTES + ITEM_BYTES
    }
  } else if (entry.type === 'set' || entry.type === 'flag') {
    for (const { value } of entry.dots) sum += value.byteLength + ITEM_BYTES
    sum += entry.removed.length * ITEM_BYTES
  } else if (entry.type === 'named') sum += entry.state?.byteLength ?? 0
  return sum
}

function headBytes({ seen }: { readonly seen: readonly unknown[] }): number {
  return (2 + seen.length) * ITEM_BYTES
}
