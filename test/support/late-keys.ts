/** A reader that has all blocks of a writer, and not the key that the later ones are encrypted under. */
import { join } from 'node:path'
import b4a from 'b4a'
import type { Device, Space } from '../../multiwriter/index.ts'
import { TestKeys } from './block-keys.ts'
import { connect, tempFolder, until, type TempFolder } from './devices.ts'
import { openKeyedDevice } from './keyed-devices.ts'

export const FIRST = b4a.alloc(32, 21)
export const SECOND = b4a.alloc(32, 22)

export interface Late {
  readonly writer: Space
  readonly reader: Space
  readonly keys: TestKeys
  /** Of the reader. */
  readonly device: Device
  close(): Promise<void>
}

/** A writer who has gone on to a second key, and a reader who does not know it yet. `before` is written under the first. */
export async function openLate(
  write: (space: Space, epoch: 'first' | 'second') => Promise<void>,
  {
    mode = 'auto',
    prepare = () => Promise.resolve()
  }: {
    readonly mode?: 'auto' | 'index' | 'stream'
    readonly prepare?: (reader: Space) => Promise<void>
  } = {}
): Promise<Late> {
  const folder: TempFolder = await tempFolder()
  const writerKeys = new TestKeys([FIRST])
  const keys = new TestKeys([FIRST])
  const a: Device = await openKeyedDevice(join(folder.path, 'a'), writerKeys)
  const b: Device = await openKeyedDevice(join(folder.path, 'b'), keys)
  const writer = await a.createSpace({ open: true })
  const reader = await b.openSpace(writer.ticket, { mode })
  connect(writer, reader)
  await write(writer, 'first')
  await until(() => isHere(writer, reader))
  await prepare(reader)
  writerKeys.use(SECOND)
  await write(writer, 'second')
  await until(() => isHere(writer, reader))
  return {
    writer,
    reader,
    keys,
    device: b,
    async close() {
      await a.close()
      await b.close()
      await folder.remove()
    }
  }
}

/** Every block of the writer's log has come. */
function isHere(writer: Space, reader: Space): boolean {
  const [own] = writer.syncState().logs.filter(({ isOwn }) => isOwn)
  const copy = reader.syncState().logs.find((log) => log.writer === writer.writer)
  return own !== undefined && copy?.here === own.here && own.here > 0
}

export const logOf = (reader: Space, writer: Space) =>
  reader.syncState().logs.find((log) => log.writer === writer.writer)

export const behindOf = ({ reader, writer }: Late) =>
  reader.syncState().logs.find((log) => log.writer === writer.writer)?.behind
