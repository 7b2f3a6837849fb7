/** A secret that a person asked to see: gone when it is hidden, when its element goes, and when nobody looks at the page any more. */
import type { ReactiveController, ReactiveControllerHost } from 'lit'

export class ShownSecret<T> implements ReactiveController {
  readonly #host: ReactiveControllerHost
  #value: T | null = null

  constructor(host: ReactiveControllerHost) {
    this.#host = host
    host.addController(this)
  }

  /** Null while it is hidden. */
  get value(): T | null {
    return this.#value
  }

  show(value: T): void {
    this.#value = value
    this.#host.requestUpdate()
  }

  hide(): void {
    this.#value = null
    this.#host.requestUpdate()
  }

  hostConnected(): void {
    document.addEventListener('visibilitychange', this.#onlook)
  }

  hostDisconnected(): void {
    document.removeEventListener('visibilitychange', this.#onlook)
    this.#value = null
  }

  readonly #onlook = (): void => {
    if (document.visibilityState === 'hidden') this.hide()
  }
}
