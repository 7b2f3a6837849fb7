/** The editor: one device's documents, in a page. */
import { css, html, LitElement, nothing } from 'lit'
import { query, state } from 'lit/decorators.js'
import type { DocumentRow } from '../protocol.ts'
import { ArrivalCard } from './arrival-card.ts'
import { AuthorLegend } from './author-legend.ts'
import { DeviceLink } from './device-link.ts'
import { DocumentList } from './document-list.ts'
import { HistoryPanel } from './history-panel.ts'
import { LinkController } from './link-controller.ts'
import { InviteCard } from './invite-card.ts'
import { KitSheet } from './kit-sheet.ts'
import { LockScreen } from './lock-screen.ts'
import { PairingCard } from './pairing-card.ts'
import { PairingQuestion } from './pairing-question.ts'
import { PassphraseCard } from './passphrase-card.ts'
import { PeoplePanel } from './people-panel.ts'
import { PhraseCard } from './phrase-card.ts'
import { RecoveryPanel } from './recovery-panel.ts'
import { ShownLink } from './shown-link.ts'
import { StatusLine } from './status-line.ts'
import { TextEditor } from './text-editor.ts'
import { hues, shared } from './theme.ts'
import { TitleBar, type Rename } from './title-bar.ts'

/** What stands behind # in the address: the token, and the document that is shown. */
const address = new URLSearchParams(location.hash.slice(1))

/** So much is told of what has left a text. */
const MAX_TOLD = 300

/** A failure is told for so long. */
const FAILURE_MS = 6000

type Panel = 'people' | 'recovery'

class EditorPage extends LitElement {
  static override readonly styles = [
    shared,
    ...hues,
    css`
      :host {
        display: grid;
        grid-template: 'header header' auto 'list main' 1fr / 15rem 1fr;
        height: 100dvh;
      }

      header {
        grid-area: header;
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem 1rem;
        align-items: center;
        padding: 0.5rem 1rem;
        border-bottom: 1px solid var(--line);
      }

      h1 {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        margin: 0;
        font-size: 1rem;
      }

      h1::before {
        content: '';
        width: 0.9rem;
        height: 0.9rem;
        border-radius: 50%;
        background: var(--hue);
      }

      status-line {
        margin-left: auto;
      }

      .menu {
        display: none;
      }

      document-list {
        grid-area: list;
        padding: 1rem 0.75rem;
        border-right: 1px solid var(--line);
      }

      main {
        grid-area: main;
        display: grid;
        grid-template: auto auto auto auto 1fr / minmax(0, 1fr);
        min-width: 0;
        min-height: 0;
        background: var(--paper);
      }

      text-editor,
      history-panel,
      people-panel,
      recovery-panel {
        grid-row: 5;
      }

      .removed {
        width: calc(100% - 2.5rem);
        max-width: 44rem;
        margin: 0.75rem auto 0;
        padding: 0.6rem 0.75rem;
        border-radius: 0.5rem;
        background: var(--warn-soft);
        color: var(--warn);
      }

      .front {
        grid-area: list / list / main / main;
        display: block;
        overflow: auto;
        background: var(--desk);
      }

      header button[aria-pressed='true'] {
        background: var(--accent-soft);
      }

      .left {
        display: flex;
        gap: 0.75rem;
        align-items: center;
        justify-content: space-between;
        width: calc(100% - 2.5rem);
        max-width: 44rem;
        margin: 0.5rem auto 0;
        padding: 0.5rem 0.75rem;
        border-radius: 0.5rem;
        background: var(--warn-soft);
        color: var(--warn);
        overflow-wrap: anywhere;
      }

      .left button {
        flex: none;
        color: var(--ink);
      }

      .note {
        align-self: center;
        grid-row: 5;
        max-width: 26rem;
        margin: 0 auto;
        padding: 1rem;
        text-align: center;
        color: var(--faint);
      }

      .failure {
        position: fixed;
        bottom: 1rem;
        left: 50%;
        translate: -50%;
        max-width: calc(100% - 2rem);
        padding: 0.5rem 1rem;
        border-radius: 0.5rem;
        background: var(--bad);
        color: var(--paper);
      }

      @media (max-width: 44rem) {
        :host {
          grid-template: 'header' auto 'list' auto 'main' 1fr / 1fr;
        }

        .menu {
          display: block;
        }

        document-list {
          border-right: none;
          border-bottom: 1px solid var(--line);
          max-height: 50dvh;
        }

        :host(:not([listing])) document-list {
          display: none;
        }
      }
    `
  ]

  readonly #link = new DeviceLink(address.get('token') ?? '')
  @state() accessor listing = false
  @state() accessor failure = ''
  /** What has left the text that is shown, as its author had no right to write it. */
  @state() accessor sealed = ''
  /** What is shown in the place of the text: who is in the notebook, or how this person comes back. */
  @state() accessor panel: Panel | null = null
  /** Who wrote what is shown. */
  @state() accessor authors = false
  /** The past of the document is shown. */
  @state() accessor past = false
  @query('document-list') private accessor list!: DocumentList
  @query('text-editor, history-panel, people-panel, recovery-panel')
  private accessor pane!: LitElement | null

  constructor() {
    super()
    new LinkController(this, this.#link)
    this.#link.on('failed', (message) => this.#fail(message))
    this.#link.on('sealed', (text) => (this.sealed += text))
    addEventListener('beforeunload', (event) => {
      if (this.#link.unsaved > 0 && !this.#link.isReadonly) event.preventDefault()
    })
    addEventListener('keydown', this.#onkey)
  }

  protected override willUpdate(): void {
    const { stage } = this.#link
    if (stage === 'locked' || stage === 'empty') this.panel = null
    // Where there is nothing to read yet, the way to make something is shown.
    this.toggleAttribute('listing', this.listing || this.#link.documents?.length === 0)
    this.#showSomething()
  }

  protected override render() {
    const { state, stage } = this.#link
    if (state === 'refused') return refused()
    if (stage === 'locked' || stage === 'empty') return this.#front(state !== 'open')
    return html`${this.#header()}${this.#notebook(state !== 'open')}${this.#failed()}`
  }

  /** Of a device that has no notebook to show. */
  #front(isAway: boolean) {
    const { name, hue, stage, arrival } = this.#link
    const front =
      stage === 'locked'
        ? html`<lock-screen .link=${this.#link} ?disabled=${isAway}></lock-screen>`
        : html`<arrival-card
            .link=${this.#link}
            .arrival=${arrival}
            ?disabled=${isAway}
          ></arrival-card>`
    return html`<header>
        <h1 class=${`hue-${hue}`}>${name}</h1>
        ${isAway ? html`<span class="badge">Not running</span>` : nothing}
      </header>
      <main class="front">${front}</main>
      ${this.#failed()}`
  }

  #header() {
    const { name, hue, state, shown, sync, unsaved, isRemoved } = this.#link
    return html`<header>
      <button
        class="menu"
        aria-expanded=${this.listing ? 'true' : 'false'}
        @click=${() => (this.listing = !this.listing)}
      >
        Documents
      </button>
      <h1 class=${`hue-${hue}`}>${name}</h1>
      ${this.#opener('people', 'People')} ${this.#opener('recovery', 'Recovery')}
      <status-line
        .device=${name}
        .state=${state}
        .sync=${sync}
        .unsaved=${unsaved}
        ?removed=${isRemoved}
        .hasDocument=${shown?.isLoaded ?? false}
      ></status-line>
    </header>`
  }

  #opener(panel: Panel, label: string) {
    return html`<button
      class="plain"
      aria-pressed=${this.panel === panel ? 'true' : 'false'}
      @click=${() => this.#toggle(panel)}
    >
      ${label}
    </button>`
  }

  #notebook(isAway: boolean) {
    const { shown, documents, isRemoved, isReadonly } = this.#link
    return html`<document-list
        .documents=${documents}
        .chosen=${shown?.id ?? null}
        ?readonly=${isReadonly}
        @choose=${(event: CustomEvent<string>) => this.#choose(event.detail)}
        @create=${() => this.#create()}
      ></document-list>
      <main>
        ${this.#pairing(isAway)} ${isRemoved ? removed() : nothing}
        ${isReadonly && !isRemoved ? reader() : nothing}
        ${this.panel === null ? this.#paper(isAway) : this.#panel(this.panel, isAway)}
      </main>`
  }

  /** Wherever the person is: somebody waits for an answer. */
  #pairing(isAway: boolean) {
    const { pairing } = this.#link
    if (pairing.step !== 'asking') return nothing
    return html`<pairing-question
      .name=${pairing.name}
      .code=${pairing.code}
      ?disabled=${isAway}
      @decide=${(event: CustomEvent<boolean>) => this.#decide(pairing.code, event.detail)}
    ></pairing-question>`
  }

  #failed() {
    return this.failure ? html`<div class="failure" role="alert">${this.failure}</div>` : nothing
  }

  #panel(panel: Panel, isDisabled: boolean) {
    if (panel === 'recovery')
      return html`<recovery-panel
        .link=${this.#link}
        .keys=${this.#link.keys}
        ?disabled=${isDisabled}
        @done=${() => this.#toggle(panel)}
      ></recovery-panel>`
    return html`<people-panel
      .link=${this.#link}
      .members=${this.#link.members}
      .pairing=${this.#link.pairing}
      ?mayAct=${!this.#link.isReadonly}
      ?disabled=${isDisabled}
      @done=${() => this.#toggle(panel)}
    ></people-panel>`
  }

  #paper(isAway: boolean) {
    const { isReadonly } = this.#link
    return html`<title-bar
        .row=${this.#row}
        ?disabled=${isAway}
        ?readonly=${isReadonly}
        ?authors=${this.authors}
        ?past=${this.past}
        @authors=${() => this.#toggleAuthors()}
        @history=${() => this.#togglePast()}
        @rename=${(event: CustomEvent<Rename>) => this.#link.rename(event.detail.id, event.detail.title)}
        @delete=${(event: CustomEvent<string>) => this.#link.delete(event.detail)}
        @done=${() => void this.#focusText()}
      ></title-bar>
      ${this.sealed ? this.#left() : nothing} ${this.#body()}`
  }

  #left() {
    const words =
      this.sealed.length > MAX_TOLD ? `${this.sealed.slice(0, MAX_TOLD)}…` : this.sealed.trim()
    return html`<div class="left" role="status">
      <span>
        This was written after its author had been removed, and has left the text:
        <q>${words}</q>
      </span>
      <button @click=${() => (this.sealed = '')}>Dismiss</button>
    </div>`
  }

  #body() {
    const { shown, documents } = this.#link
    if (shown?.isLoaded && this.past)
      return html`<history-panel
        .link=${this.#link}
        .document=${shown.id}
        ?readonly=${this.#link.isReadonly}
        @done=${() => this.#togglePast()}
      ></history-panel>`
    if (shown?.isLoaded)
      return html`<text-editor
        .document=${shown}
        .link=${this.#link}
        ?authors=${this.authors}
        ?readonly=${this.#link.isReadonly}
        @refuse=${(event: CustomEvent<string>) => this.#fail(event.detail)}
      ></text-editor>`
    if (shown !== null || documents === null)
      return html`<p class="note" role="status">Opening…</p>`
    return html`<p class="note">
      Nothing here yet. Make a new document: it appears on the other device as soon as the two are
      connected.
    </p>`
  }

  get #row(): DocumentRow | null {
    const id = this.#link.shown?.id
    return id === undefined ? null : this.#link.row(id)
  }

  /** The document of the address, or the first one; another one when it was deleted. */
  #showSomething(): void {
    const { documents } = this.#link
    if (documents === null || this.#row !== null) return
    const wanted = address.get('document')
    const isThere = wanted !== null && this.#link.row(wanted) !== null
    this.#show(isThere ? wanted : (documents[0]?.id ?? null))
  }

  /** In the past it is always shown: there it leads back. */
  #toggleAuthors(): void {
    this.authors = this.past || !this.authors
    this.past = false
  }

  #toggle(panel: Panel): void {
    this.panel = this.panel === panel ? null : panel
    if (this.panel === null) void this.#focusText()
    else void this.#focusOn(`${this.panel}-panel`, () => true)
  }

  /** What comes of it is told there. */
  #decide(code: string, isOurs: boolean): void {
    this.#link.decide(code, isOurs)
    this.panel = 'people'
    void this.#focusOn('people-panel', () => true)
  }

  #togglePast(): void {
    this.past = !this.past
    if (this.past) void this.#focusOn('history-panel', () => true)
    else void this.#focusText()
  }

  #show(id: string | null): void {
    if (id === (this.#link.shown?.id ?? null)) return
    this.past = false
    this.sealed = ''
    if (id === null) address.delete('document')
    else address.set('document', id)
    history.replaceState(null, '', `#${address}`)
    this.#link.show(id)
  }

  #choose(id: string): void {
    this.listing = false
    this.panel = null
    this.#show(id)
    void this.#focusText()
  }

  #create(): void {
    this.listing = false
    this.panel = null
    this.#show(this.#link.create('Untitled'))
    void this.#focusOn('title-bar', () => true)
  }

  async #focusText(): Promise<void> {
    await this.#focusOn('text-editor', () => this.#link.shown?.isLoaded ?? false)
  }

  /** Moves the focus once there is something to move it to. Who has gone elsewhere meanwhile is not fetched back. */
  async #focusOn(part: string, isThere: () => boolean): Promise<void> {
    const turn = ++this.#turn
    const from = focused()
    while (turn === this.#turn && !isThere())
      await new Promise<void>((resolve) => this.#link.once('change', resolve))
    await this.updateComplete
    const element = this.renderRoot.querySelector<LitElement>(part)
    await element?.updateComplete
    const now = focused()
    if (turn === this.#turn && (now === null || now === from)) element?.focus()
  }

  /** The last move of the focus that was asked for: the one that counts. */
  #turn = 0

  readonly #onkey = (event: KeyboardEvent): void => {
    const isCommand = event.ctrlKey || event.metaKey
    if (event.key === 'F2') void this.#focusOn('title-bar', () => true)
    else if (event.key === 'F6') this.#switchPane()
    else if (!(isCommand && event.key === 's')) return // there is nothing to save by hand
    event.preventDefault()
  }

  #switchPane(): void {
    const isInList =
      this.renderRoot instanceof ShadowRoot && this.renderRoot.activeElement === this.list
    if (isInList) {
      this.pane?.focus()
      return
    }
    this.listing = true
    void this.#focusOn('document-list', () => this.#link.documents !== null)
  }

  #fail(message: string): void {
    this.failure = message
    setTimeout(() => (this.failure = ''), FAILURE_MS)
  }
}

/** What has the focus, in whatever it is nested; null for nothing. */
function focused(): Element | null {
  let element = document.activeElement
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
  return element === document.body ? null : element
}

function removed() {
  return html`<p class="removed" role="status">
    <strong>This device was removed from the notebook.</strong> What is here can still be read.
    Nothing that is written here counts any more, and nothing new arrives.
  </p>`
}

function reader() {
  return html`<p class="removed" role="status">
    <strong>This device came to read.</strong> Nothing can be written here.
  </p>`
}

function refused() {
  return html`<main>
    <p class="note" role="alert">
      This address is not valid (any more): each start makes new ones. Open an address that
      <code>npm start</code> has printed.
    </p>
  </main>`
}

// Here and not beside each class: a bundler may drop modules that are imported for their effects alone.
customElements.define('arrival-card', ArrivalCard)
customElements.define('author-legend', AuthorLegend)
customElements.define('document-list', DocumentList)
customElements.define('history-panel', HistoryPanel)
customElements.define('invite-card', InviteCard)
customElements.define('kit-sheet', KitSheet)
customElements.define('lock-screen', LockScreen)
customElements.define('pairing-card', PairingCard)
customElements.define('pairing-question', PairingQuestion)
customElements.define('passphrase-card', PassphraseCard)
customElements.define('people-panel', PeoplePanel)
customElements.define('phrase-card', PhraseCard)
customElements.define('recovery-panel', RecoveryPanel)
customElements.define('shown-link', ShownLink)
customElements.define('status-line', StatusLine)
customElements.define('text-editor', TextEditor)
customElements.define('title-bar', TitleBar)
customElements.define('editor-page', EditorPage)
document.body.append(document.createElement('editor-page'))
