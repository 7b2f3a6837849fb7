/** This device's own place among the members of a space. For the device, which opens spaces, leaves them, and comes back to them. */
import z32 from 'z32'
import type { KeyPair } from '../../core/index.ts'
import { invalid } from '../../errors.ts'
import type { Acts } from './acts.ts'
import { bytesOf, keyOfText } from './credentials.ts'
import type { Members } from './members.ts'

export class Standing {
  readonly #members: Members
  readonly #acts: Acts
  readonly #checkOpen: () => void

  constructor(members: Members, acts: Acts, checkOpen: () => void) {
    this.#members = members
    this.#acts = acts
    this.#checkOpen = checkOpen
  }

  /** Resolves once this device is known to be in, with the key of the content, or the signal is given. */
  whenReady(signal: AbortSignal): Promise<void> {
    return this.#when(() => this.#members.isReady, signal)
  }

  /** The same, once its person is known to be in. */
  whenMet(signal: AbortSignal): Promise<void> {
    return this.#when(() => this.#members.isOfMember, signal)
  }

  /** Whether this device is or was a member, as far as it knows. */
  get isLetIn(): boolean {
    return this.#members.isLetIn
  }

  /** Whether nothing stands in its membership log. */
  get isUnbegun(): boolean {
    return this.#members.isUnbegun
  }

  /** Another text whenever more is known of the membership. */
  get state(): string {
    return this.#members.state
  }

  /** Other devices of the same person that have rights, but for those that are kept. @throws INVALID_ARGUMENT, NOT_ALLOWED */
  lostWithout(kept: readonly string[]): readonly string[] {
    const others = this.#members.others().map((key) => z32.encode(bytesOf(key)))
    const strange = kept.find((each) => !others.includes(each))
    if (strange !== undefined) invalid('keep', "ids of one's other devices in the space", strange)
    return others.filter((each) => !kept.includes(each))
  }

  /** @throws NOT_ALLOWED where its rights have ended: what would follow its logs counts no more than they do */
  checkMaySucceed(): void {
    this.#checkOpen()
    const excluded = this.#members.hasEnded ? this.#members.exclusion([]) : null
    if (excluded !== null) throw excluded
  }

  /** Once it goes on under new logs: so that nobody who has the old keys reads on. @throws STORE_ codes */
  async renewKeys(): Promise<void> {
    this.#checkOpen()
    if (this.#members.exclusion([]) === null) await this.#members.renewKeys()
  }

  /** @see Members.recover */
  recover(identity: KeyPair, lost: readonly string[]): Promise<void> {
    this.#checkOpen()
    const keys = lost.flatMap((device) => keyOfText(device) ?? [])
    return this.#members.recover(this.#acts, identity, keys)
  }

  async #when(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    const { events } = this.#members
    await new Promise<void>((resolve) => {
      const done = () => {
        events.off('record', look)
        events.off('change', look)
        resolve()
      }
      const look = () => void (isSo() && done())
      events.on('record', look)
      events.on('change', look)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
      else look()
    })
  }
}
