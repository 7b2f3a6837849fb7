/** A device that serves its port, and clients of it. */
import { join } from 'node:path'
import { openDevice } from '../../index.ts'
import { connectPort } from '../../core/native/index.ts'
import { remotePort, type Device, type DevicePort } from '../../multiwriter/index.ts'
import { tempFolder } from './devices.ts'

export interface Served {
  readonly device: Device
  readonly folder: string
  /** One more process, as far as the device can tell. */
  readonly connect: () => Promise<DevicePort>
  readonly close: () => Promise<void>
}

export async function serveDevice(name = 'store'): Promise<Served> {
  const temp = await tempFolder()
  const folder = join(temp.path, name)
  const device = await openDevice({ storage: folder, serve: true })
  const ports: DevicePort[] = []
  return {
    device,
    folder,
    connect: async () => {
      const wire = await connectPort(folder)
      if (wire === null) throw new Error('nobody serves')
      const port = await remotePort(wire)
      ports.push(port)
      return port
    },
    close: async () => {
      for (const port of ports) await port.close()
      await device.close()
      await temp.remove()
    }
  }
}
