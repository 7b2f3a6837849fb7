/** What is larger than usual, pasted into the editor's page: it arrives, or the person is told what to do, and nothing is lost. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inBrowser, type TestWindow } from '../support/browser.ts'
import { until } from '../support/devices.ts'
import { EditorView, sharedEditor } from '../support/editor.ts'

const editor = sharedEditor()

const openBoth = async (window: TestWindow) => {
  const [ann, ben] = editor.current.devices
  return [await EditorView.open(window, ann.url), await EditorView.open(window, ben.url)] as const
}

/** As a paste by a person: a browser under test has no clipboard. */
async function paste(view: EditorView, piece: string, times: number): Promise<void> {
  await view.content.evaluate(
    (content: { dispatchEvent(event: unknown): void }, { text, count }) => {
      const { DataTransfer, ClipboardEvent } = globalThis as unknown as Clipboard
      const clipboardData = new DataTransfer()
      clipboardData.setData('text/plain', text.repeat(count))
      content.dispatchEvent(
        new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })
      )
    },
    { text: piece, count: times }
  )
}

interface Clipboard {
  readonly DataTransfer: new () => { setData(type: string, text: string): void }
  readonly ClipboardEvent: new (type: string, options: unknown) => unknown
}

inBrowser({
  async 'large: a paste of 2 MB arrives on the other device, one that is too large is refused, and says so'(
    window
  ) {
    const [ann, ben] = await openBoth(window)
    await ann.create('Large')
    await ben.choose('Large')
    const line = 'twenty bytes in line\n'
    const size = 100_000
    await paste(ann, line, size)
    await ann.until(/Saved/, { timeout: 60_000 })
    await until(async () => (await ben.text()).length === line.length * size, { timeout: 60_000 })
    await paste(ann, '\u6f22'.repeat(40) + '\n', 560_000)
    const alert = ann.root.getByRole('alert')
    await alert.filter({ hasText: /Nothing was inserted: the text would take \d+ MB/ }).waitFor()
    assert.is((await ann.text()).length, line.length * size)
    await ann.content.click()
    await ann.page.keyboard.type('!')
    await until(async () => (await ben.text()).length === line.length * size + 1)
    assert.equal(window.complaints, [])
  },

  async 'large: a page that has more to say than its device takes is told what to do'(window) {
    let isRefusing = false
    await window.context.routeWebSocket(/socket/, (page) => {
      const device = page.connectToServer()
      page.onMessage((message) => {
        if (isRefusing && typeof message !== 'string') void page.close({ code: 1009 })
        else device.send(message)
      })
    })
    const ann = await EditorView.open(window, editor.current.devices[0].url)
    await ann.create('Too much')
    isRefusing = true
    await ann.type('kept')
    const alert = ann.root.getByRole('alert')
    await alert.filter({ hasText: /more than its device takes at once\s+\(128 MB\)/ }).waitFor()
    assert.is(await ann.text(), 'kept')
    isRefusing = false
    await ann.until(/Saved/)
  }
})

test.run()
