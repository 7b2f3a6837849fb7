/**
 * The first blocks of a log as a log of its own, which nobody can write to: its key says what stands in it, so whoever holds the blocks
 * can make it, and whoever is told of the key can fetch it from anybody. That is how a log is read whose writer may show another
 * history of it.
 *
 * Making one copies the blocks (35 us each of 1 kB), so it is made when somebody asks. It takes all of them: of a log that was cleared in
 * part, or is held in part, none can be made.
 */
import type Corestore from 'corestore'
import Hypercore, { type Manifest } from 'hypercore'
import { BlockCipher } from './block-cipher.ts'
import type { LogEncryption } from './block-keys.ts'

/** Which blocks. */
export interface Pin {
  readonly length: number
  /** What they hash to. */
  readonly treeHash: Uint8Array
}

/** @param log the log that its blocks were written to, which they are bound to where they are encrypted */
export async function openArchiveCore(
  corestore: Corestore,
  pin: Pin,
  log: Uint8Array,
  encryption: LogEncryption | null
): Promise<Hypercore> {
  const manifest = archiveManifest(pin)
  const core = corestore.get({
    key: Hypercore.key(manifest),
    manifest,
    allowFork: false,
    encryption: encryption === null ? null : new BlockCipher(encryption, log)
  })
  await core.ready()
  return core
}

/** Whether so many blocks of a log, or of its archive, are here. */
export function isWhole(log: Hypercore, { length }: Pick<Pin, 'length'>): boolean {
  return log.contiguousLength >= length
}

/** Copies the blocks out of the log. @returns whether they were all there */
export async function fillArchive(archive: Hypercore, log: Hypercore, pin: Pin): Promise<boolean> {
  if (isWhole(archive, pin)) return true
  if (log.contiguousLength < pin.length) return false
  try {
    await archive.core.copyPrologue(log.core.state)
    await keepBitfield(archive, pin)
  } catch {
    return false // something is missing, or the log is another
  }
  return isWhole(archive, pin)
}

/** The stack's copy puts what it writes of this into the wrong places where a log is longer than one page. */
async function keepBitfield(archive: Hypercore, { length }: Pin): Promise<void> {
  const tx = archive.core.state.storage.write()
  for (let seq = 0; seq < length; seq += BLOCKS_PER_PAGE) {
    const page = archive.core.bitfield.getBitfield(seq)
    if (page !== null) tx.putBitfieldPage(page.index, page.bitfield)
  }
  await tx.flush()
}

const BLOCKS_PER_PAGE = 32768

function archiveManifest({ length, treeHash: hash }: Pin): Manifest {
  return { version: 1, quorum: 0, signers: [], prologue: { length, hash } }
}
