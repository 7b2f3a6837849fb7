/** Renders an element again whenever what its device says has changed. */
import type { ReactiveController, ReactiveControllerHost } from 'lit'
import type { DeviceLink } from './device-link.ts'

export class LinkController implements ReactiveController {
  readonly #host: ReactiveControllerHost
  readonly #link: DeviceLink
  readonly #onchange = (): void => this.#host.requestUpdate()

  constructor(host: ReactiveControllerHost, link: DeviceLink) {
    this.#host = host
    this.#link = link
    host.addController(this)
  }

  hostConnected(): void {
    this.#link.on('change', this.#onchange)
  }

  hostDisconnected(): void {
    this.#link.off('change', this.#onchange)
  }
}
