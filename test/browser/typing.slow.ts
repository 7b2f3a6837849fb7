/** Two people type at once in real pages, many times, each time differently. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startEditor } from '../../demo-editor/start.ts'
import { inBrowser } from '../support/browser.ts'
import { tempFolder } from '../support/devices.ts'
import { typeAtOnce } from '../support/typing.ts'

const SEEDS = Array.from({ length: 4 }, (_, i) => 1000 + i)

inBrowser(
  Object.fromEntries(
    SEEDS.map((seed) => [
      `typing: lose no letter, and come to one text (seed ${seed})`,
      async (window) => {
        const folder = await tempFolder()
        const editor = await startEditor({ storage: folder.path })
        try {
          await typeAtOnce(editor, window, {
            seed,
            steps: 120,
            pause: 60,
            cut: 8,
            reload: 4,
            kill: 2
          })
          // A browser itself tells of each attempt to reach a device that is not running.
          const complaints = window.complaints.filter((text) => !text.startsWith('WebSocket'))
          assert.equal(complaints, [])
        } finally {
          await editor.close()
          await folder.remove()
        }
      }
    ])
  )
)

test.run()
