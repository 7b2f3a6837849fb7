/** When what is typed is written. The clock of the timers stands still, unless a test moves it. */
import { mock } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { tempFolder } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'

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

test('flush resolves for what was typed before it, while somebody types in every turn', async () => {
  const folder = await tempFolder()
  const device = await openDevice({ storage: folder.path })
  const space = await device.createSpace()
  const live = await space.documents.open('a')
  let isTyping = true
  let typed = 0
  const typing = (async () => {
    while (isTyping) {
      type(live, 'x')
      typed++
      await setImmediate()
    }
  })()
  try {
    for (let i = 0; i < 5; i++) {
      const before = typed
      const isDone = await Promise.race([
        live.flush().then(() => true),
        setTimeout(5000, false, { ref: false })
      ])
      assert.ok(isDone, 'what comes later is no part of it')
      assert.ok(typed - live.status.unsaved >= before, 'what was there is saved')
      while (typed < before + 10) await setImmediate()
    }
    isTyping = false
    await live.close()
    const again = await space.documents.open('a')
    assert.is(textOf(again).length, typed, 'closing saves the rest')
  } finally {
    isTyping = false
    await typing
    await device.close()
    await folder.remove()
  }
})

test.run()
