/** `spaces.json`: the spaces this device is in, and whose logs it reads. No secrets: those are in the keystore. */
import b4a from 'b4a'
import { ManyhandsError } from '../../errors.ts'
import type { SpaceRecord } from '../store.ts'

const VERSION = 1

export function encodeSpaces(spaces: readonly SpaceRecord[]): string {
  const plain = spaces.map(({ address, name, open, sparse, encrypted, writers, acl }) => ({
    address: b4a.toString(address, 'hex'),
    name,
    open,
    sparse,
    encrypted,
    writers: writers.map((writer) => b4a.toString(writer, 'hex')),
    acl: acl.map((core) => b4a.toString(core, 'hex'))
  }))
  return `${JSON.stringify({ version: VERSION, spaces: plain }, null, 2)}\n`
}

/** @throws STORE_DAMAGED, STORE_UNSUPPORTED */
export function decodeSpaces(text: string | null): readonly SpaceRecord[] {
  if (text === null) return []
  const file = parseJson(text)
  if (!isRecord(file)) throw damaged()
  if (file.version !== VERSION) {
    throw new ManyhandsError(
      'STORE_UNSUPPORTED',
      `spaces.json has format version ${String(file.version)}`
    )
  }
  if (!Array.isArray(file.spaces)) throw damaged()
  return file.spaces.map(decodeSpace)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw damaged(error)
  }
}

function decodeSpace(space: unknown): SpaceRecord {
  if (!isRecord(space) || !Array.isArray(space.writers)) throw damaged()
  if (typeof space.name !== 'string') throw damaged()
  return {
    address: decodeKey(space.address),
    name: space.name,
    open: space.open === true,
    sparse: space.sparse === true,
    encrypted: space.encrypted !== false,
    writers: space.writers.map(decodeKey),
    acl: Array.isArray(space.acl) ? space.acl.map(decodeKey) : []
  }
}

function decodeKey(hex: unknown): Uint8Array {
  if (typeof hex !== 'string' || !/^[0-9a-f]{64}$/.test(hex)) throw damaged()
  return b4a.from(hex, 'hex')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function damaged(cause?: unknown): ManyhandsError {
  return new ManyhandsError('STORE_DAMAGED', 'spaces.json is damaged', { cause })
}
