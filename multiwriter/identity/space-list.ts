/**
 * Spaces, as a person's devices tell each other of them, and as paper keeps them until all devices are lost. On paper they are sealed to
 * the identity's key: each device can write such a list, also one that has forgotten the phrase, and only the phrase opens it.
 *
 *     spaces = of each: address 32 B, entrance (length, then as in ticket.ts), name (length, then UTF-8); lengths as compact-encoding has them
 *     list   = "mhl1" + z32(sealed box of spaces, checksum 4 B)
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import { BoxOpener, sealTo, type KeyPair } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { decodeText, encodeText } from '../checked-text.ts'
import { decodeEntrance, encodeEntrance, type Entrance } from '../ticket.ts'

const FORM = { prefix: 'mhl1', context: 'manyhands/space-list-text' }

/** More than anybody has; whoever makes up a list makes up no more. */
const MAX_SPACES = 4096

/** So much in one text, about eight spaces, or one whose name is longer: as a QR code it can still be read from paper. */
const LIST_BYTES = 900

/** What it takes to come into a space again, and what it is called. */
export interface KnownSpace {
  readonly address: Uint8Array
  readonly entrance: Entrance
  readonly name: string
}

export function encodeSpaces(spaces: readonly KnownSpace[]): Uint8Array {
  return b4a.concat(
    spaces.flatMap(({ address, entrance, name }) => [
      address,
      c.encode(c.buffer, encodeEntrance(entrance)),
      c.encode(c.string, name)
    ])
  )
}

/** Null for what is none. */
export function decodeSpaces(bytes: Uint8Array): readonly KnownSpace[] | null {
  const state = { buffer: b4a.from(bytes), start: 0, end: bytes.byteLength }
  const spaces: KnownSpace[] = []
  try {
    while (state.start < state.end) {
      const address = c.fixed32.decode(state)
      const entrance = decodeEntrance(c.buffer.decode(state) ?? new Uint8Array(0))
      const name = c.string.decode(state)
      if (entrance === null || !isName(name) || spaces.length === MAX_SPACES) return null
      spaces.push({ address, entrance, name })
    }
    return spaces
  } catch {
    return null // cut off
  }
}

/** Several texts for many spaces; each can be read by itself. */
export function sealLists(identity: Uint8Array, spaces: readonly KnownSpace[]): readonly string[] {
  return sheetsOf(spaces).map((some) => {
    const box = sealTo(encodeSpaces(some), identity)
    if (box === null) throw new TypeError('an identity whose key is none')
    return encodeText(FORM, box)
  })
}

function sheetsOf(spaces: readonly KnownSpace[]): readonly (readonly KnownSpace[])[] {
  const sheets: KnownSpace[][] = []
  let left = 0
  for (const space of spaces) {
    const { byteLength } = encodeSpaces([space])
    if (byteLength > left) {
      sheets.push([])
      left = LIST_BYTES
    }
    sheets.at(-1)?.push(space)
    left -= byteLength
  }
  return sheets
}

/** @throws SPACE_LIST_INVALID */
export function openList(identity: KeyPair, text: string): readonly KnownSpace[] {
  const box = decodeText(FORM, text, bad)
  const plain = new BoxOpener(identity).open(box)
  if (plain === null) throw bad('is of another person')
  const spaces = decodeSpaces(plain)
  plain.fill(0)
  if (spaces === null) throw bad('is of a newer version')
  return spaces
}

function isName(name: string): boolean {
  return name.length > 0 && name.length <= 255
}

function bad(problem: string): ManyhandsError {
  return new ManyhandsError('SPACE_LIST_INVALID', `The list of spaces ${problem}`)
}
