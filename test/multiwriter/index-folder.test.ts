/** What may happen to the folder of an index, whose files are anybody's: the database shows the same. */
import { spawnSync } from 'node:child_process'
import { cp, mkdir, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, openIndexStore, openMultiBee } from '../../index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'
import { checkSame, indexedDevice, type Scene } from '../support/indexed.ts'
import { rejectsWith } from '../support/rejects.ts'

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

/** Each test finds its index sound and leaves it so. */
const scene = await indexedDevice(300)

test.after(() => scene.remove())

const filesOf = async (folder: string) => (await readdir(folder)).map((name) => join(folder, name))

const harms: Record<string, (scene: Scene) => Promise<void>> = {
  'is gone': ({ folder }) => rm(folder, { recursive: true }),
  'is a file': async ({ folder }) => {
    await rm(folder, { recursive: true })
    await writeFile(folder, 'x')
  },
  'is a link to nowhere': async ({ folder }) => {
    await rm(folder, { recursive: true })
    await symlink('/nowhere/at/all', folder)
  },
  'holds files that were cut off': async ({ folder }) => {
    for (const file of await filesOf(folder)) await truncate(file, 10)
  },
  'holds garbage': async ({ folder }) => {
    for (const file of await filesOf(folder)) await writeFile(file, 'y'.repeat(5000))
  },
  'is of another space': async ({ storage, folder }) => {
    const device = await openDevice({ storage })
    const other = await device.createSpace({ mode: 'index' })
    for (let i = 0; i < 20; i++) await other.db.put(`key ${i}`, 'of another space')
    await other.db.get('key 1')
    await device.close()
    const names = await readdir(dirname(folder))
    const name = names.find((each) => each !== basename(folder)) ?? ''
    await rm(folder, { recursive: true })
    await cp(join(dirname(folder), name), folder, { recursive: true })
  }
}

for (const [what, harm] of Object.entries(harms)) {
  test(`an index folder that ${what} is made anew`, async () => {
    await harm(scene)
    assert.equal(await checkSame(scene), [])
  })
}

test('where no index can be made, everything is read from the logs, and check says why', async () => {
  await rm(dirname(scene.folder), { recursive: true })
  await writeFile(dirname(scene.folder), 'somebody put a file here')
  assert.equal(await checkSame(scene), ['index-differs'])
  await rm(dirname(scene.folder))
  assert.equal(await checkSame(scene), [])
})

test('an index on a full disk of its own is left alone', async () => {
  await rm(scene.folder, { recursive: true })
  await mkdir(scene.folder)
  if (!mountSmall(scene.folder)) return
  try {
    assert.equal(await checkSame(scene), ['index-differs'])
  } finally {
    spawnSync('umount', ['-l', scene.folder])
  }
  assert.equal(await checkSame(scene), [])
})

/** False without the right to. */
function mountSmall(folder: string): boolean {
  const made = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  return made.status === 0
}

test('an index that is deleted while it is open: the same is shown', async () => {
  const device = await openDevice({ storage: scene.storage })
  const space = await device.openSpace(scene.address, { mode: 'index' })
  await space.db.get('key 1')
  await rm(scene.folder, { recursive: true })
  assert.is(await exportSpace(space), scene.shown)
  await space.db.sub('probe').put('key', 1)
  assert.is(await exportSpace(space), scene.shown)
  await device.close()
  assert.equal(await checkSame(scene), [])
})

test('two databases cannot have one index store, nor one folder', async () => {
  const temp = await tempFolder()
  const store = await openIndexStore(join(temp.path, 'index'))
  await rejectsWith('STORE_LOCKED', () => openIndexStore(join(temp.path, 'index')))
  const options = { writers: [], open: () => assert.unreachable() as never, index: store }
  const one = await openMultiBee(options)
  await rejectsWith('INVALID_ARGUMENT', () => openMultiBee(options), /no other database/)
  await one.close()
  await temp.remove()
})

test.run()
