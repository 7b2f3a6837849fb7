/**
 * What the main process can ask of a device process, and how it travels: a call with a number one way, the reply with the same
 * number the other way. The only file with casts: both ends are this very program, so messages are trusted to be of these types.
 */
import type { Value } from '../../index.ts'
import type { DeviceName } from './cities.ts'
import type { Edit } from './edits.ts'

/** Everything here is JSON: that is what IPC carries. */
export interface DeviceCalls {
  /** Opens the store with no network, and makes a new space. */
  create(): Promise<{ readonly ticket: string }>
  /** Opens the store with no network, and opens the space of a ticket. */
  join(ticket: string): Promise<void>
  /** Puts this device's cities. */
  load(): Promise<Load>
  edit(edit: Edit): Promise<void>
  status(): Promise<Status>
  /** Opens the store again, with a network, and waits until all that the other device has written is here. */
  meet(rendezvous: Rendezvous, other: LogEnd): Promise<Meeting>
  /** Waits until the other's log is here so far. */
  receive(other: LogEnd): Promise<void>
  /** The whole view as text: each key with its value, its writer and its conflicts. */
  export(): Promise<string>
  conflicts(): Promise<readonly ConflictRow[]>
  /** What stands at a key, and with how many conflicts. */
  look(key: string): Promise<{ readonly value: Value; readonly conflicts: number }>
  startWatching(prefix: string): Promise<void>
  /** Waits for a change of a watched key. @returns when it was seen */
  nextChange(): Promise<{ readonly at: number }>
  /** Puts a value. @returns when it began */
  put(key: string, value: Value): Promise<{ readonly at: number }>
}

export interface Rendezvous {
  /** Nodes by which to enter the network. */
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[]
  /** How long to look for the other. */
  readonly patienceMs: number
}

export interface Load {
  readonly entries: number
  readonly ms: number
}

/** A device's log up to a length. */
export interface LogEnd {
  readonly writer: string
  readonly blocks: number
}

export interface Status {
  readonly log: LogEnd
  /** Keys that this device sees. */
  readonly keys: number
}

export interface Meeting {
  /** From looking for the other device until it is connected. */
  readonly findMs: number
  /** From then until all it has written is here. */
  readonly catchUpMs: number
}

export interface ConflictRow {
  readonly key: string
  readonly won: Said
  readonly lost: Said
  /** How much later the winner wrote; negative if earlier. */
  readonly laterMs: number
}

/** What one device says at a key; null if it deleted it. */
export interface Said {
  readonly by: DeviceName
  readonly value: Value
}

export interface Call {
  readonly id: number
  readonly name: keyof DeviceCalls
  readonly args: readonly unknown[]
}

export type Reply =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly error: string }

/** In the device process: makes the call, and answers with a reply. */
export async function answer(calls: DeviceCalls, message: unknown): Promise<Reply> {
  const { id, name, args } = message as Call
  try {
    const call = calls[name] as (...args: unknown[]) => Promise<unknown>
    return { id, ok: true, result: await call.apply(calls, [...args]) }
  } catch (error) {
    return { id, ok: false, error: error instanceof Error ? error.message : String(error) }
  }
}

/** In the main process: settles the call that a reply is for. */
export function settle(waiting: Map<number, Waiting>, message: unknown): void {
  const reply = message as Reply
  const call = waiting.get(reply.id)
  waiting.delete(reply.id)
  clearTimeout(call?.timer)
  if (reply.ok) call?.resolve(reply.result as never)
  else call?.reject(new Error(reply.error))
}

/** A call that has no reply yet. */
export interface Waiting {
  /** Takes whatever the call of that number gives. */
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** Milliseconds on a clock that all processes of this machine share, finer than `Date.now()`. */
export function sharedNow(): number {
  return performance.timeOrigin + performance.now()
}
