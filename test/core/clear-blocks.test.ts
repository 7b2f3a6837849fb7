/** Clearing blocks: whatever goes, every block that stays can still be proved to others. */
import b4a from 'b4a'
import Corestore from 'corestore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KnownNodes } from '../../core/native/backup/known-nodes.ts'
import { clearBlocks } from '../../core/tree/clear-blocks.ts'
import { tempFolder } from '../support/devices.ts'

test('after clearing any range, each other block is proved to a reader that knows nothing or something', async () => {
  const temp = await tempFolder()
  const corestore = new Corestore(temp.path)
  for (const [length, start, end] of [
    [8, 3, 4],
    [8, 5, 6],
    [8, 1, 5],
    [13, 7, 12],
    [13, 12, 13]
  ] as const) {
    const core = corestore.get({ name: `${length}-${start}-${end}` })
    await core.ready()
    await core.append(Array.from({ length }, (_, i) => b4a.from(`block ${i}`)))
    await clearBlocks(core, start, end)
    const known = new KnownNodes(length)
    for (let index = 0; index < length; index++) {
      if (index >= start && index < end) continue
      for (const nodes of [0, known.take(index)]) {
        const { block } = await core.proof({ block: { index, nodes } })
        assert.is(b4a.toString(block?.value ?? b4a.alloc(0)), `block ${index}`)
      }
    }
    assert.is(await core.has(start, end), false)
    await core.close()
  }
  await corestore.close()
  await temp.remove()
})

test.run()
