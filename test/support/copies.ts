/** A store that was copied, as a restored image of a disk is: both think they are the one. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** @param from the folder of a device that is closed */
export async function copyStore(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true })
  // By this the stack would tell the copy; an image of a whole disk brings it along, with the inode that it names.
  await rm(join(to, 'logs', 'CORESTORE'))
}
