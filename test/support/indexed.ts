/** A device whose space has a local index, closed, to do harm to: and whether it shows the same afterwards. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { Child } from './child.ts'
import { tempFolder, until } from './devices.ts'
import { exportSpace } from './export.ts'

export interface Scene {
  readonly storage: string
  /** Of the index. */
  readonly folder: string
  readonly address: string
  /** Everything that the database shows. */
  readonly shown: string
  remove(): Promise<void>
}

/** A closed device whose space of so many keys was indexed. */
export async function indexedDevice(keys: number): Promise<Scene> {
  const temp = await tempFolder()
  const storage = join(temp.path, 'a')
  const device = await openDevice({ storage })
  const space = await device.createSpace({ mode: 'index' })
  const puts = Array.from({ length: keys }, (_, i) => space.db.put(`key ${i}`, `value ${i}`))
  await Promise.all(puts)
  const shown = await exportSpace(space)
  const { address } = space
  await device.close()
  const [name = ''] = await readdir(join(storage, 'index'))
  const folder = join(storage, 'index', name)
  return { storage, address, shown, folder, remove: () => temp.remove() }
}

/** Opens it again: the same is shown, and it can be written. @returns its findings */
export async function checkSame({ storage, address, shown }: Scene): Promise<readonly string[]> {
  const device = await openDevice({ storage })
  const space = await device.openSpace(address, { mode: 'index' })
  assert.is(await exportSpace(space), shown)
  const findings = (await space.check()).map(({ code }) => code)
  assert.equal(findings.length > 0, space.mode === 'stream' || findings.includes('index-differs'))
  const probe = space.db.sub('probe') // is no part of what is shown
  await probe.put('key', findings)
  assert.equal((await probe.get('key'))?.value, findings)
  await device.close()
  return findings
}

/** Kills a process that builds the index anew, after so many of its reports. */
export async function killWhileBuilding(scene: Scene, reports: number): Promise<void> {
  await rm(scene.folder, { recursive: true })
  const { storage, address } = scene
  const child = new Child('index-process.ts', { storage, address })
  await until(() => child.lines.includes('open') || child.isOver, { timeout: 30_000 })
  await until(() => child.acks >= reports || child.lines.includes('done') || child.isOver)
  await child.kill()
}
