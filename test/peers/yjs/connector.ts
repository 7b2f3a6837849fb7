/**
 * Yjs' own tester, over our transport. Its documents send each other messages through a connector, which delivers them in random
 * order; here each belongs to a device, and what carries its edits is the provider, the log, and a wire that may be cut.
 */
import { join } from 'node:path'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'
import { TestConnector, TestYInstance } from 'yjs/testHelper'
import { SpaceProvider } from '../../../adapters/yjs/index.ts'
import { openDevice } from '../../../index.ts'
import type { Device, Space } from '../../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../../support/devices.ts'
import type { SeededRandom } from '../../support/random.ts'

/** Is never asked to connect anybody: its messages stay unsent. */
class DeviceDoc extends TestYInstance {
  override connect(): void {}
  override disconnect(): void {}
}

/**
 * What the tester compares: each document as its next reader loads it, with all updates that it ever told. Of documents that are
 * open Yjs may hold a deleted range in two pieces or in one, as its transactions happened to come.
 */
export function reloaded(users: readonly User[]): TestYInstance[] {
  const connector = new TestConnector(prng.create(0))
  return users.map(({ doc }, i) => {
    const copy = new DeviceDoc(connector, i)
    Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc))
    copy.updates = doc.updates
    return copy
  })
}

export interface User {
  readonly doc: TestYInstance
  readonly provider: SpaceProvider
  readonly device: Device
  readonly space: Space
}

export async function openUsers(count: number) {
  const folder = await tempFolder()
  const connector = new TestConnector(prng.create(0))
  const users: User[] = []
  let ticket: string | null = null
  for (let i = 0; i < count; i++) {
    const device = await openDevice({ storage: join(folder.path, `${i}`) })
    const space: Space =
      ticket === null ? await device.createSpace({ open: true }) : await device.openSpace(ticket)
    ticket = space.ticket
    const doc = new DeviceDoc(connector, i)
    doc.clientID = i
    const provider = new SpaceProvider(space, 'tester', doc)
    await provider.whenSynced
    users.push({ doc, provider, device, space })
  }
  return {
    users,
    close: async () => {
      for (const { device } of users) await device.close()
      await folder.remove()
    }
  }
}

/** Wires between devices: any two may be connected, and are cut at random. */
export class Wires {
  readonly #users: readonly User[]
  readonly #wires = new Map<string, () => void>()

  constructor(users: readonly User[]) {
    this.#users = users
  }

  change(random: SeededRandom): void {
    const [i, j] = [random.below(this.#users.length), random.below(this.#users.length)]
    if (i !== j) this.#toggle(Math.min(i, j), Math.max(i, j))
  }

  /** Nobody is cut off any more. */
  connectAll(): void {
    for (let i = 1; i < this.#users.length; i++) {
      if (!this.#wires.has(`0 ${i}`)) this.#toggle(0, i)
    }
  }

  cutAll(): void {
    for (const cut of this.#wires.values()) cut()
    this.#wires.clear()
  }

  #toggle(i: number, j: number): void {
    const [a, b] = [this.#users[i], this.#users[j]]
    if (a === undefined || b === undefined) return
    const name = `${i} ${j}`
    const cut = this.#wires.get(name)
    if (cut === undefined) this.#wires.set(name, connect(a.space, b.space))
    else {
      cut()
      this.#wires.delete(name)
    }
  }
}

/** Resolves when every document has all that the others have. */
export function untilSame(users: readonly User[]): Promise<void> {
  return until(
    () => {
      const [first, ...others] = users.map(({ doc }) => Y.snapshot(doc))
      return first !== undefined && others.every((other) => Y.equalSnapshots(first, other))
    },
    { timeout: 20_000 }
  )
}
