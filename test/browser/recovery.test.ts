/** How a person comes into a notebook, locks a device, and comes back where all devices are lost, in a real browser. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser } from '../support/browser.ts'
import { EditorView, sharedEditor, withGuest } from '../support/editor.ts'

const editor = sharedEditor()

inBrowser({
  async 'editor: a third device comes in by a link that is pasted into its page, and gets a petname; the link serves once'(
    window
  ) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('Shared')
    await ann.type('by Ann')
    await ann.root.getByRole('button', { name: 'People' }).press('Enter')
    await ann.root.getByRole('button', { name: 'Make a link' }).press('Enter')
    const link = await ann.root.getByRole('textbox', { name: 'The link' }).inputValue()
    await withGuest(window, editor.current, 'Cid', null, async (page) => {
      const { keyboard } = page
      await page.locator('arrival-card input:focus').waitFor()
      await keyboard.type(link.slice(0, -1))
      await keyboard.press('Enter')
      await page.getByRole('alert').filter({ hasText: 'Copy the whole invite again' }).waitFor()
      await keyboard.type(link.slice(-1))
      await keyboard.press('Enter')
      const cid = new EditorView(page)
      await cid.choose('Shared')
      await cid.reads('by Ann')
      await cid.type(' and Cid')
      await ann.root.getByRole('button', { name: 'Call Cid something else' }).press('Enter')
      await ann.root.locator('.naming input:focus').waitFor()
      await ann.page.keyboard.type('Cousin')
      await ann.page.keyboard.press('Enter')
      const row = ann.root.getByRole('listitem').filter({ hasText: 'Cousin' })
      await row.getByText('calls itself Cid').waitFor()
      await ann.root.getByRole('button', { name: 'Close' }).press('Enter')
      await ann.reads('by Ann and Cid')
    })
    await withGuest(window, editor.current, 'Dan', link, async (page) => {
      await page.getByRole('alert').filter({ hasText: 'used up' }).waitFor()
    })
    assert.equal(window.complaints, [])
    assert.equal(window.foreign, [])
  },

  async 'editor: the words are shown, hidden, checked and printed; a device is locked, and says so until it hears its passphrase'(
    window
  ) {
    const ben = await EditorView.open(window, editor.current.devices[1].url)
    const { page, root } = ben
    await ben.create('Secret')
    await ben.type('nobody sees this')
    await ben.until(/Saved/)
    await root.getByRole('button', { name: 'Recovery' }).press('Enter')
    const panel = root.locator('recovery-panel')
    await panel.locator('header button:focus').waitFor()
    assert.is(await panel.getByRole('list').count(), 0, 'nothing is shown unasked')
    await panel.getByRole('button', { name: 'Show the words' }).press('Enter')
    const items = panel.getByRole('list', { name: 'The words' }).locator('li')
    await items.nth(23).waitFor()
    const words = await items.allInnerTexts()
    assert.is(words.length, 24)
    await panel.getByRole('button', { name: 'Print…' }).press('Enter')
    const sheet = page.frameLocator('iframe')
    await sheet.getByRole('heading', { name: 'Recovery phrase' }).waitFor()
    await sheet
      .getByText(words[23] ?? '?', { exact: true })
      .first()
      .waitFor()
    await page.keyboard.press('Escape')
    await page.locator('iframe').waitFor({ state: 'detached' })
    await panel.getByRole('button', { name: 'Hide' }).press('Enter')
    assert.is(await panel.getByRole('list').count(), 0)
    const field = panel.getByRole('textbox', { name: 'The words; or shares' })
    await field.fill(words.join(' '))
    await panel.getByRole('button', { name: 'Check' }).press('Enter')
    await panel.getByText('with this you come back').waitFor()
    assert.is(await field.inputValue(), '')

    for (const name of ['New passphrase', 'Again'])
      await panel.getByRole('textbox', { name }).fill('correct horse')
    await panel.getByRole('button', { name: 'Set' }).press('Enter')
    await panel.getByRole('button', { name: 'Lock this device' }).press('Enter')
    await root.getByRole('heading', { name: 'Ben is locked' }).waitFor()
    await page.locator('lock-screen input:focus').waitFor()
    for (const text of ['Secret', 'nobody sees this'])
      assert.is(await root.getByText(text).count(), 0)
    await page.keyboard.type('wrong horse')
    await page.keyboard.press('Enter')
    await root.getByRole('alert').filter({ hasText: 'The passphrase is wrong' }).waitFor()
    await page.keyboard.type('correct horse')
    await page.keyboard.press('Enter')
    await ben.reads('nobody sees this')
    await ben.type('!')
    await ben.until(/In step.*\s*Saved/)
    assert.is(await root.locator('recovery-panel').count(), 0)
    assert.equal(window.complaints, [])
  },

  async 'editor: who has lost all devices comes back on a fresh one, with shares and the ticket'(
    window
  ) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    const { root } = ann
    await root.getByRole('button', { name: 'Recovery' }).press('Enter')
    await root.getByRole('button', { name: 'Split' }).press('Enter')
    const items = root.getByRole('list', { name: 'The shares' }).locator('li')
    await items.nth(4).waitFor()
    const shares = await items.allInnerTexts()
    assert.is(shares.length, 5)
    await root.getByRole('button', { name: 'Show the ticket' }).press('Enter')
    const ticket = await root.getByRole('textbox', { name: 'The ticket' }).inputValue()
    await withGuest(window, editor.current, 'Ann again', null, async (page) => {
      await page.getByText('All my devices are lost').press('Enter')
      const secret = page.getByRole('textbox', { name: 'Your 24 words' })
      await page.getByRole('textbox', { name: 'The notebook’s ticket' }).fill(ticket)
      await secret.fill(shares.slice(0, 2).join('\n'))
      await page.getByRole('button', { name: 'Come back' }).press('Enter')
      await page.getByRole('alert').filter({ hasText: '3 different shares are needed' }).waitFor()
      await secret.fill(shares.slice(2).join('\n'))
      await page.getByRole('button', { name: 'Come back' }).press('Enter')
      await page.locator('document-list').waitFor()
      // What was opened stays, and fills as more is known.
      await page.getByRole('button', { name: 'People', exact: true }).press('Enter')
      const own = page.getByRole('listitem').filter({ hasText: 'this device' })
      await own.getByText('Owner').waitFor({ timeout: 30_000 })
      await page.getByRole('button', { name: 'Make a link', exact: true }).waitFor()
    })
    // She was not lost: but the words say that she was.
    await root.getByText(/came to read|was removed from the notebook/).waitFor()
    assert.equal(window.complaints, [])
  }
})

test.run()
