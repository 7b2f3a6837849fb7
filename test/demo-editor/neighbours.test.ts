/** How editors of one user meet on one machine. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { meetNeighbours } from '../../demo-editor/neighbours.ts'
import { openDevice } from '../../index.ts'
import { tempFolder, until } from '../support/devices.ts'

/** Less than that of any editor, and nobody listens on it. */
const DEAD = '1'

test('neighbours: who comes later finds who is there, what was left behind is tidied, and the last one leaves nothing', async () => {
  const folder = await tempFolder()
  const devices = await Promise.all(
    ['a', 'b', 'c'].map((name) => openDevice({ storage: join(folder.path, name) }))
  )
  const [a, b, c] = devices
  const place = join(folder.path, 'place')
  try {
    if (a === undefined || b === undefined || c === undefined) throw new Error('no devices')
    const leaving = [meetNeighbours(a, place)]
    const space = await a.createSpace()
    await until(() => existsSync(place))
    await writeFile(join(place, DEAD), '')
    for (const device of [b, c]) {
      leaving.push(meetNeighbours(device, place))
      await device.join(await space.invite())
    }
    await until(() => space.syncState().peers.length === 2)
    await until(() => !existsSync(join(place, DEAD)))
    await leaving.pop()?.()
    await until(() => space.syncState().peers.length === 1)
    for (const leave of leaving) await leave()
    assert.not(existsSync(place))
  } finally {
    for (const device of devices) await device.close()
    await folder.remove()
  }
})

test.run()
