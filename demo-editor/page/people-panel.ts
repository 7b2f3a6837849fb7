/** Who is in the notebook, with which rights, and what left the view when somebody was removed. */
import { css, html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import type { Left, LeftEntry, MemberRow } from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { hues, shared } from './theme.ts'

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

const ROLES: Readonly<Record<string, string>> = {
  owner: 'Owner',
  admin: 'Admin',
  writer: 'Writes',
  reader: 'Reads',
  mirror: 'Keeps a copy'
}

/** Emits `done` when the person goes back to writing. */
export class PeoplePanel extends LitElement {
  static override readonly styles = [
    shared,
    ...hues,
    css`
      :host {
        display: block;
        min-height: 0;
        overflow: auto;
        padding: 1.25rem max(1.25rem, calc(50% - 22rem)) 3rem;
        background: var(--paper);
      }

      header {
        display: flex;
        align-items: center;
        justify-content: space-between;
      }

      h2 {
        margin: 0;
        font: 600 1.5rem/1.3 var(--text);
      }

      h3 {
        margin: 0.75rem 0 0;
        font-size: 0.9rem;
      }

      p {
        margin: 0.35rem 0 0;
      }

      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }

      .people > li {
        padding: 0.9rem 0;
        border-bottom: 1px solid var(--line);
      }

      .person {
        display: flex;
        flex-wrap: wrap;
        gap: 0.35rem 0.75rem;
        align-items: center;
      }

      .name {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        font-weight: 600;
      }

      .name::before {
        content: '';
        width: 0.9rem;
        height: 0.9rem;
        border-radius: 50%;
        background: var(--hue, var(--faint));
      }

      .faint {
        color: var(--faint);
      }

      .own {
        background: var(--accent-soft);
        color: var(--ink);
      }

      .here::before {
        content: '';
        display: inline-block;
        width: 0.6em;
        height: 0.6em;
        margin-right: 0.4em;
        border-radius: 50%;
        background: var(--good);
      }

      .person button {
        margin-left: auto;
      }

      .left {
        margin-top: 0.6rem;
        padding: 0.6rem 0.75rem;
        border-radius: 0.5rem;
        background: var(--desk);
      }

      .left h3 {
        margin: 0;
      }

      .left li {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      .left button {
        margin-top: 0.5rem;
      }

      code {
        color: var(--faint);
      }
    `
  ]

  @property({ attribute: false }) accessor link: DeviceLink | null = null
  /** Who the dialog is about. */
  @state() private accessor asked: MemberRow | null = null
  /** Of the link: given again whenever it changes. */
  @property({ attribute: false }) accessor members: readonly MemberRow[] = []
  /** This device has rights itself. */
  @property({ type: Boolean }) accessor mayAct = false
  /** Not just now. */
  @property({ type: Boolean }) accessor disabled = false
  @query('dialog') private accessor dialog!: HTMLDialogElement | null
  @query('header button') private accessor close!: HTMLButtonElement | null

  override focus(): void {
    this.close?.focus()
  }

  protected override render() {
    const { members } = this
    return html`
      <div role="group" aria-label="People" @keydown=${this.#onkey}>
        <header>
          <h2>People</h2>
          <button @click=${() => this.#emit('done')}>Close</button>
        </header>
        ${
          this.link?.mayInvite
            ? html`<invite-card .link=${this.link} ?disabled=${this.disabled}></invite-card>`
            : nothing
        }
        <ul class="people">
          ${members.map((member) => this.#member(member))}
        </ul>
        ${members.length === 0 ? html`<p class="faint">Nobody is known yet: it is told by who made the notebook.</p>` : nothing}
      </div>
      ${this.#question()}
    `
  }

  #member(member: MemberRow) {
    const { name, hue, role, isOwn, left } = member
    const canRemove = !isOwn && role !== null && this.mayAct
    const remove = () =>
      html`<button ?disabled=${this.disabled} @click=${() => void this.#ask(member)}>
        Remove…
      </button>`
    return html`<li>
      <div class="person">
        <span class=${`name hue-${hue ?? 'none'}`}>${name}</span>
        ${isOwn ? html`<span class="badge own">this device</span>` : nothing}
        ${role === null ? html`<span class="badge">removed</span>` : html`<span>${ROLES[role] ?? role}</span>`}
        ${isOwn ? nothing : seen(member)} ${canRemove ? remove() : nothing}
      </div>
      ${role === null ? this.#left(member, left) : nothing}
    </li>`
  }

  #left({ identity, name }: MemberRow, left: Left | null) {
    if (left === null)
      return html`<div class="left faint">
        Nothing has left the view: what ${name} wrote before the removal stays.
      </div>`
    const readmit = () =>
      html`<button
          ?disabled=${this.disabled}
          @click=${() => void this.#act(this.link?.readmit(identity))}
        >
          Bring it back
        </button>
        <p class="faint">That shows it again, here and everywhere. It gives ${name} no rights.</p>`
    return html`<div class="left">
      <h3>Left the view</h3>
      <p>${changes(left.changes)} that ${name} wrote after the removal.</p>
      <ul>
        ${left.entries.map(entry)}
      </ul>
      ${this.mayAct ? readmit() : nothing}
    </div>`
  }

  #question() {
    const { name = '', role = '' } = this.asked ?? {}
    const vote = html`<p>
      ${name} is an owner: this is your vote for it. It takes effect when more than half of all
      owners have voted so.
    </p>`
    return html`<dialog aria-label="Remove from the notebook" @close=${this.#onanswer}>
      <p>Remove ${name} from the notebook?</p>
      ${role === 'owner' ? vote : nothing}
      <p>
        What is here of ${name} stays. What ${name} writes from now on counts nowhere, and nothing
        new gets there. The device cannot come in again.
      </p>
      <form method="dialog">
        <button value="">Keep</button>
        <button value="remove" class="primary">Remove</button>
      </form>
    </dialog>`
  }

  async #ask(member: MemberRow): Promise<void> {
    this.asked = member
    await this.updateComplete
    this.dialog?.showModal()
  }

  readonly #onanswer = (): void => {
    const { dialog, asked } = this
    if (dialog?.returnValue === 'remove' && asked !== null)
      void this.#act(this.link?.revoke(asked.identity))
    if (dialog !== null) dialog.returnValue = ''
    this.asked = null
  }

  /** What was pressed may be gone then, and the focus with it. */
  async #act(done: Promise<unknown> | undefined): Promise<void> {
    if ((await done) === null) return
    await this.updateComplete
    this.focus()
  }

  readonly #onkey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') this.#emit('done')
  }

  #emit(type: string): void {
    this.dispatchEvent(new CustomEvent(type))
  }
}

function seen({ seen: when }: MemberRow) {
  if (when === 'here') return html`<span class="faint here">connected</span>`
  if (when === null) return html`<span class="faint">not seen yet</span>`
  return html`<span class="faint">last seen ${TIME.format(when)}</span>`
}

function changes(count: number): string {
  return count === 1 ? 'One change' : `${count.toLocaleString()} changes`
}

function entry({ key, value }: LeftEntry) {
  return html`<li><code>${key}</code> ${value}</li>`
}
