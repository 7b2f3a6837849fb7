/** Inviting and joining over a real swarm on this machine, with a DHT of its own. */
import { join } from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, swarm } from '../../index.ts'
import { tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const host = '127.0.0.1'
const folder = await tempFolder()
const testnet = await createTestnet(3, { host })
const transport = swarm({ bootstrap: testnet.bootstrap, host, firewalled: false })
const open = (name: string) => openDevice({ storage: join(folder.path, name), transport })

test.after(async () => {
  await testnet.destroy()
  await folder.remove()
})

test('invites over a swarm: two that come at once are let in, and a third is told why not', async () => {
  const [ann, ben, cem, dora] = await Promise.all(['ann', 'ben', 'cem', 'dora'].map(open))
  assert.ok(ann && ben && cem && dora)
  try {
    const space = await ann.createSpace()
    await space.db.put('a', 1)
    const invite = await space.invite({ uses: 2 })
    const joined = await Promise.all([ben.join(invite), cem.join(invite)])
    for (const each of joined) {
      await until(async () => (await each.db.get('a'))?.value === 1)
      await each.db.put(each.writer, 2)
    }
    for (const { writer } of joined)
      await until(async () => (await space.db.get(writer))?.value === 2)
    await rejectsWith('INVITE_USED', () => dora.join(invite))
    assert.is(dora.spaces().length, 0)
  } finally {
    for (const each of [dora, cem, ben, ann]) await each.close()
  }
})

test.run()
