/** The editor's page when its device is slow, or others are quick: nothing that a person does goes to another place than was meant. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser, type TestWindow } from '../support/browser.ts'
import { until } from '../support/devices.ts'
import { EditorView, sharedEditor } from '../support/editor.ts'

const editor = sharedEditor()

/** Between a page and its device: what the device says is let through, or kept until it is. */
class Gate {
  readonly #kept: (() => void)[] = []
  #isShut = false

  static async before(window: TestWindow): Promise<Gate> {
    const gate = new Gate()
    await window.context.routeWebSocket(/socket/, (page) => {
      page.connectToServer().onMessage((message) => gate.#pass(() => page.send(message)))
    })
    return gate
  }

  shut(): void {
    this.#isShut = true
  }

  open(): void {
    this.#isShut = false
    for (const say of this.#kept.splice(0)) say()
  }

  #pass(say: () => void): void {
    if (this.#isShut) this.#kept.push(say)
    else say()
  }
}

const openBoth = async (window: TestWindow) => {
  const [ann, ben] = editor.current.devices
  return [await EditorView.open(window, ann.url), await EditorView.open(window, ben.url)] as const
}

inBrowser({
  async 'slow device: a new document is named and written in before the device has answered'(
    window
  ) {
    const gate = await Gate.before(window)
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    const { keyboard } = ann.page
    gate.shut()
    await ann.newDocument.click()
    await keyboard.type('Plan')
    await keyboard.press('Enter')
    await keyboard.type('all of it')
    assert.is(await ann.text(), 'all of it')
    await ann.documents.filter({ hasText: 'Plan' }).waitFor()
    await ann.until(/Saving/)
    gate.open()
    await ann.until(/Saved/)
    await ann.page.reload()
    await ann.reads('all of it')
    assert.is(await ann.title.inputValue(), 'Plan')
    assert.equal(window.complaints, [])
  },

  async 'slow device: keys pressed before the list is there find it when it comes'(window) {
    const gate = await Gate.before(window)
    const { url } = editor.current.devices[0]
    await (await EditorView.open(window, url)).create('Any')
    gate.shut()
    const ann = new EditorView(await window.page(url))
    for (const key of ['F2', 'F6']) await ann.page.keyboard.press(key)
    gate.open()
    await ann.root.locator('document-list li button:focus').waitFor()
    assert.equal(window.complaints, [])
  },

  async 'slow device: the focus is not taken from who has gone elsewhere meanwhile'(window) {
    const gate = await Gate.before(window)
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('First')
    await ann.type('one')
    await ann.create('Second')
    await ann.until(/Saved/)
    gate.shut()
    await ann.documents.filter({ hasText: 'First' }).click()
    await ann.root.getByRole('status').filter({ hasText: 'Opening' }).waitFor()
    await ann.title.click()
    gate.open()
    await ann.reads('one')
    await ann.page.keyboard.press('End')
    await ann.page.keyboard.type(' of all')
    assert.is(await ann.title.inputValue(), 'First of all')
    assert.is(await ann.text(), 'one')
  },

  async 'quick others: a title that is being typed is not replaced, and settles it'(window) {
    const [ann, ben] = await openBoth(window)
    await ann.create('Draft')
    await ben.choose('Draft')
    await ann.title.click()
    await ann.page.keyboard.press('End')
    await ann.page.keyboard.type(' by Ann')
    await ben.rename('Renamed by Ben')
    await ann.documents.filter({ hasText: 'Renamed by Ben' }).waitFor()
    assert.is(await ann.title.inputValue(), 'Draft by Ann')
    await ann.page.keyboard.press('Enter')
    await ben.documents.filter({ hasText: 'Draft by Ann' }).waitFor()
    await until(async () => (await ben.title.inputValue()) === 'Draft by Ann')
  },

  async 'quick others: a title typed for one document is not shown at the next of the same name'(
    window
  ) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('Twin')
    await ann.create('Twin')
    await ann.title.fill('Not a twin')
    await ann.documents
      .filter({ hasText: 'Twin' })
      .and(ann.root.locator('[aria-current=false]'))
      .click()
    await ann.documents.filter({ hasText: 'Not a twin' }).waitFor()
    assert.is(await ann.title.inputValue(), 'Twin')
  },

  async 'quick others: a question about a document that is gone closes, and nothing else is deleted'(
    window
  ) {
    const [ann, ben] = await openBoth(window)
    await ann.create('0 stays')
    await ann.create('1 goes')
    await ben.choose('1 goes')
    const question = ann.root.getByRole('dialog')
    await ann.root.getByRole('button', { name: 'Delete' }).click()
    await question.waitFor()
    await ben.root.getByRole('button', { name: 'Delete' }).click()
    await ben.root.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await question.waitFor({ state: 'hidden' })
    await ann.documents.filter({ hasText: '1 goes' }).waitFor({ state: 'detached' })
    await ann.documents.filter({ hasText: '0 stays' }).waitFor()
    assert.equal(window.complaints, [])
  }
})

test.run()
