/**
 * A command's way to the device: this process owns the store, or works through the one that does. Two short commands at once
 * take turns: the second waits a moment for the first to finish.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectPort, listenPort } from '../core/native/index.ts'
import { isManyhandsError } from '../errors.ts'
import { openDevice, swarm } from '../index.ts'
import {
  localPort,
  PortHost,
  remotePort,
  SharedNetwork,
  type DevicePort
} from '../multiwriter/index.ts'
import { CliError, EXIT } from './exit.ts'

export interface SessionOptions {
  readonly storage: string
  readonly passphrase?: string
  /** In ms, how long to wait for a process that owns the store and serves nobody. */
  readonly wait: number
  /** Other commands work through this one while it runs: for those that take long. */
  readonly serve?: boolean
  /** Makes the store, and gives the device this name. */
  readonly create?: { readonly name?: string }
}

export interface Session {
  readonly port: DevicePort
  /** Other commands that work through this one now: those that end by themselves, and those that do not. */
  readonly guests: { readonly passing: number; readonly lasting: number }
  /** Waits for the first kind to finish. */
  drain(): Promise<void>
  /** Ends everything. Idempotent. */
  close(): Promise<void>
}

/** So often the lock is tried again, in ms: soon first, as most commands are short. */
const RETRY = [20, 40, 80, 160]

export async function openSession(options: SessionOptions): Promise<Session> {
  const { storage, wait, create } = options
  if (create === undefined) checkStore(storage)
  const deadline = performance.now() + wait
  for (let round = 0; ; round++) {
    try {
      return await ownSession(options)
    } catch (error) {
      if (!isManyhandsError(error, 'STORE_LOCKED')) throw error
      const session = await guestSession(storage)
      if (session !== null) return session
      if (performance.now() > deadline) throw error
    }
    await sleep(RETRY[Math.min(round, RETRY.length - 1)])
  }
}

function checkStore(storage: string): void {
  if (existsSync(join(storage, 'manyhands.json'))) return
  const next = 'Make one with: manyhands init   (or name another folder: --store DIR)'
  throw new CliError(EXIT.store, 'STORE_MISSING', `There is no store in ${storage}.`, next)
}

async function ownSession(options: SessionOptions): Promise<Session> {
  const { storage, passphrase, serve = false, create } = options
  const device = await openDevice({
    storage,
    ...(create?.name === undefined ? {} : { name: create.name }),
    ...(passphrase === undefined ? {} : { passphrase })
  })
  const context = {
    device,
    network: new SharedNetwork(device, swarm),
    now: () => performance.now()
  }
  const host = new PortHost(context)
  device.use(host)
  if (serve) {
    try {
      host.serve(await listenPort(storage, (wire) => host.accept(wire)))
    } catch (error) {
      await device.close()
      throw error
    }
  }
  return {
    port: localPort(context),
    get guests() {
      return host.clients
    },
    drain: () => host.drain(),
    close: () => device.close()
  }
}

const NO_GUESTS = { passing: 0, lasting: 0 }

/** Null when the owner serves nobody, or ends just now. */
async function guestSession(storage: string): Promise<Session | null> {
  const wire = await connectPort(storage)
  if (wire === null) return null
  try {
    const port = await remotePort(wire)
    return { port, guests: NO_GUESTS, drain: () => Promise.resolve(), close: () => port.close() }
  } catch (error) {
    if (isManyhandsError(error, 'DEVICE_CLOSED')) return null
    throw error
  }
}
