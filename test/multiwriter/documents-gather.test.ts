/** When what is typed is written. The clock of the timers stands still, unless a test moves it. */
import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { tempFolder } from '../support/devices.ts'
import { type } from '../support/documents.ts'

test('what is typed after a rest is written at once, and what comes soon after it gathers into one entry', async () => {
  const folder = await tempFolder()
  const device = await openDevice({ storage: folder.path })
  const space = await device.createSpace()
  const live = await space.documents.open('a')
  const saved = async () => {
    while (live.status.unsaved > 0) await setImmediate()
  }
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    type(live, 'a')
    await saved() // no timer has run
    const before = ownLength()
    type(live, 'b')
    await setImmediate()
    type(live, 'c')
    for (let i = 0; i < 100; i++) await setImmediate()
    assert.is(live.status.unsaved, 2, 'they wait for the end of the rest')
    assert.is(ownLength(), before)
    mock.timers.tick(5)
    await saved()
    assert.is(ownLength(), before + 1)
    type(live, 'd')
    await live.flush() // which waits for no timer
    assert.is(live.status.unsaved, 0)
    const flushed = Array.from({ length: 100 }, () => {
      type(live, 'e')
      return live.flush()
    })
    await Promise.all(flushed)
    assert.is(live.status.unsaved, 0)
    assert.is(ownLength(), before + 3, 'a hundred edits, each flushed, are one entry')
  } finally {
    mock.timers.reset()
    await device.close()
    await folder.remove()
  }

  function ownLength(): number {
    return space.writers().find(({ isOwn }) => isOwn)?.length ?? 0
  }
})

test.run()
