/**
 * What a port speaks: JSON-RPC requests between two processes of one user, in plain data (docs/FORMAT.md, "Port").
 *
 * The first request is `hello`; until it is answered nothing else is. A stream is three requests: `stream/open` gives an id,
 * `stream/next` the next few items, `stream/close` releases it; who does not ask for more, gets none.
 * A request can be cancelled, and may ask to be told how far it is.
 * How messages travel is the door's business: a socket here, a MessagePort in a browser.
 */
import { ProgressType, ResponseError, type MessageReader, type MessageWriter } from 'vscode-jsonrpc'
import type { Progress } from '../../core/index.ts'
import { ERROR_CODES, isManyhandsError, ManyhandsError, type ErrorCode } from '../../errors.ts'

/** Raised whenever an operation changes its meaning. */
export const PORT_VERSION = 2

/** How far a request is: sent under the number that the request brought as its second parameter. */
export const PROGRESS = new ProgressType<Progress>()

/** One end of a connection between two processes. */
export interface PortWire {
  readonly reader: MessageReader
  readonly writer: MessageWriter
  /** From now on messages may be large: the other side has said hello. */
  trust(): void
  /** Sends what was written, then ends the connection. Idempotent. */
  close(): void
}

export interface PortListener {
  /** Lets nobody in from now on. Idempotent. */
  close(): Promise<void>
}

export interface Welcome {
  readonly version: number
  readonly device: string
}

export interface StreamItems {
  readonly items: readonly unknown[]
  readonly done: boolean
}

/** An error of ours, in JSON-RPC's range for applications; which one is said in the data. */
const FAILED = 1

interface ErrorData {
  readonly code: ErrorCode | null
}

/** What a failed operation is answered with. Causes stay where they are. */
export function errorToWire(error: unknown): ResponseError<ErrorData> {
  const message = error instanceof Error ? error.message : String(error)
  const code = isManyhandsError(error) ? error.code : null
  return new ResponseError(FAILED, message, { code })
}

/** The error that was thrown on the other side. */
export function errorFromWire(error: unknown): unknown {
  if (!(error instanceof ResponseError)) return closedPort(error)
  const code = codeIn(error.data)
  if (code !== null) return new ManyhandsError(code, error.message, { cause: error })
  return error.code === FAILED ? new Error(error.message, { cause: error }) : closedPort(error)
}

export function closedPort(cause?: unknown): ManyhandsError {
  const message = 'The process that owns the store has closed it'
  return new ManyhandsError('DEVICE_CLOSED', message, { cause })
}

function codeIn(data: unknown): ErrorCode | null {
  if (typeof data !== 'object' || data === null || !('code' in data)) return null
  return ERROR_CODES.find((code) => code === data.code) ?? null
}
