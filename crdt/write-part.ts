/**
 * A patch that sets fields of an object which may have thousands: what stands under other names than those it names is left out, and
 * put back as it was. A batch of patches of one key would otherwise read the whole object once for each.
 *
 * It is what write-fields.ts makes of the whole (test/crdt/write-part.test.ts), or null where that is to be asked: something stands
 * in place of the object, takes part in it from elsewhere, cannot be read, or fields go, which may leave an empty object behind.
 */
import type { PlacedEntry } from './fields.ts'
import type { Patch } from './patch.ts'
import { comparePaths } from './paths.ts'
import type { FieldRegister, ValueEntry } from './typed-entry.ts'
import { decodeValue } from './value.ts'
import { setsOnly } from './write-alone.ts'
import { checkCount, patchValue, type FieldWrite } from './write-fields.ts'

/** What a part is written from, besides the entries. */
export type PartWrite = Pick<FieldWrite, 'position' | 'stamp' | 'admitted' | 'deletes'>

export function patchPart(
  own: PlacedEntry | null,
  others: readonly PlacedEntry[],
  patch: Patch,
  write: PartWrite
): ValueEntry | 'same' | null {
  const all = own === null ? others : [own, ...others]
  if (all.length === 0 || !setsOnly(patch) || !all.every(isFieldByField)) return null
  const names = new Set(Object.keys(patch))
  const said = all.flatMap((each) => partOf(each, names))
  const part = patchValue({ ...write, said, foreign: [], isReplacing: false }, patch)
  if (part === null) return 'same'
  const kept = registersOf(own).filter(({ path: [name] }) => !isIn(names, name))
  const registers = [...kept, ...part.registers].sort((a, b) => comparePaths(a.path, b.path))
  checkCount(registers.length)
  return { ...part, registers }
}

/** Those that were read once are registers of an entry that many patches carry on. */
const readable = new WeakSet<FieldRegister>()

function isFieldByField({ entry }: PlacedEntry): boolean {
  return (
    entry.type === 'value' &&
    entry.registers.every((each) => each.path.length > 0 && isReadable(each))
  )
}

function isReadable(register: FieldRegister): boolean {
  if (register.value === null || readable.has(register)) return true
  try {
    decodeValue(register.value, register.path.length)
  } catch {
    return false
  }
  readable.add(register)
  return true
}

function partOf(said: PlacedEntry, names: ReadonlySet<string>): readonly PlacedEntry[] {
  const { entry } = said
  if (entry.type !== 'value') return []
  const registers = entry.registers.filter(({ path: [name] }) => isIn(names, name))
  return registers.length === 0 ? [] : [{ ...said, entry: { ...entry, registers } }]
}

function registersOf(said: PlacedEntry | null): readonly FieldRegister[] {
  return said?.entry.type === 'value' ? said.entry.registers : []
}

function isIn(names: ReadonlySet<string>, name: string | undefined): boolean {
  return name !== undefined && names.has(name)
}
