/** Devices for tests: temporary folders, two devices that meet, and waiting for something to become true. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDevice, type OpenDeviceOptions } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'

export interface TempFolder {
  readonly path: string
  /** Removes it with everything in it. */
  remove(): Promise<void>
}

export async function tempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'manyhands-'))
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}

export interface TwoDevices {
  readonly a: Device
  readonly b: Device
  readonly spaceA: Space
  readonly spaceB: Space
  /** Connects the space of the one with that of the other. @returns how to cut it */
  connect(): () => void
  /** Closes both and removes their folders. */
  close(): Promise<void>
}

export interface TwoDevicesOptions {
  /** Both devices' further options. */
  readonly device?: Omit<OpenDeviceOptions, 'storage'>
  /** The second opens the space sparse. */
  readonly sparse?: boolean
  /** An open space, where devices that connect add each other. Default true. */
  readonly open?: boolean
}

/** Two devices with one space, not connected yet. */
export async function openTwoDevices(options: TwoDevicesOptions = {}): Promise<TwoDevices> {
  const { device = {}, sparse = false, open = true } = options
  const folder = await tempFolder()
  const a = await openDevice({ ...device, storage: join(folder.path, 'a') })
  const b = await openDevice({ ...device, storage: join(folder.path, 'b') })
  const spaceA = await a.createSpace({ open })
  const spaceB = await b.openSpace(spaceA.ticket, { sparse })
  const cuts: (() => void)[] = []
  return {
    a,
    b,
    spaceA,
    spaceB,
    connect() {
      const cut = connect(spaceA, spaceB)
      cuts.push(cut)
      return cut
    },
    async close() {
      for (const cut of cuts) cut()
      try {
        await a.close()
        await b.close()
      } finally {
        await folder.remove()
      }
    }
  }
}

interface Replicated {
  replicate(stream: boolean): unknown
}

interface Pipe {
  pipe(to: unknown): Pipe
  destroy(): void
}

/** Pipes two spaces, or two devices, into each other. @returns how to cut it */
export function connect(a: Replicated, b: Replicated): () => void {
  const one = a.replicate(true) as Pipe
  const other = b.replicate(false) as Pipe
  one.pipe(other).pipe(one)
  return () => one.destroy()
}

/** Resolves as soon as `condition` holds; rejects after `timeout` ms, by default more than a machine with much else to do takes. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { timeout = 30_000 }: { readonly timeout?: number } = {}
): Promise<void> {
  const deadline = performance.now() + timeout
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`Not true within ${timeout} ms: ${String(condition)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
