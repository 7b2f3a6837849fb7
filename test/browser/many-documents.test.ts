/** A notebook of ten thousand documents, in a page. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startEditor } from '../../demo-editor/start.ts'
import { openDevice } from '../../index.ts'
import { inBrowser } from '../support/browser.ts'
import { tempFolder } from '../support/devices.ts'
import { EditorView } from '../support/editor.ts'

const COUNT = 10_000

async function fill(storage: string): Promise<void> {
  await using device = await openDevice({ storage })
  const { documents } = await device.createSpace({ open: true })
  const titles = Array.from({ length: COUNT }, (_, i) => `Note ${String(i).padStart(5, '0')}`)
  await Promise.all(
    titles.map((title) => documents.metadata.put(title.replace(' ', '-'), { title }))
  )
}

inBrowser({
  async 'many documents: a page holds the rows in sight, and finds, reaches and renames the others'(
    window
  ) {
    const folder = await tempFolder()
    await fill(join(folder.path, 'ann'))
    const editor = await startEditor({ storage: folder.path })
    try {
      const ann = await EditorView.open(window, editor.devices[0].url)
      const row = (title: string) => ann.documents.filter({ hasText: title })
      const isIn = (title: string) =>
        ann.root.locator('li button:focus', { hasText: title }).waitFor()
      await row('Note 00000').waitFor()
      assert.ok((await ann.documents.count()) < 100)

      // By the keyboard, around the end; the row behind the last one in sight comes into sight.
      await ann.content.click()
      await ann.page.keyboard.press('F6')
      await isIn('Note 00000')
      await ann.page.keyboard.press('ArrowUp')
      await isIn('Note 09999')
      await ann.page.keyboard.press('Enter')
      await ann.root.locator('.cm-content:focus').waitFor()
      assert.is(await ann.title.inputValue(), 'Note 09999')

      await ann.root.locator('document-list ul').evaluate((list: { scrollTop: number }) => {
        list.scrollTop = 0
      })
      await row('Note 00000').waitFor()
      const find = ann.root.getByRole('searchbox', { name: 'Find a document' })
      await find.fill('note 0432')
      await row('Note 04329').waitFor()
      assert.is(await ann.documents.count(), 10)
      await find.press('ArrowDown')
      await isIn('Note 04320')
      await find.fill('nowhere')
      await ann.root.getByText('No title has that in it.').waitFor()
      await find.fill('')

      // What is renamed moves in the list, and is followed there.
      await ann.rename('Note 05000 and more')
      await row('Note 05000 and more').waitFor()
      const ben = await EditorView.open(window, editor.devices[1].url)
      await ben.root.getByRole('searchbox').fill('and more')
      await ben.documents.filter({ hasText: 'Note 05000 and more' }).waitFor()
      assert.equal(window.complaints, [])
    } finally {
      await editor.close()
      await folder.remove()
    }
  }
})

test.run()
