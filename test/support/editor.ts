/** The demo editor as a person uses it: what they see of a page, and what they press. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FrameLocator, Page } from 'playwright-core'
import { startEditor, startGuest, type Editor } from '../../demo-editor/start.ts'
import { openDevice } from '../../index.ts'
import { tempFolder, until, type TempFolder } from './devices.ts'
import type { TestWindow } from './browser.ts'

const PATIENCE = { timeout: 15_000 }

/** One editor for all tests of a file, with stores in a folder of its own. */
export function sharedEditor(): { readonly current: Editor } {
  let folder: TempFolder | null = null
  let editor: Editor | null = null
  test.before(async () => {
    folder = await tempFolder()
    editor = await startEditor({
      storage: folder.path,
      neighbourhood: join(folder.path, 'neighbours')
    })
  })
  test.after(async () => {
    await editor?.close()
    await folder?.remove()
  })
  return {
    get current() {
      if (editor === null) throw new Error('The editor did not start')
      return editor
    }
  }
}

/** One more device, which meets the first of an editor, with its page. @param link that it is started with */
export async function withGuest(
  window: TestWindow,
  { neighbourhood }: Editor,
  name: string,
  link: string | null,
  body: (page: Page) => Promise<void>
): Promise<void> {
  const folder = await tempFolder()
  const guest = await startGuest({ storage: folder.path, name, link, neighbourhood })
  try {
    const page = await window.page(guest.device.url)
    await body(page)
    await page.close()
  } finally {
    await guest.close()
    await folder.remove()
  }
}

/** One device's page. */
export class EditorView {
  readonly page: Page
  /** Where it is: a page of its own, or a frame of the one with the cable. */
  readonly #root: Page | FrameLocator

  static async open(window: TestWindow, url: string): Promise<EditorView> {
    const view = new EditorView(await window.page(url))
    await view.until(/Offline|step|Sending/)
    return view
  }

  constructor(page: Page, root: Page | FrameLocator = page) {
    this.page = page
    this.#root = root
  }

  get newDocument() {
    return this.#root.getByRole('button', { name: 'New document' })
  }

  get title() {
    return this.#root.getByRole('textbox', { name: 'Title' })
  }

  /** Where a person writes. */
  get content() {
    return this.#root.locator('.cm-content')
  }

  /** What the page says of the connection and of what is saved. */
  get status() {
    return this.#root.locator('status-line')
  }

  get documents() {
    return this.#root.locator('document-list li button')
  }

  get root() {
    return this.#root
  }

  /** The whole text, also what is scrolled out of view. */
  text(): Promise<string> {
    return this.#root
      .locator('text-editor')
      .evaluate((editor: { readonly text: string }) => editor.text)
  }

  async create(title: string): Promise<void> {
    await this.newDocument.click()
    await this.until(/Saved/)
    await this.rename(title)
  }

  async rename(title: string): Promise<void> {
    await this.title.fill(title)
    await this.title.press('Enter')
  }

  async choose(title: string): Promise<void> {
    await this.documents.filter({ hasText: title }).click()
    await this.content.waitFor()
  }

  async type(text: string, at: 'Home' | 'End' = 'End'): Promise<void> {
    await this.content.click()
    await this.page.keyboard.press(`Control+${at}`)
    await this.page.keyboard.type(text)
  }

  /** Waits for words in the status line. */
  async until(words: RegExp, options: { readonly timeout?: number } = {}): Promise<void> {
    await this.status.filter({ hasText: words }).waitFor(options)
  }

  async reads(text: string): Promise<void> {
    await until(async () => (await this.text()) === text, PATIENCE).catch(() => {})
    assert.is(await this.text(), text)
  }
}

/** What a store says of every document, by its title. The editor must be closed. */
export async function textsIn(storage: string): Promise<Record<string, string>> {
  await using device = await openDevice({ storage })
  const [known] = device.spaces()
  if (known === undefined) throw new Error('The store has no space')
  const { documents } = await device.openSpace(known.address)
  const texts: Record<string, string> = {}
  for await (const { id, metadata } of documents.list()) {
    await using document = await documents.open(id)
    texts[typeof metadata['title'] === 'string' ? metadata['title'] : ''] = document.doc
      .getText('text')
      .toJSON()
  }
  return texts
}
