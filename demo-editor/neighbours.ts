/**
 * How devices of the demo that no cable joins find each other: editors that one user runs on one machine. Each listens on a port of
 * 127.0.0.1 and keeps a file of that name in a folder of this user's; of two, the one with the greater port dials.
 *
 * Whoever is dialled learns nothing by it: what devices say is encrypted, and each shows that it holds a space's key, or an invite.
 */
import { lstat, mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Device } from '../index.ts'

/** Somebody who starts an editor waits no longer for another one to see it. */
const LOOK_MS = 300

/** Where the editors of this user meet. */
export function defaultNeighbourhood(): string {
  return join(tmpdir(), `manyhands-editors-${userInfo().uid}`)
}

/** Connects a device to its neighbours, now and as they come. @returns how to leave them */
export function meetNeighbours(device: Device, folder: string): () => Promise<void> {
  const neighbours = new Neighbours(device, folder)
  const met = neighbours.start().catch(() => {}) // it is alone then, which its page shows
  return () => met.then(() => neighbours.leave())
}

class Neighbours {
  readonly #device: Device
  readonly #folder: string
  readonly #server = net.createServer((socket) => this.#connect(socket, false))
  readonly #sockets = new Set<net.Socket>()
  /** Ports that are dialled, or connected to. */
  readonly #dialled = new Set<number>()
  #port = 0
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()

  constructor(device: Device, folder: string) {
    this.#device = device
    this.#folder = folder
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const { uid } = await lstat(this.#folder)
    if (uid !== userInfo().uid && process.platform !== 'win32')
      throw new Error(`${this.#folder} is somebody else's`)
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return
    this.#port = address.port
    await writeFile(this.#file(this.#port), '', { mode: 0o600 })
    const look = () => {
      this.#looking = this.#look().catch(() => {}) // the next look may do better
    }
    look()
    this.#timer = setInterval(look, LOOK_MS)
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    if (this.#port === 0) return
    await rm(this.#file(this.#port), { force: true })
    await rmdir(this.#folder).catch(() => {}) // others are still there
  }

  async #look(): Promise<void> {
    const ports = (await readdir(this.#folder)).map(Number).filter(Number.isInteger)
    for (const port of ports) if (port < this.#port && !this.#dialled.has(port)) this.#dial(port)
  }

  #dial(port: number): void {
    this.#dialled.add(port)
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Killed, it left its file.
      if (error.code === 'ECONNREFUSED') void rm(this.#file(port), { force: true })
    })
    socket.on('close', () => this.#dialled.delete(port))
    this.#connect(socket, true)
  }

  #connect(socket: net.Socket, initiator: boolean): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#sockets.delete(socket))
    this.#device.replicate(socket, { initiator })
  }

  #file(port: number): string {
    return join(this.#folder, String(port))
  }
}
