/** The contract of ordered stores over every door there is. */
import { join } from 'node:path'
import { openIndexStore } from '../../core/native/index.ts'
import { testOrderedStore } from '../contract/ordered-store.ts'
import { tempFolder } from '../support/devices.ts'

testOrderedStore('LevelDB in a folder', async () => {
  const folder = await tempFolder()
  return {
    open: () => openIndexStore(join(folder.path, 'index')),
    remove: () => folder.remove()
  }
})
