/**
 * One typist and some readers of one text, each as its makers mean it to be used, over TCP on this machine, all in this process.
 * The servers keep nothing on the disk; ours, which has no server, signs and stores every edit on every device.
 */
import { once } from 'node:events'
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Repo, type DocHandle } from '@automerge/automerge-repo'
import {
  WebSocketClientAdapter,
  WebSocketServerAdapter
} from '@automerge/automerge-repo-network-websocket'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { Server as HocuspocusServer } from '@hocuspocus/server'
import { docs as rooms, setupWSConnection } from '@y/websocket-server/utils'
import sodium from 'sodium-universal'
import { WebSocket, WebSocketServer } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { openDevice } from '../../index.ts'

export interface Rig {
  /** Types one letter at the end. */
  type(): void
  /** So many letters a reader shows. */
  shown(reader: number): number
  /** Called whenever a reader shows something new. */
  onshown: (reader: number) => void
  close(): Promise<void>
}

export interface RigKind {
  readonly name: string
  open(folder: string, readers: number): Promise<Rig>
}

export const OURS = 'manyhands'
export const Y_WEBSOCKET = 'y-websocket'
export const AUTOMERGE = 'automerge-repo'
const SIGNED = 'bare signed updates'

export const manyhands: RigKind = {
  name: OURS,
  async open(folder, readers) {
    const typist = await openDevice({ storage: join(folder, 'typist') })
    const space = await typist.createSpace({ open: true })
    const server = await listen((socket) => void typist.replicate(socket, { initiator: false }))
    const devices = [typist]
    const live = [await space.documents.open('text')]
    for (let i = 0; i < readers; i++) {
      const device = await openDevice({ storage: join(folder, `reader-${i}`) })
      devices.push(device)
      const same = await device.openSpace(space.ticket)
      live.push(await same.documents.open('text'))
      device.replicate(await dial(server), { initiator: true })
    }
    return yjsRig(
      live.map(({ doc }) => doc),
      async () => {
        await Promise.all(devices.map((device) => device.close()))
        server.close()
      }
    )
  }
}

export const yWebsocket: RigKind = {
  name: Y_WEBSOCKET,
  async open(folder, readers) {
    const server = await listenWs()
    const room = folder.replaceAll(/\W/g, '-') // its rooms outlive their server
    server.on('connection', (socket, request) => setupWSConnection(socket, request))
    const docs = Array.from({ length: readers + 1 }, () => new Y.Doc())
    const providers = docs.map(
      (doc) =>
        new WebsocketProvider(urlOf(server), room, doc, {
          WebSocketPolyfill: WebSocket as never,
          disableBc: true // else documents of one process would talk past the server
        })
    )
    return yjsRig(docs, () => {
      for (const provider of providers) provider.destroy()
      for (const doc of [...docs, rooms.get(room)]) doc?.destroy() // with the timer of its awareness
      return closeWs(server)
    })
  }
}

export const hocuspocus: RigKind = {
  name: 'Hocuspocus',
  async open(_folder, readers) {
    const server = new HocuspocusServer({ port: 0, quiet: true, stopOnSignals: false })
    await server.listen()
    const url = `ws://127.0.0.1:${server.address.port}`
    const docs = Array.from({ length: readers + 1 }, () => new Y.Doc())
    const providers = docs.map((document) => {
      const websocketProvider = new HocuspocusProviderWebsocket({
        url,
        WebSocketPolyfill: WebSocket
      })
      const provider = new HocuspocusProvider({ websocketProvider, name: 'text', document })
      provider.attach()
      return { provider, websocketProvider }
    })
    return yjsRig(docs, async () => {
      for (const { provider, websocketProvider } of providers) {
        provider.destroy()
        websocketProvider.destroy()
      }
      for (const doc of docs) doc.destroy()
      await server.destroy()
    })
  }
}

/**
 * The floor of all that is signed: each update signed once, sent in clear to every reader over a connection of its own, checked
 * there and applied. No log, no encryption, no members, no document above Yjs.
 */
export const signedUpdates: RigKind = {
  name: SIGNED,
  async open(_folder, readers) {
    const publicKey = Buffer.alloc(32)
    const secretKey = Buffer.alloc(64)
    sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.alloc(32, 1))
    const sockets: Socket[] = []
    const server = await listen((socket) => void sockets.push(socket))
    const docs = Array.from({ length: readers + 1 }, () => new Y.Doc())
    for (const doc of docs.slice(1))
      onframes(await dial(server), (frame) => applySigned(doc, frame, publicKey))
    while (sockets.length < readers) await setTimeout(1)
    docs[0]?.on('update', (update: Uint8Array) => {
      const frame = signedFrame(update, secretKey)
      for (const socket of sockets) socket.write(frame)
    })
    return yjsRig(docs, () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      return Promise.resolve()
    })
  }
}

/** Its length in 4 bytes, the signature, the update. */
function signedFrame(update: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(4 + sodium.crypto_sign_BYTES + update.byteLength)
  frame.writeUInt32BE(frame.byteLength - 4)
  frame.set(update, 4 + sodium.crypto_sign_BYTES)
  const signature = frame.subarray(4, 4 + sodium.crypto_sign_BYTES)
  sodium.crypto_sign_detached(signature, frame.subarray(4 + sodium.crypto_sign_BYTES), secretKey)
  return frame
}

function applySigned(doc: Y.Doc, frame: Uint8Array, publicKey: Uint8Array): void {
  const signature = frame.subarray(0, sodium.crypto_sign_BYTES)
  const update = frame.subarray(sodium.crypto_sign_BYTES)
  if (!sodium.crypto_sign_verify_detached(signature, update, publicKey))
    throw new Error('A frame that was not signed')
  Y.applyUpdate(doc, update)
}

function onframes(socket: Socket, onframe: (frame: Uint8Array) => void): void {
  let open = Buffer.alloc(0)
  socket.on('data', (data) => {
    open = Buffer.concat([open, data])
    while (open.byteLength >= 4 && open.byteLength >= 4 + open.readUInt32BE()) {
      const end = 4 + open.readUInt32BE()
      onframe(open.subarray(4, end))
      open = open.subarray(end)
    }
  })
}

interface TextDoc {
  text: string
}

export const automerge: RigKind = {
  name: AUTOMERGE,
  async open(_folder, readers) {
    const server = await listenWs()
    const repos = [new Repo({ network: [new WebSocketServerAdapter(server as never)] })]
    const dialIn = () => new Repo({ network: [new WebSocketClientAdapter(urlOf(server))] })
    const typist = dialIn()
    repos.push(typist)
    const first = typist.create<TextDoc>({ text: '' })
    const handles: DocHandle<TextDoc>[] = []
    for (let i = 0; i < readers; i++) {
      const repo = dialIn()
      repos.push(repo)
      handles.push(await repo.find<TextDoc>(first.url))
    }
    const rig: Rig = {
      type: () => first.change((doc) => void (doc.text += 'a')),
      shown: (reader) => handles[reader]!.doc().text.length,
      onshown: () => {},
      async close() {
        for (const repo of repos) repo.networkSubsystem.disconnect() // `shutdown` would leave timers behind
        await closeWs(server)
      }
    }
    handles.forEach((handle, i) => handle.on('change', () => rig.onshown(i)))
    return proved(rig, readers)
  }
}

/** The first document is the typist's. */
async function yjsRig(docs: readonly Y.Doc[], close: () => Promise<void>): Promise<Rig> {
  const [mine, ...others] = docs.map((doc) => doc.getText('text'))
  const rig: Rig = {
    type: () => mine!.insert(mine!.length, 'a'),
    shown: (reader) => others[reader]!.length,
    onshown: () => {},
    close
  }
  others.forEach((text, i) => text.observe(() => rig.onshown(i)))
  return proved(rig, others.length)
}

/** With everybody connected, and one letter typed. */
async function proved(rig: Rig, readers: number): Promise<Rig> {
  rig.type()
  const deadline = performance.now() + 60_000
  for (let i = 0; i < readers; i++) {
    while (rig.shown(i) === 0) {
      if (performance.now() > deadline) throw new Error('The readers show nothing.')
      await setTimeout(1)
    }
  }
  return rig
}

async function listen(onsocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {}) // the other end closes first
    onsocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function dial(server: Server): Promise<Socket> {
  const { port } = server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('error', () => {}) // the other end closes first
  await once(socket, 'connect')
  return socket
}

async function listenWs(): Promise<WebSocketServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  return server
}

function urlOf(server: WebSocketServer): string {
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function closeWs(server: WebSocketServer): Promise<void> {
  for (const client of server.clients) client.terminate()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}
