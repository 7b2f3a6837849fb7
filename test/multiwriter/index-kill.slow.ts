/** Crashes while the index is built, earlier and later. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkSame, indexedDevice, killWhileBuilding } from '../support/indexed.ts'

test('kill -9 at any moment while the index is built: what is read is the same', async () => {
  const scene = await indexedDevice(12_000)
  for (const reports of [0, 1, 2, 3]) {
    await killWhileBuilding(scene, reports)
    assert.equal(await checkSame(scene), [])
  }
  await scene.remove()
})

test.run()
