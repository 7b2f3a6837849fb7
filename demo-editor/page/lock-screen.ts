/** A device that is locked: it shows nothing, and asks for its passphrase. */
import { html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import type { Trouble } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, textIn } from './forms.ts'
import { cards, front, shared, troubleShown } from './theme.ts'

export class LockScreen extends LitElement {
  static override readonly styles = [shared, cards, front]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  @state() private accessor trouble: Trouble | null = null
  @query('input') private accessor input!: HTMLInputElement | null

  protected override firstUpdated(): void {
    this.input?.focus()
  }

  protected override render() {
    const { name = '', unsaved = 0 } = this.link ?? {}
    return html`<section class="card" aria-labelledby="locked">
      <h2 id="locked">${name || 'This device'} is locked</h2>
      <p class="faint">Its keys are forgotten until somebody says its passphrase.</p>
      ${
        unsaved === 0
          ? nothing
          : html`<p role="status">
              What this page had not saved yet is kept in it, and saved then.
            </p>`
      }
      <form @submit=${this.#onsubmit}>
        <label class="field">
          Passphrase
          <input type="password" name="passphrase" required autocomplete="current-password" />
        </label>
        <button class="primary" ?disabled=${this.disabled}>Unlock</button>
      </form>
      ${troubleShown(this.trouble)}
    </section>`
  }

  readonly #onsubmit = async (event: SubmitEvent): Promise<void> => {
    const form = formOf(event)
    const passphrase = textIn(form, 'passphrase')
    form.reset()
    this.trouble = (await this.link?.unlock(passphrase)) ?? null
    await this.updateComplete
    this.input?.focus()
  }
}
