/** How a command can end, and what the shell is told of it (docs/CLI.md, "Exit codes"). */
import { isManyhandsError, type ErrorCode } from '../errors.ts'

export const EXIT = {
  ok: 0,
  /** The answer is no: not found, not all of it done, not sound. */
  no: 1,
  /** The command was called wrongly; nothing was done. */
  usage: 2,
  /** The store cannot be opened, read or written. */
  store: 3,
  /** No such space; an invite, ticket, version or link that leads nowhere. */
  unknown: 4,
  /** What was asked for is not on this device, or nobody came in time. */
  unavailable: 5,
  /** The process that owns the store ended, or is of another version. */
  owner: 6,
  /** What was read (a file, a backup) is broken. */
  input: 7,
  /** A mistake of manyhands itself. */
  internal: 70,
  interrupted: 130
} as const

/** What a person called wrongly, or asked in vain; shown without a stack. */
export class CliError extends Error {
  readonly exit: number
  readonly code: string
  readonly next: string | null

  constructor(exit: number, code: string, message: string, next: string | null = null) {
    super(message)
    this.exit = exit
    this.code = code
    this.next = next
  }
}

export function usage(message: string, next: string | null = null): CliError {
  return new CliError(EXIT.usage, 'USAGE', message, next)
}

/** The reader of our output went away (`| head`): not an error, only the end. */
export class PipeClosed extends Error {}

export interface Failure {
  readonly exit: number
  readonly code: string
  readonly message: string
  readonly next: string | null
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CliError) return error
  if (isManyhandsError(error)) {
    const { code, message, next } = error
    return { exit: exitOf(code), code, message, next }
  }
  if (error instanceof Error && 'syscall' in error) {
    return { exit: EXIT.usage, code: 'FILE', message: error.message, next: null }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const next = 'This is a mistake of manyhands: please report it.'
  return { exit: EXIT.internal, code: 'INTERNAL', message, next }
}

function exitOf(code: ErrorCode): number {
  if (code === 'BLOCK_UNAVAILABLE' || code === 'VERSION_UNAVAILABLE') return EXIT.unavailable
  if (code === 'DEVICE_CLOSED' || code === 'PORT_VERSION') return EXIT.owner
  if (
    code === 'BACKUP_INVALID' ||
    code === 'PROOF_INVALID' ||
    /^(PHRASE_I|SHARES?_|REQUEST_|SPACE_LIST_)/.test(code)
  )
    return EXIT.input
  if (code === 'DEVICE_LOCKED') return EXIT.store
  if (code === 'PHRASE_UNKNOWN' || code === 'IDENTITY_IN_USE') return EXIT.no
  if (/^(STORE|PASSPHRASE|ENTRY)_/.test(code)) return EXIT.store
  if (code === 'INVITE_UNANSWERED' || code === 'DEVICE_LINK_UNANSWERED') return EXIT.unavailable
  if (code === 'INVITE_REMOVED' || code === 'DEVICE_LINK_REFUSED') return EXIT.no
  if (/^(SPACE|TICKET|INVITE|DEVICE_LINK|VERSION|LINK)_/.test(code)) return EXIT.unknown
  if (code === 'READ_ONLY') return EXIT.usage
  if (code === 'NOT_ALLOWED' || code === 'ANCHOR_MISMATCH') return EXIT.no
  return /^(INVALID|KEY|VALUE)_/.test(code) ? EXIT.usage : EXIT.internal
}
