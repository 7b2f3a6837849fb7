/** Bringing in another device of this person, as pages see it: one link at a time, and who has come by it. */
import type { Device, DeviceInvite } from '../index.ts'
import type { Pairing } from './protocol.ts'

const NONE: Pairing = { step: 'none' }

export class Pairings {
  readonly #onchange: () => void
  #invite: DeviceInvite | null = null
  #state = NONE

  constructor(onchange: () => void) {
    this.#onchange = onchange
  }

  get state(): Pairing {
    return this.#state
  }

  /** An earlier link ends. */
  begin(device: Device): DeviceInvite {
    this.end()
    const invite = device.identity.invite()
    this.#invite = invite
    this.#become({ step: 'waiting' })
    void this.#follow(invite)
    return invite
  }

  /**
   * @param code what the page shows: somebody else may have come since
   * @throws DEVICE_LINK_EXPIRED
   */
  decide(device: Device, code: string, isOurs: boolean): void {
    const asking = device.identity.asking().find((each) => each.code === code)
    if (asking === undefined) throw new Error('Nobody asks with these digits any more')
    if (isOurs) return asking.confirm()
    this.#become({ step: 'refused' })
    asking.refuse()
  }

  end(): void {
    const invite = this.#invite
    this.#invite = null
    invite?.end()
    if (this.#state.step !== 'none') this.#become(NONE)
  }

  async #follow(invite: DeviceInvite): Promise<void> {
    const asking = await invite.asking
    if (asking !== null && this.#invite === invite) {
      const { name, code } = asking
      this.#become({ step: 'asking', name, code })
    }
    const joined = await invite.joined
    if (this.#invite !== invite) return
    if (joined !== null) this.#become({ step: 'joined', name: joined.name })
    else if (this.#state.step !== 'refused') this.#become({ step: 'expired' })
  }

  #become(state: Pairing): void {
    this.#state = state
    this.#onchange()
  }
}
