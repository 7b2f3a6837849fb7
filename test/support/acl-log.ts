/** The records of a device's membership log, read anew from what is on the disk. */
import { decodeRecord, type AclLog } from '../../acl/index.ts'
import { BlockLog } from '../../core/index.ts'
import { keyOf } from '../../multiwriter/members/credentials.ts'

export async function readAclLog(core: BlockLog['core']): Promise<AclLog> {
  const log = new BlockLog(core.session(), true, () => {})
  await log.core.ready()
  await log.read()
  const records = log.blocks.map(({ block, treeHash }) => ({
    record: decodeRecord(block),
    treeHash: keyOf(treeHash)
  }))
  await log.close()
  return { core: keyOf(core.key), records }
}
