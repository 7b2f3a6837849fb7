/** Patches: some fields of an object, to be set or deleted, whatever the others are. */
import { ManyhandsError } from '../errors.ts'
import { isFields, type Path } from './paths.ts'
import { copyValue, encodeValue, MAX_VALUE_DEPTH, normalizeValue, type Value } from './value.ts'

/** Fields to set; undefined deletes a field, a nested object patches nested fields. */
export interface Patch {
  readonly [field: string]: Value | Patch | undefined
}

/**
 * The value with a patch applied; what has no fields is replaced.
 * @throws VALUE_INVALID naming the path of what cannot be stored
 */
export function applyPatch(value: Value, patch: Patch): Value {
  // Checked first: a class instance must not pass for an object of fields.
  normalizeValue(withoutDeletions(patch, 0))
  return normalizeValue(applyChecked(value, patch))
}

function applyChecked(value: Value, patch: Patch): Value {
  const patched: Record<string, Value> = isFields(value) ? { ...value } : {}
  for (const [name, field] of Object.entries(patch)) {
    if (field === undefined) delete patched[name]
    else if (isPatch(field)) {
      const before = Object.hasOwn(patched, name) ? patched[name] : null
      patched[name] = applyChecked(before ?? null, field)
    } else patched[name] = field
  }
  return patched
}

function withoutDeletions(patch: unknown, depth: number): unknown {
  if (!isFields(patch) || !isPlain(patch) || depth > MAX_VALUE_DEPTH) return patch
  return Object.fromEntries(
    Object.entries(patch)
      .filter(([, field]: [string, unknown]) => field !== undefined)
      .map(([name, field]) => [name, withoutDeletions(field, depth + 1)])
  )
}

/**
 * A checked copy that shares nothing with what was given.
 * @throws VALUE_INVALID, VALUE_TOO_LARGE
 */
export function copyPatch(patch: unknown): Patch {
  if (!isFields(patch) || !isPlain(patch)) {
    throw new ManyhandsError('VALUE_INVALID', 'A patch is an object of fields')
  }
  encodeValue(withoutDeletions(patch, 0))
  return copyFields(patch)
}

function copyFields(patch: Patch): Patch {
  return Object.fromEntries(
    Object.entries(patch).map(([name, field]) => {
      if (field === undefined) return [name, undefined]
      return [name, isPatch(field) ? copyFields(field) : copyValue(field)]
    })
  )
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function isPatch(field: Value | Patch): field is Patch {
  return isFields(field)
}

/** The paths of the fields that a patch sets or deletes. */
export function namedPaths(patch: Patch, path: Path = []): Path[] {
  return Object.entries(patch).flatMap(([name, field]) => {
    const at = [...path, name]
    return field !== undefined && isPatch(field) ? namedPaths(field, at) : [at]
  })
}
