/** The storage contract over every door there is. */
import { join } from 'node:path'
import { openStore, type StoreOptions } from '../../core/native/index.ts'
import { testStorage } from '../contract/storage.ts'
import { tempFolder } from '../support/devices.ts'

function testFolder(name: string, options: StoreOptions): void {
  testStorage(name, async () => {
    const folder = await tempFolder()
    return {
      open: () => openStore(join(folder.path, 'store'), options),
      remove: () => folder.remove()
    }
  })
}

testFolder('a folder', { durability: 'os' })
testFolder('a folder that waits for the disk', { durability: 'disk' })
testFolder('a folder under a passphrase', { passphrase: 'correct horse' })
