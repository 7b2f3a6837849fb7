/** What protects the keys of this device on its disk; and locking it. */
import { html, LitElement, nothing } from 'lit'
import { property, state } from 'lit/decorators.js'
import type { KeysNotice, Trouble } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, textIn } from './forms.ts'
import { cards, shared, troubleShown } from './theme.ts'

const DIFFERENT: Trouble = { message: 'The two are different', next: 'Type it again.' }

export class PassphraseCard extends LitElement {
  static override readonly styles = [shared, cards]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  @property({ attribute: false }) accessor keys: KeysNotice | null = null
  @property({ type: Boolean }) accessor disabled = false
  @state() private accessor trouble: Trouble | null = null
  @state() private accessor done = ''

  protected override render() {
    const hasPassphrase = this.keys?.hasPassphrase ?? false
    return html`<section class="card" aria-labelledby="passphrase">
      <h3 id="passphrase">Passphrase</h3>
      <p class="faint">
        ${
          hasPassphrase
            ? 'It protects the keys of this device, which can be locked.'
            : 'None yet: whoever gets at the files of this device has its keys. With one, it can be locked.'
        }
      </p>
      <form @submit=${this.#onsubmit}>
        ${hasPassphrase ? typed('from', 'The one until now', 'current-password') : nothing}
        ${typed('to', 'New passphrase', 'new-password')} ${typed('again', 'Again', 'new-password')}
        <button ?disabled=${this.disabled}>${hasPassphrase ? 'Change' : 'Set'}</button>
      </form>
      ${hasPassphrase ? this.#more() : nothing}
      ${this.done === '' ? nothing : html`<p role="status">${this.done}</p>`}
      ${troubleShown(this.trouble)}
    </section>`
  }

  #more() {
    return html`<form @submit=${this.#onremove}>
        ${typed('from', 'To have none: the one until now', 'current-password')}
        <button ?disabled=${this.disabled}>Remove</button>
      </form>
      <div class="row">
        <button class="primary" ?disabled=${this.disabled} @click=${() => void this.#lock()}>
          Lock this device
        </button>
      </div>`
  }

  readonly #onsubmit = async (event: SubmitEvent): Promise<void> => {
    const form = formOf(event)
    const to = textIn(form, 'to')
    if (to !== textIn(form, 'again')) this.#tell(DIFFERENT, '')
    else await this.#change(form, to)
  }

  readonly #onremove = (event: SubmitEvent): Promise<void> => this.#change(formOf(event), null)

  async #change(form: HTMLFormElement, to: string | null): Promise<void> {
    const from = textIn(form, 'from') || null
    const answer = await this.link?.ask('passphrase', { type: 'passphrase', from, to })
    if (answer === undefined) return
    if (answer.type === 'refused') return this.#tell(answer.trouble, '')
    form.reset()
    this.#tell(null, to === null ? 'Removed.' : 'It protects the keys from now on.')
  }

  async #lock(): Promise<void> {
    const trouble = (await this.link?.lock()) ?? null
    this.#tell(trouble, '')
  }

  #tell(trouble: Trouble | null, done: string): void {
    this.trouble = trouble
    this.done = done
  }
}

function typed(name: string, label: string, autocomplete: 'current-password' | 'new-password') {
  return html`<label class="field">
    ${label}
    <input type="password" name=${name} required autocomplete=${autocomplete} />
  </label>`
}
