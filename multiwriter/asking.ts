/**
 * Asking to be let in, of whomever this device meets where a link says, until somebody lets it in. What others say who do not is not
 * proved, so it is believed only when nobody else has let in shortly after; and its own clock decides nothing.
 */
import type { Question } from '../core/index.ts'
import { decodeInviteAnswer, type Denial } from './members/invite-message.ts'
import type { Timers } from './timers.ts'

/** Those who did not know the link yet, or were not there, may do so now. */
const ASK_AGAIN_MS = 2000

/** Others who are asked at the same moment may let in. */
const GRACE_MS = 1000

export interface AskingParts {
  /** Which keep the process: somebody waits. */
  readonly timers: Pick<Timers, 'after'>
  readonly signal: AbortSignal | null
  /** In ms. */
  readonly timeout: number
  /** Asks all who are met, now and later, and again if it is called again. @see Connections.ask */
  ask(question: Question): void
  stopAsking(question: Question): void
}

/** What is asked, and what an answer is worth. */
export interface Request<T> {
  readonly topic: Uint8Array
  readonly bytes: Uint8Array
  /** Null for what is none, or does not come from whom it must. */
  open(sealed: Uint8Array): T | null
  /** @param denial null where nobody answered in time */
  errorOf(denial: Denial | null): Error
}

/** Resolves with the first answer that is worth something. @throws what the request says of a denial; the signal's reason */
export function askUntilLetIn<T>(parts: AskingParts, request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => new Asking(parts, request, resolve, reject).start())
}

class Asking<T> {
  readonly #parts: AskingParts
  readonly #request: Request<T>
  readonly #resolve: (answer: T) => void
  readonly #reject: (error: unknown) => void
  readonly #question: Question
  #callOffEnd = () => {}
  #callOffNext = () => {}
  #denial: Denial | null = null
  #callOffGrace = () => {}
  #isDone = false

  constructor(
    parts: AskingParts,
    request: Request<T>,
    resolve: (answer: T) => void,
    reject: (error: unknown) => void
  ) {
    this.#parts = parts
    this.#request = request
    this.#resolve = resolve
    this.#reject = reject
    this.#question = {
      topic: request.topic,
      request: request.bytes,
      onanswer: (answer) => this.#hear(answer)
    }
  }

  start(): void {
    const { timers, signal, timeout } = this.#parts
    if (signal?.aborted === true) return this.#fail(signal.reason)
    const onabort = () => this.#fail(signal?.reason)
    signal?.addEventListener('abort', onabort)
    const fail = () => this.#fail(this.#request.errorOf(this.#denial))
    const callOffTimeout = timers.after(timeout, fail)
    this.#callOffEnd = () => {
      signal?.removeEventListener('abort', onabort)
      callOffTimeout()
    }
    this.#ask()
  }

  #ask(): void {
    if (this.#isDone) return
    this.#parts.ask(this.#question)
    this.#callOffNext = this.#parts.timers.after(ASK_AGAIN_MS, () => this.#ask())
  }

  #hear(bytes: Uint8Array): void {
    const answer = this.#isDone ? null : decodeInviteAnswer(bytes)
    if (answer === null) return
    if ('denial' in answer) this.#noteDenial(answer.denial)
    else this.#open(answer.sealed)
  }

  #open(sealed: Uint8Array): void {
    const opened = this.#request.open(sealed)
    if (opened === null) return
    this.#finish()
    this.#resolve(opened)
  }

  /** Who does not know of the link may learn of it, and is asked again. */
  #noteDenial(denial: Denial): void {
    if (this.#denial === null || this.#denial === 'unknown') this.#denial = denial
    if (denial === 'unknown') return
    this.#callOffGrace()
    const fail = () => this.#fail(this.#request.errorOf(denial))
    this.#callOffGrace = this.#parts.timers.after(GRACE_MS, fail)
  }

  #fail(error: unknown): void {
    if (this.#isDone) return
    this.#finish()
    this.#reject(error)
  }

  #finish(): void {
    this.#isDone = true
    this.#callOffEnd()
    this.#callOffNext()
    this.#callOffGrace()
    this.#parts.stopAsking(this.#question)
  }
}
