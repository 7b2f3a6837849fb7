/** The acceptance tests of network adapters that automerge-repo ships, between three devices of one space. */
import { join } from 'node:path'
import { runNetworkAdapterTests } from '@automerge/automerge-repo/helpers/tests/network-adapter-tests.js'
import { SpaceNetworkAdapter } from '../../../adapters/automerge-repo/index.ts'
import { MemoryNetwork, openDevice } from '../../../index.ts'
import { tempFolder, until } from '../../support/devices.ts'

runNetworkAdapterTests(async () => {
  const folder = await tempFolder()
  const { transport } = new MemoryNetwork()
  const open = (name: string) => openDevice({ storage: join(folder.path, name), transport })
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  const space = await a.createSpace({ open: true })
  const spaces = [space, await b.openSpace(space.ticket), await c.openSpace(space.ticket)] as const
  await until(() => spaces.every((each) => each.peers().length === 2))
  const [one, two, three] = spaces
  const teardown = () => {
    const closed = [a, b, c].map((device) => device.close())
    void Promise.all(closed).then(() => folder.remove())
  }
  return {
    adapters: [
      new SpaceNetworkAdapter(one),
      new SpaceNetworkAdapter(two),
      new SpaceNetworkAdapter(three)
    ],
    teardown
  }
}, 'a space')
