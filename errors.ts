/**
 * Every error a caller can handle, in one list: a stable code (messages may change, codes do not), what it means, and the
 * next step. A leaf: imports nothing, and every folder may import it (docs/decisions/001-errors-are-a-leaf.md).
 */
const NEXT_STEPS = {
  INVALID_ARGUMENT: 'Correct the named argument; nothing was done.',
  KEY_INVALID: 'Use a non-empty key of at most 4096 encoded bytes that its key encoding accepts.',
  VALUE_INVALID:
    'Store plain data: null, booleans, finite numbers, well-formed strings, Uint8Arrays, arrays, plain objects; and what the schema asks for, if there is one.',
  VALUE_TOO_LARGE: 'Keep values below 4 MiB; larger content belongs into files.',
  ENTRY_UNSUPPORTED:
    'A newer manyhands wrote this key from this device; upgrade before writing to it.',
  PRESENCE_TOO_LARGE:
    'Say at most 16 KiB in a topic of presence, 128 KiB in 64 topics; what should last belongs into the database.',
  CHANNEL_FULL:
    'Wait for earlier messages: each `send` tells when the connection has taken its own.',
  CHANNEL_PEER_GONE: 'Send it again when the device joins the channel again.',
  MESSAGE_TOO_LARGE: 'Send at most 64 MiB at a time; what should last belongs into the database.',
  STORE_LOCKED: 'Close the other process, or work through it.',
  STORE_FOREIGN: 'Choose an empty folder, or one that manyhands made.',
  STORE_UNSUPPORTED: 'A newer manyhands made this store; upgrade to open it.',
  STORE_UNWRITABLE: 'Make the folder writable for this user, or choose another.',
  STORE_FULL: 'Free disk space, then open the store again; what was acknowledged is kept.',
  STORE_ROLLED_BACK:
    'Others have more of this log than this store: open it again when all of it has come, or go on under new logs (`device.rotate`).',
  STORE_IDENTITY_LOST:
    'The keys of this store are gone or damaged; restore the keystore file from a backup.',
  STORE_DAMAGED: 'The disk lost or changed data; restore from another device.',
  STORE_FAILED: 'Close the device and open it again.',
  PASSPHRASE_REQUIRED: 'Pass the passphrase that the store was made with.',
  PASSPHRASE_WRONG: 'Check the passphrase and try again; nothing was changed.',
  PASSPHRASE_UNSET: 'Set a passphrase first (`device.setPassphrase`).',
  PHRASE_INVALID: 'Compare the words with what you wrote down; nothing was changed.',
  PHRASE_UNKNOWN:
    'Use the device on which the identity was made, or the words that were written down (`identity.recover`).',
  SHARE_INVALID: 'Compare the share that the message names with its paper; nothing was changed.',
  SHARES_MIXED: 'Take shares of one set: those whose papers name the same set.',
  SHARES_TOO_FEW: 'Ask more of those who keep a share.',
  SHARES_FORGED: 'Take other shares of the set: one of these is not what its keeper was given.',
  REQUEST_INVALID: 'Copy the whole text again; nothing was changed.',
  DEVICE_LINK_INVALID: 'Copy the whole link again; nothing was changed.',
  DEVICE_LINK_EXPIRED: 'Make a new link on the other device; nothing was changed.',
  DEVICE_LINK_USED:
    'Another device came by it, or this one did before and was called off: refuse it there, and make a new link.',
  DEVICE_LINK_REFUSED:
    'Make a new link on the other device, and confirm when both show the same code; nothing was changed.',
  DEVICE_LINK_UNANSWERED:
    'Have the device that made the link open and online, and try again; nothing was changed.',
  SPACE_LIST_INVALID: 'Copy the whole list again, or do without it; nothing was changed.',
  IDENTITY_IN_USE:
    'Leave the spaces that it was let into as somebody else, or take a new store for this device.',
  SPACE_UNKNOWN: 'This device has no such space; join it by an invite first.',
  NOT_ALLOWED: 'Ask an owner or admin of the space, who ranks above whom it concerns.',
  TICKET_INVALID: 'Copy the whole ticket again; nothing was joined.',
  INVITE_INVALID: 'Copy the whole invite again; nothing was joined.',
  INVITE_EXPIRED: 'Ask whoever invited you for a new invite; nothing was joined.',
  INVITE_USED:
    'Others came by it, as many as it was for: ask whoever invited you for a new invite; nothing was joined.',
  INVITE_REVOKED:
    'It was taken back, or whoever gave it may not invite any more: ask for a new invite; nothing was joined.',
  INVITE_REMOVED:
    'This device was removed from the space: an owner or admin can let it in again by hand; nothing was joined.',
  INVITE_UNANSWERED:
    'Nobody who may let in was there: try again when a device of an owner or admin is online; nothing was joined.',
  SPACE_JOINED:
    'Open the space by its address; where its rights there have ended, leave it first (`device.leaveSpace`). The invite was not used.',
  NO_EPOCH_KEY:
    'Connect to a member who holds the key: reading and writing go on by themselves when it has come.',
  BLOCK_UNAVAILABLE: 'Connect to a peer that holds it, and read again.',
  VERSION_UNAVAILABLE:
    'Connect to a device that still holds this version, or open a later one; what was cleared everywhere is gone.',
  VERSION_INVALID: 'Copy the whole version again.',
  VERSION_FOREIGN: 'Use a version of this very space.',
  LINK_INVALID: 'Copy the whole link again.',
  LINK_MISMATCH:
    'A log was rewritten since the link was made: ask who made the link which state was meant.',
  ANCHOR_MISMATCH:
    'A log was rewritten since the anchor was made, or the anchor is of something else: compare with other devices.',
  PROOF_INVALID: 'Ask the authority again, about this very anchor.',
  READ_ONLY:
    'Use the live database: a checkout, and a database opened without a log of its own, only read.',
  BACKUP_INVALID: 'Fetch the archive again, or use another one; nothing was restored.',
  PORT_VERSION: 'Use the same version of manyhands in both processes.',
  DOCUMENTS_UNAVAILABLE:
    'Install the package that the message names (npm install yjs), and open the document again.',
  DOCUMENT_ENGINE: 'Open the document with the engine that it was made with, or choose another id.',
  DOCUMENT_CLOSED: 'Open the document again.',
  DEVICE_LOCKED: 'Unlock the device with its passphrase (`device.unlock`).',
  DEVICE_CLOSED: 'Open the device again.',
  SPACE_CLOSED: 'Open the space again.',
  BEE_CLOSED: 'Open the database again.',
  TOPIC_CLOSED: 'Open the topic again.',
  CHANNEL_CLOSED: 'Open the channel again.',
  TRANSPORT_CLOSED: 'Make a new transport.'
} as const

/** The stable codes. */
export type ErrorCode = keyof typeof NEXT_STEPS

export const ERROR_CODES: readonly ErrorCode[] = Object.keys(NEXT_STEPS) as ErrorCode[]

/**
 * An error with a stable `code`, a `next` step for the person who meets it, and a `cause` where another error is behind it.
 * @example
 * try { await openDevice({ storage }) } catch (error) {
 *   if (isManyhandsError(error, 'STORE_LOCKED')) console.error(error.message, error.next)
 * }
 */
export class ManyhandsError extends Error {
  readonly code: ErrorCode
  readonly next: string

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.name = 'ManyhandsError'
    this.code = code
    this.next = NEXT_STEPS[code]
  }
}

/** Whether `error` is one of ours, with this code if one is given. */
export function isManyhandsError(error: unknown, code?: ErrorCode): error is ManyhandsError {
  return error instanceof ManyhandsError && (code === undefined || error.code === code)
}

/** Throws INVALID_ARGUMENT when `options` is no plain object or has a name outside `known`: a typo must not be ignored. */
export function checkOptions(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ManyhandsError(
      'INVALID_ARGUMENT',
      `${what} expects an options object, got ${show(options)}`
    )
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    throw new ManyhandsError(
      'INVALID_ARGUMENT',
      `${what} has no option "${name}"; known are ${known.join(', ')}`
    )
  }
}

/** Throws INVALID_ARGUMENT naming the argument, what was expected and what came. */
export function invalid(name: string, expected: string, got: unknown): never {
  throw new ManyhandsError('INVALID_ARGUMENT', `"${name}" expected ${expected}, got ${show(got)}`)
}

function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 40 ? value.slice(0, 40) + '…' : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return showObject(value)
}

function showObject(value: object): string {
  try {
    if (Array.isArray(value)) return 'an array'
    const kind = Object.prototype.toString.call(value).slice('[object '.length, -1)
    return kind === 'Object' ? 'an object' : `an object (${kind})`
  } catch {
    return 'an object' // a proxy may refuse even that
  }
}
