/** Opens a space of a device by its index, and reads until it is killed. Prints `open`, then `reading`, then `done`. */
import { writeSync } from 'node:fs'
import { openDevice } from '../../index.ts'

export interface IndexTask {
  readonly storage: string
  readonly address: string
}

const task = JSON.parse(process.argv[2] ?? '') as IndexTask
const device = await openDevice({ storage: task.storage })
const space = await device.openSpace(task.address, { mode: 'index' })
space.on('index-progress', () => writeSync(1, 'ack\n'))
writeSync(1, 'open\n')
await space.db.get('key 1')
writeSync(1, 'done\n')
setInterval(() => {}, 1000)
