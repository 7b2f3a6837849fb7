/** A second device of a person: by a link that one page shows, and six digits that both show, in a real browser. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser, type TestWindow } from '../support/browser.ts'
import { EditorView, sharedEditor, withGuest } from '../support/editor.ts'
import { readShown } from '../support/qr.ts'

const editor = sharedEditor()

/** Ann's page, with her people before her. */
async function openPeople(window: TestWindow): Promise<EditorView> {
  const ann = await EditorView.open(window, editor.current.devices[0].url)
  await ann.root.getByRole('button', { name: 'People' }).press('Enter')
  return ann
}

/** By the keyboard. @returns what is shown to be copied */
async function makeLink({ root, page }: EditorView): Promise<string> {
  await root.getByRole('button', { name: 'Add a device' }).press('Enter')
  await page.locator('pairing-card input:focus').waitFor()
  return root.locator('pairing-card').getByRole('textbox', { name: 'The link' }).inputValue()
}

inBrowser({
  async 'editor: a second device joins by the link of the first; both show the same digits, and once they are confirmed it has the documents'(
    window
  ) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('Mine')
    await ann.type('by Ann')
    await ann.until(/Saved/)
    await ann.root.getByRole('button', { name: 'People' }).press('Enter')
    const link = await makeLink(ann)
    assert.match(link, /^manyhands:\/\/device\/[a-z0-9]{85}$/)
    const code = ann.root.getByRole('img', { name: 'The link as a QR code' })
    assert.is(await readShown(await window.context.newPage(), code), link.toUpperCase())
    await withGuest(window, editor.current, 'Phone', null, async (page) => {
      await page.locator('arrival-card input:focus').waitFor()
      await page.keyboard.insertText(link)
      await page.keyboard.press('Enter')
      const shown = page.locator('arrival-card .code')
      const asked = ann.root.locator('pairing-question')
      await shown.waitFor()
      await asked.getByText('“Phone” wants to be a device of yours').waitFor()
      const digits = await shown.innerText()
      assert.match(digits, /^\d{3} \d{3}$/)
      assert.is(await asked.locator('.code').innerText(), digits)
      await ann.root.getByRole('button', { name: 'Close' }).press('Enter')
      assert.ok(await asked.isVisible(), 'it is asked wherever the person is')

      await asked.getByRole('button', { name: 'it is mine' }).press('Enter')
      await ann.root.getByText('“Phone” is a device of yours now').waitFor()
      await ann.page.locator('people-panel header button:focus').waitFor()
      const phone = new EditorView(page)
      await phone.choose('Mine')
      await phone.reads('by Ann')
      await phone.type(', twice')
      await ann.root.getByRole('button', { name: 'Close' }).press('Enter')
      await ann.choose('Mine')
      await ann.reads('by Ann, twice')
      await phone.root.getByRole('button', { name: 'People' }).press('Enter')
      const own = phone.root.getByRole('listitem').filter({ hasText: 'this device' })
      await own.getByText('Owner').waitFor()
    })
    assert.equal(window.complaints, [])
    assert.equal(window.foreign, [])
  },

  async 'editor: a device that the person turns away is told so, has nothing, and the link has ended'(
    window
  ) {
    const ann = await openPeople(window)
    const link = await makeLink(ann)
    await withGuest(window, editor.current, 'Thief', link, async (page) => {
      const asked = ann.root.locator('pairing-question')
      await asked.getByRole('button', { name: 'Turn it away' }).press('Enter')
      await ann.root.getByText('It was turned away').waitFor()
      await page
        .getByRole('alert')
        .filter({ hasText: 'was not confirmed where the link was made' })
        .waitFor()
      assert.is(await page.locator('document-list').count(), 0)
      await page.getByRole('textbox', { name: 'The link' }).fill(link)
      await page.getByRole('button', { name: 'Join' }).press('Enter')
      await page
        .getByRole('alert')
        .filter({ hasText: 'was not confirmed where the link was made' })
        .waitFor()
      assert.is(await asked.count(), 0)
    })
    assert.equal(window.complaints, [])
  },

  async 'editor: a link of one’s own that is mistyped, or was called off, is named, and the next one serves'(
    window
  ) {
    const ann = await openPeople(window)
    const ended = await makeLink(ann)
    await ann.root.getByRole('button', { name: 'Call off' }).press('Enter')
    const link = await makeLink(ann)
    await withGuest(window, editor.current, 'Tablet', null, async (page) => {
      const field = page.getByRole('textbox', { name: 'The link' })
      const refusals = [
        [link.slice(0, -1), 'Copy the whole link again'],
        [ended, 'has expired']
      ] as const
      for (const [text, words] of refusals) {
        await field.fill(text)
        await field.press('Enter')
        await page.getByRole('alert').filter({ hasText: words }).waitFor()
      }
      await field.fill(link)
      await field.press('Enter')
      await page.locator('arrival-card .code').waitFor()
      await ann.root.getByRole('button', { name: 'it is mine' }).press('Enter')
      await page.locator('document-list').waitFor()
    })
    assert.equal(window.complaints, [])
  }
})

test.run()
