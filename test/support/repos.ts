/** Repos of automerge-repo, as they are, on the devices of a space. */
import { join } from 'node:path'
import { Repo, type DocHandle, type PeerId } from '@automerge/automerge-repo'
import { SpaceNetworkAdapter, SpaceStorageAdapter } from '../../adapters/automerge-repo/index.ts'
import { MemoryNetwork, openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { tempFolder, until } from './devices.ts'

export interface Notes {
  lines: string[]
  bytes?: Uint8Array
}

interface Site {
  readonly device: Device
  readonly space: Space
  readonly repo: Repo
  readonly network: SpaceNetworkAdapter
  readonly storage: SpaceStorageAdapter
}

/** Devices of one space, a repo on each. */
export async function sites() {
  const folder = await tempFolder()
  const cable = new MemoryNetwork()
  const open: Device[] = []
  let ticket: string | null = null
  const device = async (name: string) => {
    const { transport } = cable
    const each = await openDevice({ storage: join(folder.path, name), transport })
    open.push(each)
    const space: Space =
      ticket === null ? await each.createSpace({ open: true }) : await each.openSpace(ticket)
    ticket = space.ticket
    return { device: each, space }
  }
  const site = async (name: string, isNetworked = true): Promise<Site> => {
    const { device: each, space } = await device(name)
    const [network, storage] = [new SpaceNetworkAdapter(space), new SpaceStorageAdapter(space)]
    const peerId = `${name}-repo` as PeerId
    const repo = new Repo({ storage, network: isNetworked ? [network] : [], peerId })
    return { device: each, space, repo, network, storage }
  }
  const close = async () => {
    for (const each of open) await each.close()
    await folder.remove()
  }
  return { cable, device, site, close }
}

export function lines(handle: DocHandle<Notes>): string[] {
  return [...handle.doc().lines].sort()
}

export async function end({ repo, device }: Site): Promise<void> {
  await repo.shutdown()
  await device.close()
}

/** All have what any of them wrote. */
export async function inStep(...spaces: readonly Space[]): Promise<void> {
  const lengths = (space: Space) =>
    space
      .writers()
      .map(({ writer, length }) => `${writer} ${length}`)
      .sort()
      .join()
  await until(() => new Set(spaces.map(lengths)).size === 1)
}
