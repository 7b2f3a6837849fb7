/** Devices whose keys for the data of spaces come and go as a test says, whatever the space would give them. */
import { openStore } from '../../core/native/index.ts'
import type { BlockKeys, DeviceStore, LogEncryption } from '../../core/index.ts'
import { loadEngine } from '../../crdt/index.ts'
import { Device, type Timers } from '../../multiwriter/index.ts'

/** Those keep the process alive. */
const WAITING: Pick<Timers, 'after'> = {
  after(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

export async function openKeyedDevice(storage: string, keys: BlockKeys): Promise<Device> {
  return new Device({
    store: withKeys(await openStore(storage), keys),
    name: 'device',
    now: Date.now,
    timers: {
      elapsed: () => performance.now(),
      after(ms, task) {
        const timer = setTimeout(task, ms)
        timer.unref()
        return () => clearTimeout(timer)
      },
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      soon: (task) => void setImmediate(task)
    },
    transport: null,
    waiting: WAITING,
    documents: { timers: WAITING, loadEngine }
  })
}

/** The store, opening data logs with other keys. Membership logs are known by what our own is opened with, which comes first. */
function withKeys(store: DeviceStore, keys: BlockKeys): DeviceStore {
  const ofMembership = new Set<BlockKeys | undefined>()
  const other = (encryption: LogEncryption | null) =>
    encryption === null || ofMembership.has(encryption.keys) ? encryption : { ...encryption, keys }
  const opening: Pick<DeviceStore, 'ownLog' | 'remoteLog' | 'archiveLog'> = {
    ownLog(purpose, salt, encryption) {
      if (purpose === 'acl') ofMembership.add(encryption?.keys)
      return store.ownLog(purpose, salt, other(encryption))
    },
    remoteLog: (key, encryption) => store.remoteLog(key, other(encryption)),
    archiveLog: (pin, log, encryption) => store.archiveLog(pin, log, other(encryption))
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'ownLog' || name === 'remoteLog' || name === 'archiveLog') return opening[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}
