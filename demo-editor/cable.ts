/**
 * The cable between two devices: each dials its own end here, and while the cable is whole the two streams are joined. Cutting it
 * breaks both connections for real; devices that dial meanwhile wait, and go on the moment it is healed.
 *
 * It carries what two devices say over any network: encrypted and authenticated by them, unreadable here.
 */
import net from 'node:net'

/** As many bytes as one direction may wait for the other end: both ends hold back by TCP beyond it. */
const HIGH_WATER = 64 * 1024

interface End {
  readonly server: net.Server
  /** The device that dialled last and is still there. */
  socket: net.Socket | null
}

export class Cable {
  readonly #ends: readonly [End, End]
  #isCut = false

  /** Opens two ends on 127.0.0.1. */
  static async open(): Promise<Cable> {
    const cable = new Cable()
    await Promise.all(cable.#ends.map(({ server }) => listen(server)))
    return cable
  }

  private constructor() {
    this.#ends = [this.#end(), this.#end()]
  }

  get isCut(): boolean {
    return this.#isCut
  }

  /** The port that each device dials. */
  get ports(): readonly [number, number] {
    const [a, b] = this.#ends
    return [portOf(a.server), portOf(b.server)]
  }

  cut(): void {
    this.#isCut = true
    for (const { socket } of this.#ends) socket?.destroy()
  }

  heal(): void {
    this.#isCut = false
    this.#join()
  }

  async close(): Promise<void> {
    for (const { socket } of this.#ends) socket?.destroy()
    await Promise.all(
      this.#ends.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve())))
    )
  }

  #end(): End {
    const end: End = { server: net.createServer({ highWaterMark: HIGH_WATER }), socket: null }
    end.server.on('connection', (socket) => this.#plug(end, socket))
    return end
  }

  #plug(end: End, socket: net.Socket): void {
    socket.setNoDelay(true)
    socket.on('error', () => {}) // 'close' follows
    // A device that starts again dials before its old connection is known to be dead.
    end.socket?.destroy()
    end.socket = socket
    socket.on('close', () => this.#unplug(end, socket))
    this.#join()
  }

  /** A stream has two ends: when one is gone, the other device has to dial anew. */
  #unplug(end: End, socket: net.Socket): void {
    if (end.socket !== socket) return
    end.socket = null
    for (const other of this.#ends) {
      if (other !== end && other.socket !== null && joined.has(other.socket)) other.socket.destroy()
    }
  }

  #join(): void {
    const [a, b] = [this.#ends[0].socket, this.#ends[1].socket]
    if (this.#isCut || a === null || b === null) return
    if (joined.has(a) || joined.has(b)) {
      // One of them is new: what the other has been saying was not meant for it.
      if (!(joined.has(a) && joined.has(b))) (joined.has(a) ? a : b).destroy()
      return
    }
    joined.add(a).add(b)
    a.pipe(b)
    b.pipe(a)
  }
}

/** Sockets that have been joined to another one, once and for all. */
const joined = new WeakSet<net.Socket>()

function listen(server: net.Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
}

function portOf(server: net.Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The cable is closed')
  return address.port
}
