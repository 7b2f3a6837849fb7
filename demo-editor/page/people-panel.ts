/** Who is in the notebook, with which rights, and what left the view when somebody was removed. */
import { css, html, LitElement, nothing } from 'lit'
import { property, query, state } from 'lit/decorators.js'
import {
  MAX_PETNAME,
  type Left,
  type LeftEntry,
  type MemberRow,
  type Pairing
} from '../protocol.ts'
import type { DeviceLink } from './device-link.ts'
import { formOf, textIn } from './forms.ts'
import { hues, panel, shared } from './theme.ts'

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
    panel,
    css`
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

      .person .acts {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        margin-left: auto;
      }

      .naming {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        justify-content: start;
        margin-top: 0.5rem;
      }

      .naming input {
        flex: 1 1 10rem;
        min-width: 0;
        padding: 0.35rem 0.5rem;
        border: 1px solid var(--line);
        border-radius: 0.5rem;
        background: var(--raised);
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
  /** Who is being given a name. */
  @state() private accessor naming: string | null = null
  /** Of the link: given again whenever it changes. */
  @property({ attribute: false }) accessor members: readonly MemberRow[] = []
  @property({ attribute: false }) accessor pairing: Pairing = { step: 'none' }
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
        ${this.link?.isRemoved ? nothing : this.#pairing()}
        <ul class="people">
          ${members.map((member) => this.#member(member))}
        </ul>
        ${members.length === 0 ? html`<p class="faint">Who is in is not known yet: it shows here as soon as a member has told.</p>` : nothing}
      </div>
      ${this.#question()}
    `
  }

  #pairing() {
    return html`<pairing-card
      .link=${this.link}
      .pairing=${this.pairing}
      ?disabled=${this.disabled}
    ></pairing-card>`
  }

  #member(member: MemberRow) {
    const { identity, hue, role, isOwn, left } = member
    return html`<li>
      <div class="person">
        <span class=${`name hue-${hue ?? 'none'}`}>${nameOf(member)}</span>
        ${isOwn ? html`<span class="badge own">this device</span>` : nothing} ${ownName(member)}
        ${role === null ? html`<span class="badge">removed</span>` : html`<span>${ROLES[role] ?? role}</span>`}
        ${isOwn ? nothing : seen(member)} ${isOwn ? nothing : this.#acts(member)}
      </div>
      ${this.naming === identity ? this.#namingForm(member) : nothing}
      ${role === null ? this.#left(member, left) : nothing}
    </li>`
  }

  #acts(member: MemberRow) {
    const { identity, role } = member
    const name = nameOf(member)
    const remove = () =>
      html`<button ?disabled=${this.disabled} @click=${() => void this.#ask(member)}>
        Remove…
      </button>`
    return html`<span class="acts">
      <button
        aria-expanded=${this.naming === identity ? 'true' : 'false'}
        aria-label=${`Call ${name} something else`}
        ?disabled=${this.disabled}
        @click=${() => void this.#beginNaming(identity)}
      >
        Name…
      </button>
      ${role !== null && this.mayAct ? remove() : nothing}
    </span>`
  }

  #namingForm({ petname, name }: MemberRow) {
    return html`<form class="naming" @submit=${this.#onname} @keydown=${this.#onnamingkey}>
      <input
        name="petname"
        aria-label="What you call them"
        placeholder=${`What you call ${name}; empty for nothing`}
        maxlength=${MAX_PETNAME}
        autocomplete="off"
        .value=${petname ?? ''}
      />
      <button>Keep</button>
    </form>`
  }

  async #beginNaming(identity: string): Promise<void> {
    this.naming = this.naming === identity ? null : identity
    await this.updateComplete
    this.renderRoot.querySelector<HTMLInputElement>('.naming input')?.select()
  }

  readonly #onname = async (event: SubmitEvent): Promise<void> => {
    const name = textIn(formOf(event), 'petname').trim()
    const identity = this.naming
    if (identity === null) return
    const named = { type: 'petname', identity, name: name === '' ? null : name } as const
    const answer = await this.link?.ask('petname', named)
    if (answer?.type === 'refused') this.link?.tellFailed(answer.trouble)
    await this.#endNaming()
  }

  readonly #onnamingkey = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape') return
    event.stopPropagation() // the panel stays
    void this.#endNaming()
  }

  /** The focus goes back to where it came from. */
  async #endNaming(): Promise<void> {
    const asked = this.renderRoot.querySelector<HTMLElement>('[aria-expanded=true]')
    this.naming = null
    await this.updateComplete
    asked?.focus()
  }

  #left(member: MemberRow, left: Left | null) {
    const { identity } = member
    const name = nameOf(member)
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
    const name = this.asked === null ? '' : nameOf(this.asked)
    const role = this.asked?.role ?? ''
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

/** What we call somebody goes before what they call themselves: that can be anything. */
function nameOf({ petname, name }: MemberRow): string {
  return petname ?? name
}

function ownName({ petname, name, hue }: MemberRow) {
  if (petname === null || petname === name || hue === null) return nothing
  return html`<span class="faint">calls itself ${name}</span>`
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
