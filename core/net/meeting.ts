/**
 * Asking to be let in: one question and its answers, on a connection to somebody who is in, by somebody who has no membership key yet and
 * to whom nothing of the space is offered. Who knows the meeting's topic may ask; what is asked and answered is sealed and signed by those
 * who use this (multiwriter/members/invites.ts).
 *
 *     channel    manyhands/invite/1, id = the meeting's topic
 *     message 0  request, from who asks
 *     message 1  answer
 */
import c from 'compact-encoding'
import type Protomux from 'protomux'
import type { Channel, Message } from 'protomux'

const PROTOCOL = 'manyhands/invite/1'

/** Where a space answers those who have an invite. */
export interface Meeting {
  readonly topic: Uint8Array
  /** Whether there is anything to answer: else the channel is not opened, as if the space were not here. */
  isOpen(): boolean
  /** Unchecked bytes. Null says nothing. */
  answer(request: Uint8Array, from: Uint8Array): Promise<Uint8Array | null>
}

/** Answers on one connection. */
export class MeetingHost {
  readonly #mux: Protomux
  readonly #meeting: Meeting
  readonly #from: Uint8Array
  #channel: Channel<void> | null = null

  /** @param from the device key of the peer */
  constructor(mux: Protomux, meeting: Meeting, from: Uint8Array) {
    this.#mux = mux
    this.#meeting = meeting
    this.#from = from
    mux.pair({ protocol: PROTOCOL, id: meeting.topic }, () => this.#open())
  }

  close(): void {
    this.#mux.unpair({ protocol: PROTOCOL, id: this.#meeting.topic })
    this.#channel?.close()
  }

  #open(): void {
    if (!this.#meeting.isOpen()) return
    const channel = this.#mux.createChannel({ protocol: PROTOCOL, id: this.#meeting.topic })
    if (channel === null) return // the stream closed meanwhile
    this.#channel = channel
    channel.addMessage<Uint8Array>({
      encoding: c.raw,
      onmessage: (request) => void this.#answer(request, answers)
    })
    const answers = channel.addMessage<Uint8Array>({ encoding: c.raw, onmessage: () => {} })
    channel.open()
  }

  async #answer(request: Uint8Array, answers: Message<Uint8Array>): Promise<void> {
    const answer = await this.#meeting.answer(request, this.#from)
    if (answer !== null) answers.send(answer)
  }
}

/** Asks on one connection. */
export class MeetingGuest {
  readonly #mux: Protomux
  readonly #question: Question
  #channel: Channel<void> | null = null
  #requests: Message<Uint8Array> | null = null

  constructor(mux: Protomux, question: Question) {
    this.#mux = mux
    this.#question = question
  }

  /** Again as well: the peer may know by now what it did not, or have opened the space. */
  ask(): void {
    if (this.#channel === null || this.#channel.closed) this.#open()
    this.#requests?.send(this.#question.request)
  }

  close(): void {
    this.#channel?.close()
    this.#channel = null
  }

  #open(): void {
    const channel = this.#mux.createChannel({
      protocol: PROTOCOL,
      id: this.#question.topic
    })
    this.#channel = channel
    if (channel === null) return
    this.#requests = channel.addMessage<Uint8Array>({ encoding: c.raw, onmessage: () => {} })
    channel.addMessage<Uint8Array>({
      encoding: c.raw,
      onmessage: (answer) => this.#question.onanswer(answer)
    })
    channel.open()
  }
}

/** What is asked of everybody whom this device meets. */
export interface Question {
  readonly topic: Uint8Array
  readonly request: Uint8Array
  /** Unchecked bytes. */
  onanswer(answer: Uint8Array): void
}
