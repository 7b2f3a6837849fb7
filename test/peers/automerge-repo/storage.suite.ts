/** The acceptance tests of storage adapters that automerge-repo ships, over a space of a new device each. */
import { join } from 'node:path'
import { runStorageAdapterTests } from '@automerge/automerge-repo/helpers/tests/storage-adapter-tests.js'
import { SpaceStorageAdapter } from '../../../adapters/automerge-repo/index.ts'
import { openDevice } from '../../../index.ts'
import { tempFolder } from '../../support/devices.ts'

runStorageAdapterTests(async () => {
  const folder = await tempFolder()
  const device = await openDevice({ storage: join(folder.path, 'device') })
  const space = await device.createSpace()
  const teardown = () => {
    void device.close().then(() => folder.remove())
  }
  return { adapter: new SpaceStorageAdapter(space), teardown }
}, 'a space')
