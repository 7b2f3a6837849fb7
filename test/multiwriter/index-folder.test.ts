/** What may happen to the folder of an index, whose files are anybody's: the database shows the same. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'

test('an index that stands on cleared blocks reads that one log anew, and keeps the others', async () => {
  const folder = await tempFolder()
  const storage = join(folder.path, 'a')
  const b = await openDevice({ storage: join(folder.path, 'b') })
  const spaceB = await b.createSpace({ open: true })
  let a = await openDevice({ storage })
  let spaceA = await a.openSpace(spaceB.ticket, { mode: 'index' })
  const meet = async () => {
    const cut = connect(spaceA, spaceB)
    await until(async () => (await spaceA.version()) === (await spaceB.version()))
    cut()
  }
  const putMany = (value: string) =>
    Promise.all(Array.from({ length: 60 }, (_, i) => spaceB.db.put(`key ${i}`, `${value} ${i}`)))
  await putMany('old')
  await spaceA.db.put('mine', 1)
  await meet()
  await a.close()
  await putMany('new')
  assert.is((await spaceB.compact({ history: 'drop' })).blocks, 2)
  // The index stays where it is while the blocks that it stands on are cleared.
  a = await openDevice({ storage })
  spaceA = await a.openSpace(spaceB.address, { mode: 'stream' })
  await meet()
  await until(async () => {
    const { logs } = await spaceA.stats()
    return logs.every(({ historyBytes }) => historyBytes === 0)
  })
  await a.close()
  a = await openDevice({ storage })
  spaceA = await a.openSpace(spaceB.address, { mode: 'index' })
  const rebuilds: string[] = []
  const read = new Set<string>()
  spaceA.on('index-rebuild', (reason) => rebuilds.push(reason))
  spaceA.on('index-progress', ({ writer }) => read.add(writer))
  assert.is((await spaceA.db.get('key 2'))?.value, 'new 2')
  assert.equal(rebuilds, [])
  assert.equal([...read], [spaceB.writer])
  assert.equal(await spaceA.check(), [])
  assert.is(await exportSpace(spaceA), await exportSpace(spaceB))
  await a.close()
  await b.close()
  await folder.remove()
})

test.run()
