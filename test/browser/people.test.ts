/** Who wrote what, and who is in the notebook, as a person sees it in a real browser. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser } from '../support/browser.ts'
import { until } from '../support/devices.ts'
import { EditorView, sharedEditor } from '../support/editor.ts'
import { readShown } from '../support/qr.ts'

const editor = sharedEditor()

inBrowser({
  async 'editor: a text is shaded by who wrote it, also as it changes, and the legend names them'(
    window
  ) {
    const { devices } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    await ann.create('Shades')
    await ann.type('by Ann, ')
    await ben.choose('Shades')
    await ben.reads('by Ann, ')
    await ben.type('by Ben')
    await ann.reads('by Ann, by Ben')
    const { keyboard } = ann.page
    // A minute may end in the middle of what somebody types: then it is shaded in two pieces.
    const shade = (hue: number, text: string) =>
      until(async () =>
        (await ann.root.locator(`.author.hue-${hue}`).allTextContents()).join('').includes(text)
      )
    await ann.root.getByRole('button', { name: 'Authors' }).press('Enter')
    await shade(0, 'by Ann, ')
    await shade(1, 'by Ben')
    const legend = ann.root.locator('author-legend')
    await legend.getByText(/Ann \d+ %/).waitFor()
    await ann.content.click()
    await keyboard.press('Control+End')
    await legend.getByText('At the caret: Ben').waitFor()
    await keyboard.press('Control+Home')
    await legend.getByText('At the caret').waitFor({ state: 'detached' })
    await keyboard.type('again ')
    await shade(0, 'again ') // apart from what was written in an earlier minute
    await ann.root.getByRole('button', { name: 'Authors' }).press('Enter')
    await legend.waitFor({ state: 'detached' })
    await ann.reads('again by Ann, by Ben')
    assert.equal(window.complaints, [])
  },

  async 'editor: an owner makes a link and its QR code; who only writes is not offered it'(window) {
    const { devices } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    for (const { root } of [ann, ben])
      await root.getByRole('button', { name: 'People' }).press('Enter')
    const card = ann.root.locator('invite-card')
    await card.getByRole('combobox').selectOption('reader')
    await card.getByRole('button', { name: 'Make a link' }).press('Enter')
    const link = await card.getByRole('textbox', { name: 'The link' }).inputValue()
    assert.match(link, /^manyhands:\/\/join\/[a-z0-9]{111}$/)
    const code = card.getByRole('img', { name: 'The link as a QR code' })
    await code.waitFor()
    assert.is(await readShown(await window.context.newPage(), code), link.toUpperCase())
    await ben.root.locator('people-panel').getByText('this device').waitFor()
    assert.is(await ben.root.locator('invite-card').count(), 0)
    assert.equal(window.complaints, [])
  },

  async 'editor: who is in is shown, and removed by the keyboard; the page of who was removed says so, and only reads'(
    window
  ) {
    const { devices, cable } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    await ben.create('Mine')
    await ben.type('by Ben')
    await ben.until(/Saved/)
    const { keyboard } = ann.page
    const panel = ann.root.locator('people-panel')
    const row = panel.getByRole('listitem').filter({ hasText: 'Ben' })
    await ann.root.getByRole('button', { name: 'People' }).press('Enter')
    await panel.locator('button:focus', { hasText: 'Close' }).waitFor()
    await panel.getByText('this device').waitFor()
    await row.getByText('connected').waitFor()

    cable.cut()
    await ben.until(/Offline/)
    await ben.type(', late')
    await ben.until(/Saved/)
    const ask = row.getByRole('button', { name: 'Remove' })
    const question = panel.getByRole('dialog', { name: 'Remove from the notebook' })
    await ask.press('Enter')
    await question.waitFor()
    await keyboard.press('Escape')
    await question.waitFor({ state: 'hidden' })
    await ask.press('Enter')
    await question.waitFor()
    await keyboard.press('Tab')
    await question.locator('button.primary:focus').waitFor()
    await keyboard.press('Enter')
    await row.getByText('removed', { exact: true }).waitFor()
    await row.getByText('last seen').waitFor()
    cable.heal()

    await ben.root.getByText('This device was removed from the notebook').waitFor()
    await ben.until(/Removed/)
    await ben.root.getByRole('status').filter({ hasText: ', late' }).waitFor()
    await ben.reads('by Ben')
    await ben.type('more')
    await ben.page.keyboard.press('Control+z')
    assert.is(await ben.text(), 'by Ben')
    assert.not.match(await ben.status.innerText(), /Saving/)
    await ben.root.getByRole('button', { name: 'People' }).press('Enter')
    await ben.root.locator('people-panel').getByText('Left the view').waitFor()
    assert.is(await ben.root.getByRole('button', { name: 'Remove…' }).count(), 0)
    await keyboard.press('Escape')
    await panel.waitFor({ state: 'detached' })
    assert.equal(window.complaints, [])
  }
})

test.run()
