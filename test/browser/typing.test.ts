/** Two people type at once in real pages, for some seconds. The long run is typing.slow.ts. */
import { test } from 'uvu'
import { inBrowser } from '../support/browser.ts'
import { sharedEditor } from '../support/editor.ts'
import { typeAtOnce } from '../support/typing.ts'

const editor = sharedEditor()

inBrowser({
  'typing: cuts, reloads and a killed device lose no letter, and all come to one text': (window) =>
    typeAtOnce(editor.current, window, {
      seed: 7,
      steps: 20,
      pause: 20,
      cut: 20,
      reload: 10,
      kill: 5
    })
})

test.run()
