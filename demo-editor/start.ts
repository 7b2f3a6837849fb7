/** The demo as a whole: two devices, the cable between them, and the page that shows it all. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WebSocket } from 'ws'
import { bundlePages } from './bundle.ts'
import { Cable } from './cable.ts'
import { PageServer } from './page-server.ts'
import { CLOSE, parseCableRequest, type CableNotice } from './protocol.ts'
import { RemoteDevice } from './remote-device.ts'

export interface EditorOptions {
  /** Where the stores are kept, a folder for each device. Default: temporary, removed at the end. */
  readonly storage?: string
  /** Whether a new notebook begins with a page of greeting. Default false. */
  readonly greets?: boolean
  /** A device died and cannot be started again. */
  readonly ongone?: (error: Error) => void
}

export interface Editor {
  readonly devices: readonly [RemoteDevice, RemoteDevice]
  readonly cable: Cable
  /** The page with both devices and the cable. */
  readonly url: string
  /** The folder of each device's store. */
  readonly stores: readonly [string, string]
  readonly close: () => Promise<void>
}

const NAMES = ['Ann', 'Ben'] as const

/** Starts everything. What was started is closed again if something cannot be. */
export async function startEditor({
  storage,
  greets = false,
  ongone = () => {}
}: EditorOptions = {}): Promise<Editor> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    // One that did not start has nothing to close; why it did not is thrown below.
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => {})
  }
  try {
    const folder = storage ?? (await mkdtemp(join(tmpdir(), 'manyhands-editor-')))
    if (storage === undefined)
      closers.push(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
    else await mkdir(folder, { recursive: true })
    const stores = [join(folder, 'ann'), join(folder, 'ben')] as const

    const cable = await Cable.open()
    closers.push(() => cable.close())
    const desk = new CableDesk(cable)
    const bundled = bundlePages()
    const shown = bundled.then((pages) =>
      PageServer.listen({
        files: pages.cable,
        token: randomBytes(24).toString('base64url'),
        port: 0,
        frames: () => desk.origins,
        onpage: (socket) => desk.serve(socket)
      })
    )
    closers.push(() => shown.then((server) => server.close()))

    const isSecondNew = !existsSync(stores[1])
    const start = (which: 0 | 1, link: Promise<string | null>) => {
      const given = async () => ({
        hue: which,
        storage: stores[which],
        link: await link,
        invites: which === 0 && isSecondNew,
        greets,
        cable: cable.ports[which],
        initiator: which === 0,
        framedBy: [(await shown).origin],
        files: (await bundled).editor
      })
      const device = RemoteDevice.start(NAMES[which], given(), ongone)
      closers.push(() => device.then((started) => started.close()))
      return device
    }
    const first = start(0, Promise.resolve(null))
    const second = start(
      1,
      first.then(({ link }) => link)
    )
    const [both, ann, ben] = await Promise.all([shown, first, second])
    desk.pages = [ann, ben].map(({ name, url }) => ({ name, url }))
    return { devices: [ann, ben], cable, url: both.url, stores, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Cuts and heals the cable for the pages that show it. */
class CableDesk {
  pages: CableNotice['pages'] = []
  readonly #cable: Cable
  readonly #sockets = new Set<WebSocket>()

  constructor(cable: Cable) {
    this.#cable = cable
  }

  /** What the page shows in frames. */
  get origins(): readonly string[] {
    return this.pages.map(({ url }) => new URL(url).origin)
  }

  serve(socket: WebSocket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('message', (data: Buffer) => {
      try {
        this.#cable[parseCableRequest(data.toString()).type]()
        for (const each of this.#sockets) this.#tell(each)
      } catch {
        socket.close(CLOSE.badMessage, 'unknown request')
      }
    })
    this.#tell(socket)
  }

  #tell(socket: WebSocket): void {
    const notice: CableNotice = { isCut: this.#cable.isCut, pages: this.pages }
    socket.send(JSON.stringify(notice))
  }
}
