/** manyhands: many devices, one database. No server in charge. This is the Node entry, and the composition root. */
import {
  listenPort,
  openIndexStore,
  openStore,
  swarm,
  type SwarmOptions
} from './core/native/index.ts'
import { loadEngine } from './crdt/index.ts'
import {
  MemoryNetwork,
  type Durability,
  type Progress,
  type TransportFactory,
  type Work
} from './core/index.ts'
import { checkOptions, invalid, ManyhandsError } from './errors.ts'
import {
  Device,
  PortHost,
  SharedNetwork,
  type DocumentSupport,
  type Timers
} from './multiwriter/index.ts'

export interface OpenDeviceOptions {
  /** The folder of this device's store; made if it is not there. One process at a time owns it. */
  readonly storage: string
  /** What people call this device; remembered. Default what it was called before, or 'device'. */
  readonly name?: string
  /** Protects the keystore; the same is needed at every open. */
  readonly passphrase?: string
  /** 'os' (default): a write survives a killed process. 'disk': it survives a power cut. */
  readonly durability?: Durability
  /** How devices find each other, for instance `swarm()`. Default none: streams by hand (`space.replicate`). */
  readonly transport?: TransportFactory
  /** Milliseconds since 1970; default the system's clock. */
  readonly now?: () => number
  /** In ms, how far another device's clock may be ahead and still move ours. Default 5 minutes. */
  readonly maxDrift?: number
  /** Other processes of this user work through this one while it owns the store (`manyhands` does). Default false. */
  readonly serve?: boolean
}

const OPTIONS = [
  'storage',
  'name',
  'passphrase',
  'durability',
  'transport',
  'now',
  'maxDrift',
  'serve'
]

/**
 * Opens this device.
 * @throws INVALID_ARGUMENT, and the STORE_ and PASSPHRASE_ codes (docs/ERRORS.md)
 * @example
 * const laptop = await openDevice({ storage: './laptop', name: 'Laptop', transport: swarm() })
 * const space = await laptop.createSpace({ name: 'Family', open: true })
 * await space.db.put('contacts/ann', { phone: '1' })
 */
export async function openDevice(options: OpenDeviceOptions): Promise<Device> {
  checkOptions('openDevice', options, OPTIONS)
  const {
    storage,
    name,
    passphrase,
    durability = 'os',
    transport,
    now,
    maxDrift,
    serve = false
  } = options
  if (typeof storage !== 'string' || storage === '' || storage.includes('\0'))
    invalid('storage', 'a folder', storage)
  if (name !== undefined && (typeof name !== 'string' || name === ''))
    invalid('name', 'a string', name)
  if (durability !== 'os' && durability !== 'disk')
    invalid('durability', "'os' or 'disk'", durability)
  if (passphrase !== undefined && (typeof passphrase !== 'string' || passphrase === '')) {
    invalid('passphrase', 'a non-empty string', typeof passphrase)
  }
  if (transport !== undefined && typeof transport !== 'function')
    invalid('transport', 'a transport, as swarm() makes', transport)
  if (now !== undefined && typeof now !== 'function') invalid('now', 'a function', now)
  if (maxDrift !== undefined && !(typeof maxDrift === 'number' && maxDrift >= 0))
    invalid('maxDrift', 'milliseconds', maxDrift)
  if (typeof serve !== 'boolean') invalid('serve', 'true or false', serve)
  const store = await openStore(storage, { passphrase: passphrase ?? null, durability })
  let device: Device | null = null
  try {
    if (name !== undefined && name !== store.name) await store.saveName(name)
    device = new Device({
      store,
      name: store.name ?? 'device',
      now: now ?? Date.now,
      timers: TIMERS,
      waiting: WAITING,
      transport: transport ?? null,
      documents: DOCUMENTS,
      ...(maxDrift === undefined ? {} : { maxDrift })
    })
    if (serve) await serveDevice(device, storage)
    return device
  } catch (error) {
    // The transport or the port could not be made; the store must not stay locked for that.
    await (device ?? store).close()
    throw error
  }
}

/** The system's, which keep no process alive. */
const TIMERS: Timers = {
  elapsed: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  soon: (task) => void setImmediate(task)
}

/** Those keep it. */
const WAITING: Pick<Timers, 'after'> = {
  after(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

/** What an engine's library is installed by. */
const PACKAGES = { yjs: 'yjs and lib0', automerge: '@automerge/automerge' } as const

/** An engine is loaded when the first document of it is opened: who needs none need not install it. */
const DOCUMENTS: DocumentSupport = {
  timers: WAITING, // what is typed is saved
  async loadEngine(name) {
    try {
      return await loadEngine(name)
    } catch (cause) {
      const message = `Such documents need what is not installed: ${PACKAGES[name]}`
      throw new ManyhandsError('DOCUMENTS_UNAVAILABLE', message, { cause })
    }
  }
}

/** Lets other processes of this user work through the device, until it closes. */
async function serveDevice(device: Device, storage: string): Promise<void> {
  const host = new PortHost({
    device,
    network: new SharedNetwork(device, swarm),
    now: () => performance.now()
  })
  host.serve(await listenPort(storage, (wire) => host.accept(wire)))
  device.use(host)
}

export { ManyhandsError, MemoryNetwork, openIndexStore, swarm }
export type { Durability, Progress, SwarmOptions, TransportFactory, Work }
export { isManyhandsError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export type { Stamp } from './clock/index.ts'
export { stampToText } from './clock/index.ts'
export type { Value } from './crdt/index.ts'
export { explanationToText, MAX_KEY_BYTES, openMultiBee, readShare } from './multiwriter/index.ts'
export type * from './multiwriter/index.ts'
