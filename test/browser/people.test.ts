/** Who wrote what, and who is in the notebook, as a person sees it in a real browser. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser } from '../support/browser.ts'
import { EditorView, sharedEditor } from '../support/editor.ts'

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
    const shade = (hue: number, text: string) =>
      ann.root.locator(`.author.hue-${hue}`).filter({ hasText: text }).waitFor()
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
    await shade(0, 'again by Ann, ')
    await ann.root.getByRole('button', { name: 'Authors' }).press('Enter')
    await legend.waitFor({ state: 'detached' })
    await ann.reads('again by Ann, by Ben')
    assert.equal(window.complaints, [])
  }
})

test.run()
