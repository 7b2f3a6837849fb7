/** The demo as a whole: two devices, the cable between them, the page that shows it all; and guests, who come by an invite. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WebSocket } from 'ws'
import { bundlePages } from './bundle.ts'
import { Cable } from './cable.ts'
import type { Beginning } from './device-desk.ts'
import { defaultNeighbourhood } from './neighbours.ts'
import { PageServer } from './page-server.ts'
import { CLOSE, parseCableRequest, type CableNotice } from './protocol.ts'
import { RemoteDevice } from './remote-device.ts'

export interface EditorOptions {
  /** Where the stores are kept, a folder for each device. Default: temporary, removed at the end. */
  readonly storage?: string
  /** Whether a new notebook begins with a page of greeting. Default false. */
  readonly greets?: boolean
  /** The folder where the first device and guests meet. Default one of this user's. */
  readonly neighbourhood?: string
  /** A device died and cannot be started again. */
  readonly ongone?: (error: Error) => void
}

export interface GuestOptions {
  /** Where its store is kept. Default: temporary, removed at the end. */
  readonly storage?: string
  readonly name?: string
  /** The invite that it comes by, or the link of another device of its person. Default: its page asks. */
  readonly link?: string | null
  /** @see EditorOptions */
  readonly neighbourhood?: string
  readonly ongone?: (error: Error) => void
}

/** One more device, which comes by an invite. */
export interface Guest {
  readonly device: RemoteDevice
  readonly close: () => Promise<void>
}

export interface Editor {
  readonly devices: readonly [RemoteDevice, RemoteDevice]
  readonly cable: Cable
  /** The page with both devices and the cable. */
  readonly url: string
  /** The folder of each device's store. */
  readonly stores: readonly [string, string]
  /** The folder where the first device and guests meet. */
  readonly neighbourhood: string
  readonly close: () => Promise<void>
}

const NAMES = ['Ann', 'Ben'] as const

/** Of the colours that these two leave. */
const GUEST_HUES = [2, 3, 4, 5] as const

/** What was started, to be closed in reverse. */
class Closers {
  readonly #all: (() => Promise<unknown>)[] = []

  add(closer: () => Promise<unknown>): void {
    this.#all.push(closer)
  }

  async close(): Promise<void> {
    // One that did not start has nothing to close; why it did not is thrown by who started it.
    for (const closer of this.#all.splice(0).reverse()) await closer().catch(() => {})
  }

  /** Has what was started closed again if something cannot be. */
  async guard<T>(start: () => Promise<T>): Promise<T> {
    try {
      return await start()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** A folder to keep; or a temporary one. */
  async folder(storage: string | undefined): Promise<string> {
    const folder = storage ?? (await mkdtemp(join(tmpdir(), 'manyhands-editor-')))
    if (storage === undefined)
      this.add(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
    else await mkdir(folder, { recursive: true })
    return folder
  }
}

/** Starts one more device, whose page comes into a notebook by a link, or back into one by its owner's words. */
export function startGuest(options: GuestOptions = {}): Promise<Guest> {
  const { name = 'Guest', link = null, neighbourhood = defaultNeighbourhood() } = options
  const closers = new Closers()
  return closers.guard(async () => {
    const storage = join(await closers.folder(options.storage), 'guest')
    if (link !== null && existsSync(storage))
      throw new Error(`There is a guest in ${storage} already: start it by --guest, without --join`)
    const given = async () => ({
      hue: hueOf(name),
      storage,
      beginning: beginningOf(link),
      isAwaited: false,
      invites: false,
      greets: false,
      cable: null,
      neighbourhood,
      framedBy: [],
      files: (await bundlePages()).editor
    })
    const device = await RemoteDevice.start(name, given(), options.ongone ?? (() => {}))
    closers.add(() => device.close())
    return { device, close: () => closers.close() }
  })
}

function beginningOf(link: string | null): Beginning {
  return link === null ? { how: 'asks' } : { how: 'joins', link }
}

/** The same for the same name, so that it stays at the next start. */
function hueOf(name: string): number {
  const sum = Buffer.from(name).reduce((total, byte) => total + byte, 0)
  return GUEST_HUES[sum % GUEST_HUES.length] ?? 2
}

/** Starts everything. What was started is closed again if something cannot be. */
export function startEditor({
  storage,
  greets = false,
  neighbourhood = defaultNeighbourhood(),
  ongone = () => {}
}: EditorOptions = {}): Promise<Editor> {
  const closers = new Closers()
  const close = () => closers.close()
  return closers.guard(async () => {
    const folder = await closers.folder(storage)
    const stores = [join(folder, 'ann'), join(folder, 'ben')] as const

    const cable = await Cable.open()
    closers.add(() => cable.close())
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
    closers.add(() => shown.then((server) => server.close()))

    const isSecondNew = !existsSync(stores[1])
    const start = (which: 0 | 1, link: Promise<string | null>) => {
      const given = async () => ({
        hue: which,
        storage: stores[which],
        beginning: which === 0 ? ({ how: 'founds' } as const) : beginningOf(await link),
        isAwaited: true,
        invites: which === 0 && isSecondNew,
        greets,
        cable: { port: cable.ports[which], initiator: which === 0 },
        // Whoever cuts the cable has the second alone.
        neighbourhood: which === 0 ? neighbourhood : null,
        framedBy: [(await shown).origin],
        files: (await bundled).editor
      })
      const device = RemoteDevice.start(NAMES[which], given(), ongone)
      closers.add(() => device.then((started) => started.close()))
      return device
    }
    const first = start(0, Promise.resolve(null))
    const second = start(
      1,
      first.then(({ link }) => link)
    )
    const [both, ann, ben] = await Promise.all([shown, first, second])
    desk.pages = [ann, ben].map(({ name, url }) => ({ name, url }))
    return { devices: [ann, ben], cable, url: both.url, stores, neighbourhood, close }
  })
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
