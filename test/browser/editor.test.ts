/** The editor in a real browser: what a person sees and does on two devices, and what nobody else can do. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser } from '../support/browser.ts'
import { until } from '../support/devices.ts'
import { EditorView, sharedEditor, textsIn } from '../support/editor.ts'

const editor = sharedEditor()

inBrowser({
  async 'editor: two devices side by side write with the cable cut, and converge when it is healed'(
    window
  ) {
    const page = await window.page(editor.current.url)
    const side = (name: string) =>
      new EditorView(page, page.frameLocator(`iframe[title="${name}"]`))
    const [ann, ben] = [side('Ann'), side('Ben')]
    // In panes this narrow the list is behind a button.
    await ann.root.getByRole('button', { name: 'Documents' }).click()
    await ann.create('Walk')
    await ann.type('middle')
    await ben.reads('middle')
    // The name of who writes there stands at the caret.
    await ben.root.locator('.remote-name', { hasText: 'Ann' }).waitFor()

    await page.getByRole('button', { name: 'Cut the cable' }).click()
    await ann.until(/Offline/)
    await ben.root.locator('.remote-name').waitFor({ state: 'detached' })
    await ann.type('start ', 'Home')
    await ben.type(' end')
    await ann.rename('Walk by Ann')
    await ben.rename('Walk by Ben')
    await ben.until(/Offline\s+\d+ changes to send\s+Saved/)
    assert.is(await ann.text(), 'start middle')
    assert.is(await ben.text(), 'middle end')

    await page.getByRole('button', { name: 'Heal the cable' }).click()
    await ann.reads('start middle end')
    await ben.reads('start middle end')
    const titles = ben.root.getByRole('group', { name: 'Titles given at the same time' })
    await titles.getByRole('button', { name: 'Walk by Ann' }).click()
    await until(async () => (await ann.title.inputValue()) === 'Walk by Ann')
    await titles.waitFor({ state: 'detached' })
    await Promise.all([ann.until(/In step/), ben.until(/In step/)])

    assert.equal(window.complaints, [], 'no console errors, nothing refused by the policy')
    assert.equal(window.foreign, [], 'nothing from outside')
  },

  async 'editor: the keyboard alone makes, names, writes, undoes, chooses and deletes'(window) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    const { keyboard } = ann.page
    // Keys go to what has the focus, and a page takes its time to move it: whoever looks waits for it too.
    const isIn = (part: string) => ann.root.locator(`${part}:focus`).waitFor()
    const newDocument = async () => {
      await keyboard.press('F6')
      await isIn('document-list li button')
      await keyboard.press('Shift+Tab')
      await keyboard.press('Enter')
      await titleIs('Untitled')
      await isIn('title-bar input')
    }
    const titleIs = (title: string) => until(async () => (await ann.title.inputValue()) === title)
    // The list stands in the page before the device has said what is in it.
    await ann.documents.first().waitFor()
    await newDocument()
    await keyboard.type('1 first')
    await keyboard.press('Enter')
    await isIn('.cm-content')
    await keyboard.type('one')
    await newDocument()
    await keyboard.type('never mind')
    await keyboard.press('Escape')
    await titleIs('Untitled')
    await keyboard.press('F2')
    await isIn('title-bar input')
    await keyboard.type('2 second')
    await keyboard.press('Enter')
    await ann.documents.filter({ hasText: '2 second' }).waitFor()
    await isIn('.cm-content')
    await keyboard.type('two')
    await keyboard.press('Control+z')
    await ann.reads('')
    await keyboard.press('F6')
    await isIn('document-list li button')
    await keyboard.press('ArrowUp')
    await keyboard.press('Enter')
    await ann.reads('one')
    await isIn('.cm-content')
    // Tab is no prison: backwards from the text are the button that deletes, and the title.
    await keyboard.press('Shift+Tab')
    await keyboard.press('Enter')
    await keyboard.press('Tab')
    await keyboard.press('Enter')
    await ann.documents.filter({ hasText: '1 first' }).waitFor({ state: 'detached' })
    await ann.documents.filter({ hasText: '2 second' }).waitFor()
    assert.equal(window.complaints, [])
  },

  async 'editor: the past is looked at, played, compared with now and brought back, with the keyboard'(
    window
  ) {
    const { devices } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    await ann.create('Past')
    await ann.type('one two')
    await ben.choose('Past')
    await ben.reads('one two')
    await ben.type(' three')
    await ann.reads('one two three')
    await ann.type('zero ', 'Home')
    await ann.until(/Saved/)

    const panel = ann.root.locator('history-panel')
    const { keyboard } = ann.page
    const shows = (what: 'ins' | 'del', text: string) =>
      panel.locator(what).filter({ hasText: text }).waitFor()
    await ann.root.getByRole('button', { name: 'History' }).press('Enter')
    await ann.root.locator('history-panel input[type=range]:focus').waitFor()
    await shows('ins', 'zero')
    await keyboard.press('ArrowLeft')
    await panel.getByText('Ben').waitFor()
    await shows('ins', 'three')
    await panel.getByRole('button', { name: 'Play' }).press('Enter')
    await shows('ins', 'zero')
    await panel.getByRole('slider').press('Home')
    await panel.getByText('1 of 3').waitFor()
    await panel.getByRole('checkbox', { name: 'Compare with now' }).press('Space')
    await shows('ins', 'zero')
    await shows('ins', 'three')
    await panel.getByRole('button', { name: 'Restore' }).press('Enter')
    await ann.reads('one two')
    await ben.reads('one two')
    await ann.root.getByRole('button', { name: 'History' }).press('Enter')
    await shows('del', 'three')
    await keyboard.press('Escape')
    await panel.waitFor({ state: 'detached' })
    assert.equal(window.complaints, [])
  },

  async 'editor: what others write is shown as text, whatever it is'(window) {
    const { devices } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    const title = '<img src=x onerror=alert(1)>'
    await ann.create(title)
    await ben.choose(title)
    await ben.content.click()
    await ben.page.keyboard.insertText(
      '<b>one</b>\ntwo \u202e \u0000 \u{1f469}\u200d\u{1f680}\r\nend'
    )
    await ann.type('!')
    await until(async () => (await ann.text()).endsWith('end!'))
    await ben.reads(await ann.text())
    assert.is(await ben.title.inputValue(), title)
    assert.equal(window.complaints, [])
  },

  async 'editor: the page is not blank and fits, wide and narrow, light and dark'(window) {
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('A title that is longer than a narrow page is wide, and then some')
    await ann.type('Some words. '.repeat(20))
    const blank = await window.page('about:blank')
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1280, 400]) {
        const size = { width, height: 700 }
        for (const page of [ann.page, blank]) {
          await page.emulateMedia({ colorScheme })
          await page.setViewportSize(size)
        }
        for (const part of [ann.title, ann.content, ann.status]) {
          const box = await part.boundingBox()
          assert.ok(box !== null && box.x >= 0 && box.x + box.width <= width, `${width}`)
        }
        const [shown, empty] = await Promise.all([ann.page.screenshot(), blank.screenshot()])
        assert.ok(shown.length > 4 * empty.length, `${shown.length} bytes, blank ${empty.length}`)
      }
    }
    assert.equal(window.complaints, [])
  },

  async 'editor: a wrong token shows a clear page, and nothing of the documents'(window) {
    const { devices, url: both } = editor.current
    for (const url of [devices[0].url, both]) {
      for (const hash of ['#token=wrong', '']) {
        const page = await window.page(new URL(`/${hash}`, url).href)
        await page.getByRole('alert').filter({ hasText: 'This address is not valid' }).waitFor()
        assert.is(await page.locator('button, input, iframe').count(), 0)
        await page.close()
      }
    }
  },

  async 'editor: a page of another origin gets no connection, though it knows the token'(window) {
    const [ann, ben] = editor.current.devices
    const socket = `ws://${new URL(ann.url).host}/socket?token=${/token=(.*)/.exec(ann.url)?.[1]}`
    // A stranger's page would not have our policy; this one has it switched off.
    const page = await window.withoutPolicy(ben.url)
    const outcome = await page.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket('${socket}')
      socket.onmessage = () => resolve('heard something')
      socket.onclose = ({ code }) => resolve(code)
    })`)
    assert.is(outcome, 1006, 'refused before there was a connection')
  },

  async 'editor: what is typed while the device is dead is saved when it is back, and stored'(
    window
  ) {
    const { devices, stores, close } = editor.current
    const ann = await EditorView.open(window, devices[0].url)
    const ben = await EditorView.open(window, devices[1].url)
    await ann.create('Diary')
    await ann.type('before ')
    await ann.until(/Saved/)
    const { pid } = devices[0]
    assert.ok(pid)
    process.kill(pid, 'SIGKILL')
    await ann.until(/Ann is not running/)
    await ann.type('meanwhile')
    await ann.until(/9 edits kept in this page, not saved/)
    await ann.until(/Saved/)
    assert.is.not(devices[0].pid, pid)
    await ben.choose('Diary')
    await ben.reads('before meanwhile')
    await ann.page.reload()
    await ann.reads('before meanwhile')
    await close()
    for (const store of stores) assert.is((await textsIn(store))['Diary'], 'before meanwhile')
  }
})

test.run()
