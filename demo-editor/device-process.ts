/**
 * One device of the demo: its store, its editor page, and its end of the cable. A process of its own, so that it can be killed.
 * Started by remote-device.ts, which tells it what to be, and ends with it.
 */
import net from 'node:net'
import { isManyhandsError, openDevice, type Device } from '../index.ts'
import { DeviceDesk } from './device-desk.ts'
import { meetNeighbours } from './neighbours.ts'
import { unlessRemoved, type Notebook } from './notebook.ts'
import { PageServer } from './page-server.ts'
import { servePage } from './page-session.ts'
import { TEXT } from './protocol.ts'
import type { CableEnd, DeviceTask, FromDevice } from './remote-device.ts'

/** Between attempts to dial the cable, in ms: doubling, as long as nobody answers. */
const REDIAL = { first: 50, last: 1000 }

async function main(task: DeviceTask): Promise<void> {
  const ended = untilEnded() // it may come while we are still opening
  const { name, hue, storage, files, token, port, framedBy } = task
  const desk = new DeviceDesk({
    owner: { name, hue },
    open: (passphrase) =>
      openDevice({ storage, name, ...(passphrase === null ? {} : { passphrase }) }),
    plug: (device) => plug(device, task)
  })
  let server: PageServer | null = null
  try {
    await desk.open()
    const began = begin(desk, task)
    if (task.isAwaited) await began
    const listening = await PageServer.listen({
      files,
      token,
      port,
      framedBy,
      frames: () => ["'self'"],
      onpage: (socket) => servePage(socket, desk, (page) => listening.offer(page))
    })
    server = listening
    const isFirstStart = port === 0
    const link = task.invites && isFirstStart && desk.stage === 'open' ? await desk.invite() : null
    say({ type: 'ready', link, port: server.port, url: server.url })
    await Promise.race([ended, began.then(() => ended)]) // what cannot begin ends with a message
  } finally {
    await server?.close()
    await desk.close().catch(unlessRemoved)
  }
  if (process.connected) process.disconnect()
}

async function begin(desk: DeviceDesk, { beginning, greets }: DeviceTask): Promise<void> {
  const isNew = await desk.begin(beginning)
  if (isNew && greets && desk.notebook !== null) await greet(desk.notebook)
}

/** Connects a device to the others. @returns how to disconnect it */
function plug(device: Device, { cable, neighbourhood }: DeviceTask): () => Promise<void> {
  // A connection that breaks is what this demo is about: it is dialled again.
  device.on('connection-error', () => {})
  const hangUp = cable === null ? () => {} : keepDialling(device, cable)
  const leave = neighbourhood === null ? async () => {} : meetNeighbours(device, neighbourhood)
  return () => {
    hangUp()
    return leave()
  }
}

/** The parent closes us by a message, or by being gone. */
function untilEnded(): Promise<void> {
  return new Promise((resolve) => {
    process.once('message', () => resolve())
    process.once('disconnect', resolve)
  })
}

/** Something to type into at once. */
async function greet(notebook: Notebook): Promise<void> {
  const id = 'welcome'
  await notebook.name(id, 'Welcome')
  const { live, close } = await notebook.open(id)
  live.doc.getText(TEXT).insert(0, GREETING)
  await live.flush()
  await close()
}

const GREETING = `This text is on two devices. Each keeps it in a log of its own, and nobody is in charge.

1. Type here, and watch it appear on the other side.
2. Cut the cable and type on both sides, in the same line if you like.
3. Heal the cable: both have the same text again, and nothing is lost.
`

/** Keeps this end of the cable plugged in. @returns how to pull it out */
function keepDialling(device: Device, { port, initiator }: CableEnd): () => void {
  let socket: net.Socket
  let timer: NodeJS.Timeout
  let wait = REDIAL.first
  const dial = () => {
    socket = net.connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.on('data', () => (wait = REDIAL.first))
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      timer = setTimeout(dial, wait)
      wait = Math.min(wait * 2, REDIAL.last)
    })
    device.replicate(socket, { initiator })
  }
  dial()
  return () => {
    socket.removeAllListeners('close')
    socket.destroy()
    clearTimeout(timer)
  }
}

function say(message: FromDevice): void {
  process.send?.(message)
}

/** Ctrl-C reaches the whole group; the parent decides when a device closes. */
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})

process.once('message', (task: DeviceTask) => {
  main(task).catch((error: unknown) => {
    const text = error instanceof Error ? error.message : String(error)
    say({ type: 'failed', message: isManyhandsError(error) ? `${error.code}: ${text}` : text })
    process.exitCode = 1
    if (process.connected) process.disconnect()
  })
})
