/**
 * The port of a store: a Unix socket in its folder (on Windows a named pipe), on which the process that owns the store serves
 * others of the same user. Only they can reach it: the folder and the socket are the owner's alone.
 *
 * A socket's path is at most some hundred bytes long (`sun_path`), a folder's may be longer: then the folder is reached through
 * a short link made for the moment. Binding beside and renaming lets nobody connect before the mode is set, and takes the
 * place of a socket that a killed owner left.
 */
import { createHash } from 'node:crypto'
import { chmod, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
// Also gives the library its timers and console.
import { type MessageReader, type MessageWriter } from 'vscode-jsonrpc/node'
import { FrameReader, FrameWriter } from '../net/frames.ts'
import { explained } from './system-errors.ts'
import { hasCode } from './files.ts'

/** The socket's name in the store's folder. */
const NAME = 'port'

/** macOS takes 103 bytes and a zero, Linux 107. */
const MAX_PATH_BYTES = 103

/** What is written when a connection is closed has so long to leave, in ms. */
const LINGER_MS = 1000

/** @see PortWire in multiwriter/port/wire.ts */
interface SocketWire {
  readonly reader: MessageReader
  readonly writer: MessageWriter
  trust(): void
  close(): void
}

interface Listener {
  close(): Promise<void>
}

/**
 * Serves the port of the store in `folder`, which this process owns.
 * @param onconnection called for each process that connects
 * @throws STORE_UNWRITABLE where no socket can be made
 */
export async function listenPort(
  folder: string,
  onconnection: (wire: SocketWire) => void
): Promise<Listener> {
  const server = net.createServer((socket) => onconnection(wireOf(socket)))
  await explained(folder, () =>
    process.platform === 'win32' ? listenAt(server, pipeOf(folder)) : listenIn(server, folder)
  )
  server.on('error', () => {}) // a connection that could not be accepted is the other process's to report
  let closing: Promise<void> | null = null
  return { close: () => (closing ??= stopListening(server, folder)) }
}

/** Connects to the process that owns the store in `folder`; null when none serves it. */
export async function connectPort(folder: string): Promise<SocketWire | null> {
  try {
    if (process.platform === 'win32') return wireOf(await connectAt(pipeOf(folder)))
    return await withShortPath(folder, async (short) => wireOf(await connectAt(join(short, NAME))))
  } catch (error) {
    // Not there, left by a killed owner, or not ours to reach: whoever asks is told that the store is locked.
    if (hasCode(error, 'ENOENT', 'ECONNREFUSED', 'EACCES', 'EPERM', 'ENOTSOCK', 'ENOTDIR'))
      return null
    throw error
  }
}

async function listenIn(server: net.Server, folder: string): Promise<void> {
  const beside = await mkdtemp(join(folder, '.port-'))
  try {
    await withShortPath(beside, async (short) => {
      await listenAt(server, join(short, 's'))
      await chmod(join(beside, 's'), 0o600)
      await rename(join(beside, 's'), join(folder, NAME))
    })
  } catch (error) {
    server.close()
    throw error
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

async function stopListening(server: net.Server, folder: string): Promise<void> {
  // First the name, so that nobody finds a port that does not answer.
  if (process.platform !== 'win32') await rm(join(folder, NAME), { force: true })
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

function listenAt(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function connectAt(path: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

/** Calls with a path to `folder` that leaves room for a name. */
async function withShortPath<T>(folder: string, task: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(join(resolve(folder), NAME)) <= MAX_PATH_BYTES) return task(resolve(folder))
  const place = await mkdtemp(join(tmpdir(), 'mh-'))
  try {
    const short = join(place, 's')
    await symlink(resolve(folder), short)
    return await task(short)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

/** Windows has no sockets in folders. Other users may at most read from its pipes, and nobody is answered who says nothing. */
function pipeOf(folder: string): string {
  const id = createHash('sha256').update(resolve(folder).toLowerCase()).digest('hex').slice(0, 32)
  return `\\\\.\\pipe\\manyhands-${id}`
}

/** A client that asks so much at once, every stream that it may have included, is heard again when it has been answered. */
const MAX_UNANSWERED = 2048

/** So many bytes of answers wait for a client that does not read; then it is heard no more until it does. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024

function wireOf(socket: net.Socket): SocketWire {
  let unanswered = 0
  // Whoever only asks is never held up: both sides might wait for each other.
  const mayGoOn = () =>
    unanswered === 0 || (unanswered < MAX_UNANSWERED && socket.writableLength < MAX_UNSENT_BYTES)
  const goOn = () => {
    reader.goOn()
    if (mayGoOn()) socket.resume()
  }
  const reader = new FrameReader(() => socket.destroy(), mayGoOn)
  const writer = new FrameWriter(
    (frame) =>
      new Promise((resolve, reject) => {
        socket.write(frame, (error) => (error ? reject(error) : resolve()))
      }),
    () => close()
  )
  const close = () => {
    if (socket.destroyed || socket.writableEnded) return
    socket.end()
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }
  socket.on('data', (chunk) => {
    reader.push(chunk)
    if (!mayGoOn()) socket.pause()
  })
  socket.on('drain', goOn)
  socket.on('error', () => {}) // what failed ends the connection, which is said by 'close'
  socket.on('end', close)
  socket.on('close', () => reader.end())
  reader.onrequest = () => unanswered++
  writer.onanswer = () => {
    unanswered--
    goOn()
  }
  return { reader, writer, trust: () => reader.trust(), close }
}
