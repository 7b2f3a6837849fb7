/** A crash while the index is built. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkSame, indexedDevice, killWhileBuilding } from '../support/indexed.ts'

test('kill -9 while the index is built: what is read is the same', async () => {
  const scene = await indexedDevice(6000)
  await killWhileBuilding(scene, 1)
  assert.equal(await checkSame(scene), [])
  await scene.remove()
})

test.run()
