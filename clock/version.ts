/**
 * A version: how far each core had come at one moment, always at batch ends. It names a point in the history of a whole space,
 * and reading at it gives the same for ever. Byte by byte in docs/FORMAT.md, section "Version".
 *
 *     version = format u8 (1), space 8 B, cores (acl), cores (data), checksum u32
 *     cores   = count uint, count x (core 32 B, length uint from 1), rising by core
 */
import b4a from 'b4a'
import c, { type State } from 'compact-encoding'
import z32 from 'z32'

/** The first `length` blocks of one core. */
export interface CoreLength {
  readonly core: Uint8Array
  readonly length: number
}

export interface Version {
  /** The start of the space's address; zeros for a database without a space. */
  readonly space: Uint8Array
  readonly acl: readonly CoreLength[]
  readonly data: readonly CoreLength[]
}

const FORMAT_VERSION = 1
const CORE_BYTES = 32
const CHECKSUM_BYTES = 4

/** So much of an address tells spaces apart; it proves nothing. */
export const SPACE_TAG_BYTES = 8

/** More are nobody's. */
const MAX_CORES = 65_536

/** The text form. Cores of length 0 say nothing and are left out, so equal states have equal texts. */
export function encodeVersion({ space, acl, data }: Version): string {
  const lists = [canonical(acl), canonical(data)]
  const state: State = { start: 0, end: 1 + SPACE_TAG_BYTES, buffer: null }
  for (const cores of lists) {
    c.uint.preencode(state, cores.length)
    for (const { length } of cores) {
      state.end += CORE_BYTES
      c.uint.preencode(state, length)
    }
  }
  const bodyBytes = state.end
  state.end += CHECKSUM_BYTES
  state.buffer = b4a.alloc(state.end)
  c.uint8.encode(state, FORMAT_VERSION)
  state.buffer.set(space.subarray(0, SPACE_TAG_BYTES), state.start)
  state.start += SPACE_TAG_BYTES
  for (const cores of lists) {
    c.uint.encode(state, cores.length)
    for (const { core, length } of cores) {
      c.fixed32.encode(state, core)
      c.uint.encode(state, length)
    }
  }
  c.uint32.encode(state, checksum(state.buffer.subarray(0, bodyBytes)))
  return z32.encode(state.buffer)
}

/** Null for what is not the one text form of any version. */
export function decodeVersion(text: string): Version | null {
  try {
    const bytes = z32.decode(text)
    const version = decode({ start: 0, end: bytes.byteLength, buffer: bytes })
    // Compared as a whole: a mistyped character, a cut-off end, another order, a longer number.
    return version !== null && encodeVersion(version) === text ? version : null
  } catch {
    return null
  }
}

function decode(state: State & { buffer: Uint8Array }): Version | null {
  if (c.uint8.decode(state) !== FORMAT_VERSION) return null
  const space = state.buffer.subarray(state.start, state.start + SPACE_TAG_BYTES)
  state.start += SPACE_TAG_BYTES
  const acl = decodeCores(state)
  const data = decodeCores(state)
  return acl === null || data === null ? null : { space, acl, data }
}

function decodeCores(state: State): readonly CoreLength[] | null {
  const count = c.uint.decode(state)
  if (count > MAX_CORES) return null
  const cores = Array.from({ length: count }, () => ({
    core: c.fixed32.decode(state),
    length: c.uint.decode(state)
  }))
  return cores.every((each, i) => i === 0 || isBelow(cores[i - 1], each)) ? cores : null
}

/** Strictly: a core that is named twice would be read twice. */
function isBelow(a: CoreLength | undefined, b: CoreLength): boolean {
  return a !== undefined && b4a.compare(a.core, b.core) < 0
}

function canonical(cores: readonly CoreLength[]): readonly CoreLength[] {
  return cores.filter(({ length }) => length > 0).sort((a, b) => b4a.compare(a.core, b.core))
}

/**
 * CRC-32 (ISO 3309): of the usual checksums the one that is sure to find up to 32 changed bits in a row, so every mistyped
 * character and every two that changed places. It is no proof: nothing here keeps anybody from making a version up.
 */
function checksum(bytes: Uint8Array): number {
  let sum = ~0
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (-(sum & 1) & CRC_POLYNOMIAL)
  }
  return ~sum >>> 0
}

const CRC_POLYNOMIAL = 0xedb88320
