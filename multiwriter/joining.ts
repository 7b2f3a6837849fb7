/**
 * Coming into a space by an invite: this device asks whomever it meets where the invite says, until somebody lets it in. Nothing is written
 * before that. What others say who do not let in is not proved, so it is believed only when nobody else has let in shortly after; and
 * its own clock decides nothing.
 */
import { ownLogKey, randomBytes, type DeviceStore, type Question } from '../core/index.ts'
import b4a from 'b4a'
import { ManyhandsError, type ErrorCode } from '../errors.ts'
import { inviteKeyPair, meetingOf, meetingTopic, type InviteLink } from './invite-link.ts'
import { ownCredentials } from './members/credentials.ts'
import {
  decodeInviteAnswer,
  encodeInviteRequest,
  openAdmission,
  type Denial
} from './members/invite-message.ts'
import type { Timers } from './timers.ts'
import type { Entrance } from './ticket.ts'

/** Those who did not know the invite yet, or were not there, may do so now. */
const ASK_AGAIN_MS = 2000

/** Others who are asked at the same moment may let in. */
const GRACE_MS = 1000

export interface JoiningParts {
  readonly store: Pick<DeviceStore, 'keyPair' | 'secrets'>
  /** Which keep the process: somebody waits. */
  readonly timers: Pick<Timers, 'after'>
  readonly signal: AbortSignal | null
  /** In ms. */
  readonly timeout: number
  /** Asks all who are met, now and later, and again if it is called again. @see Connections.ask */
  ask(question: Question): void
  stopAsking(question: Question): void
}

export interface Joined {
  readonly entrance: Entrance
  /** Of the logs that were let in. */
  readonly salt: Uint8Array
}

const CODES: Readonly<Record<Denial, readonly [ErrorCode, string]>> = {
  unknown: ['INVITE_UNANSWERED', 'Nobody who was there knew of this invite'],
  expired: ['INVITE_EXPIRED', 'This invite has expired'],
  used: ['INVITE_USED', 'This invite was used up'],
  revoked: ['INVITE_REVOKED', 'This invite lets in nobody any more'],
  removed: ['INVITE_REMOVED', 'This device was removed from the space']
}

/** Asks until it is let in. @throws INVITE_ codes */
export function askToJoin(parts: JoiningParts, link: InviteLink): Promise<Joined> {
  return new Promise((resolve, reject) => {
    const joining = new Joining(parts, link, resolve, reject)
    joining.start()
  })
}

class Joining {
  readonly #parts: JoiningParts
  readonly #link: InviteLink
  readonly #resolve: (joined: Joined) => void
  readonly #reject: (error: unknown) => void
  readonly #salt = randomBytes(32)
  readonly #question: Question
  #callOffEnd = () => {}
  #callOffNext = () => {}
  #denial: Denial | null = null
  #callOffGrace = () => {}
  #isDone = false

  constructor(
    parts: JoiningParts,
    link: InviteLink,
    resolve: (joined: Joined) => void,
    reject: (error: unknown) => void
  ) {
    this.#parts = parts
    this.#link = link
    this.#resolve = resolve
    this.#reject = reject
    this.#question = {
      topic: meetingTopic(link.meeting),
      request: this.#request(),
      onanswer: (answer) => this.#hear(answer)
    }
  }

  start(): void {
    const { timers, signal, timeout } = this.#parts
    if (signal?.aborted === true) return this.#fail(signal.reason)
    const onabort = () => this.#fail(signal?.reason)
    signal?.addEventListener('abort', onabort)
    const callOffTimeout = timers.after(timeout, () => this.#fail(this.#error(this.#denial)))
    this.#callOffEnd = () => {
      signal?.removeEventListener('abort', onabort)
      callOffTimeout()
    }
    this.#ask()
  }

  #request(): Uint8Array {
    const { store } = this.#parts
    const { address, secret } = this.#link
    const { seed } = store.secrets
    const salt = this.#salt
    const pair = { salt, acl: ownLogKey(seed, 'acl', salt), data: ownLogKey(seed, 'data', salt) }
    const credentials = ownCredentials(store, address, [pair])
    return encodeInviteRequest(inviteKeyPair(secret), address, credentials)
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

  /** Only who is in has the key that the link was made for. */
  #open(sealed: Uint8Array): void {
    const { meeting } = this.#link
    const admission = openAdmission(this.#parts.store.keyPair, sealed)
    if (admission === null || !b4a.equals(meetingOf(admission.membershipKey), meeting)) return
    this.#finish()
    this.#resolve({ entrance: admission, salt: this.#salt })
  }

  /** Who does not know of the invite may learn of it, and is asked again. */
  #noteDenial(denial: Denial): void {
    if (this.#denial === null || this.#denial === 'unknown') this.#denial = denial
    if (denial === 'unknown') return
    this.#callOffGrace()
    const fail = () => this.#fail(this.#error(denial))
    this.#callOffGrace = this.#parts.timers.after(GRACE_MS, fail)
  }

  #error(denial: Denial | null): ManyhandsError {
    const [code, message] = denial === null ? NOBODY : CODES[denial]
    return new ManyhandsError(code, message)
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

const NOBODY: readonly [ErrorCode, string] = [
  'INVITE_UNANSWERED',
  'Nobody who may let in answered in time'
]
