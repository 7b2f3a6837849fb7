/**
 * What repos say to each other on a channel (docs/FORMAT.md, "Channels"):
 *
 *     kind u8, CBOR
 *     0   greeting: [peer id, metadata], to be answered
 *     1   answer to a greeting, alike
 *     2   a message of automerge-repo, a map
 *
 * What is read is checked in its shape, and nothing else of it is passed on: automerge-repo takes its messages' word for it.
 */
import type { Message, PeerId, PeerMetadata, StorageId } from '@automerge/automerge-repo'
import { decode, encode } from 'cborg'

const KINDS = ['greeting', 'answer', 'message'] as const

/** A peer id is a name or a uuid; this is for both, with room. */
const MAX_ID_LENGTH = 1024

const DECODE_OPTIONS = { rejectDuplicateMapKeys: true }

export type Said = Greeting | { readonly kind: 'message'; readonly message: Message }

export interface Greeting {
  readonly kind: 'greeting' | 'answer'
  readonly peerId: PeerId
  readonly metadata: PeerMetadata
}

export function encodeGreeting({ kind, peerId, metadata }: Greeting): Uint8Array {
  const { storageId, isEphemeral } = metadata
  return framed(kind, [peerId, withoutUndefined({ storageId, isEphemeral })])
}

export function encodeMessage(message: Message): Uint8Array {
  return framed('message', withoutUndefined(message))
}

/** Null for what no repo says. */
export function parseSaid(bytes: Uint8Array): Said | null {
  try {
    const content: unknown = decode(bytes.subarray(1), DECODE_OPTIONS)
    const kind = KINDS[bytes[0] ?? KINDS.length]
    if (kind === undefined) return null
    if (kind !== 'message') return greetingOf(kind, content)
    return isMessage(content) ? { kind, message: content } : null
  } catch {
    return null // what the decoder has against it
  }
}

function framed(kind: Said['kind'], content: unknown): Uint8Array {
  const body = encode(content)
  const bytes = new Uint8Array(1 + body.byteLength)
  bytes[0] = KINDS.indexOf(kind)
  bytes.set(body, 1)
  return bytes
}

function withoutUndefined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function greetingOf(kind: Greeting['kind'], content: unknown): Said | null {
  if (!Array.isArray(content) || content.length !== 2) return null
  const [peerId, metadata]: readonly unknown[] = content
  const known = isRecord(metadata) ? metadataOf(metadata) : null
  return isId(peerId) && known !== null ? { kind, peerId, metadata: known } : null
}

function isId(id: unknown): id is PeerId {
  return typeof id === 'string' && id.length > 0 && id.length <= MAX_ID_LENGTH
}

function metadataOf({ storageId, isEphemeral }: Record<string, unknown>): PeerMetadata | null {
  if (storageId !== undefined && !isStorageId(storageId)) return null
  if (isEphemeral !== undefined && typeof isEphemeral !== 'boolean') return null
  return {
    ...(storageId === undefined ? {} : { storageId }),
    ...(isEphemeral === undefined ? {} : { isEphemeral })
  }
}

function isStorageId(id: unknown): id is StorageId {
  return typeof id === 'string' && id.length <= MAX_ID_LENGTH
}

/** What every message has, and what those have that a repo does not check itself. */
function isMessage(content: unknown): content is Message {
  if (!isRecord(content)) return false
  const { type, senderId, targetId, data, documentId } = content
  if (typeof type !== 'string' || !isId(senderId) || !isId(targetId)) return false
  if (documentId !== undefined && typeof documentId !== 'string') return false
  if (data !== undefined && !(data instanceof Uint8Array)) return false
  return isComplete(type, content)
}

function isComplete(type: string, fields: Record<string, unknown>): boolean {
  const { data, documentId, count, sessionId, add, remove, newHeads } = fields
  switch (type) {
    case 'sync':
    case 'request':
      return data !== undefined && documentId !== undefined
    case 'ephemeral':
      return data !== undefined && typeof count === 'number' && typeof sessionId === 'string'
    case 'remote-subscription-change':
      return isTexts(add ?? []) && isTexts(remove ?? [])
    case 'remote-heads-changed':
      return isRecord(newHeads) && Object.values(newHeads).every(isHeads)
    default:
      return true // a type of a newer repo: it knows, or passes over it
  }
}

function isHeads(value: unknown): boolean {
  return isRecord(value) && isTexts(value.heads) && typeof value.timestamp === 'number'
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
