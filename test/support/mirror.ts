/** A mirror, or whoever reads from it, in a process of its own (mirror-process.ts). */
import net from 'node:net'
import type { Device } from '../../multiwriter/index.ts'
import { Child } from './child.ts'
import { until } from './devices.ts'

export interface MirrorTask {
  readonly folder: string
  readonly ticket: string
  /** What canaries begin with. */
  readonly prefix: string
  /** A port; else it listens. */
  readonly connectTo?: number
  /** Sub-databases to read, besides the database itself. */
  readonly subs?: readonly string[]
}

export interface MirrorState {
  readonly writer: string
  /** Canaries in what it can read of the space. */
  readonly read: number
  readonly peers: number
  /** Blocks here, by writer. */
  readonly logs: Readonly<Record<string, number>>
  /** Of each log that is read less far than it is here: why. */
  readonly behind: readonly string[]
  readonly refused: readonly string[]
  /** @see PresenceStats */
  readonly sealed: number
  readonly devices: number
}

export class MirrorProcess {
  readonly #child: Child

  constructor(task: MirrorTask) {
    this.#child = new Child('mirror-process.ts', task)
  }

  get pid(): number {
    return this.#child.pid
  }

  async port(): Promise<number> {
    return Number(await this.#child.line('port '))
  }

  /** The first state, from now on, that is as it should be. */
  async state(isSo: (state: MirrorState) => boolean = () => true): Promise<MirrorState> {
    const last = () => {
      const line = this.#child.lines.findLast((each) => each.startsWith('state '))
      return line === undefined ? null : (JSON.parse(line.slice('state '.length)) as MirrorState)
    }
    const isThere = () => {
      const state = last()
      if (this.#child.isOver) throw new Error(`It has ended: ${this.#child.errors}`)
      return state !== null && isSo(state)
    }
    await until(isThere, { timeout: 30_000 }).catch((cause: unknown) => {
      throw new Error(`It is not so: ${JSON.stringify(last())} ${this.#child.errors}`, { cause })
    })
    return last() ?? Promise.reject(new Error('It has said nothing'))
  }

  async kill(): Promise<void> {
    await this.#child.kill()
  }
}

/** Connects a device of this process to a port. @returns cuts it off */
export function connectTo(device: Device, port: number): () => void {
  const socket = net.connect(port, '127.0.0.1')
  device.replicate(socket, { initiator: true })
  return () => void socket.destroy()
}
