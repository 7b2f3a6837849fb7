/**
 * One device of the demo: its store, its editor page, and its end of the cable. A process of its own, so that it can be killed.
 * Started by remote-device.ts, which tells it what to be, and ends with it.
 */
import net from 'node:net'
import { isManyhandsError, openDevice, type Device, type Space } from '../index.ts'
import { Notebook, unlessRemoved } from './notebook.ts'
import { PageServer } from './page-server.ts'
import { servePage } from './page-session.ts'
import { TEXT } from './protocol.ts'
import type { DeviceTask, FromDevice } from './remote-device.ts'

const SPACE_NAME = 'Notebook'

/** Between attempts to dial the cable, in ms: doubling, as long as nobody answers. */
const REDIAL = { first: 50, last: 1000 }

async function main(task: DeviceTask): Promise<void> {
  const ended = untilEnded() // it may come while we are still opening
  const device = await openDevice({ storage: task.storage, name: task.name })
  // A connection that breaks is what this demo is about: it is dialled again.
  device.on('connection-error', () => {})
  const hangUp = keepDialling(device, task) // first: who comes by an invite is let in over the cable
  const { space, isNew } = await openNotebook(device, task)
  const { name, hue, files, token, port, framedBy } = task
  const notebook = new Notebook(space, { name, hue })
  if (isNew && task.greets) await greet(notebook)
  const server = await PageServer.listen({
    files,
    token,
    port,
    framedBy,
    onpage: (socket) => servePage(socket, notebook, { name, hue })
  })
  const isFirstStart = port === 0
  const link = task.invites && isFirstStart ? (await space.invite()).link : null
  say({ type: 'ready', link, port: server.port, url: server.url })

  await ended
  hangUp()
  await server.close()
  await notebook.close()
  await device.close().catch(unlessRemoved)
  if (process.connected) process.disconnect()
}

/** The parent closes us by a message, or by being gone. */
function untilEnded(): Promise<void> {
  return new Promise((resolve) => {
    process.once('message', () => resolve())
    process.once('disconnect', resolve)
  })
}

/** The notebook of this store, or the one that the invite leads to, or a new one. */
async function openNotebook(
  device: Device,
  { link }: DeviceTask
): Promise<{ space: Space; isNew: boolean }> {
  const [known] = device.spaces()
  const name = SPACE_NAME
  if (known !== undefined) return { space: await device.openSpace(known.address), isNew: false }
  if (link !== null) return { space: await device.join(link, { name }), isNew: false }
  return { space: await device.createSpace({ name, open: true }), isNew: true }
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
function keepDialling(device: Device, { cable, initiator }: DeviceTask): () => void {
  let socket: net.Socket
  let timer: NodeJS.Timeout
  let wait = REDIAL.first
  const dial = () => {
    socket = net.connect(cable, '127.0.0.1')
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
