/** Writes a backup. It streams: memory holds one member at a time. */
import b4a from 'b4a'
import { encode } from 'cborg'
import type Hypercore from 'hypercore'
import type { TreeNodeHash } from 'hypercore'
import tar from 'tar-stream'
import { ManyhandsError } from '../../../errors.ts'
import { newPassphraseHash, passphraseToKey, sealBox } from '../../crypto.ts'
import type { Work } from '../../progress.ts'
import { ownLogKey, saltsOf, type DeviceStore } from '../../store.ts'
import { sealCertifier } from './certifier.ts'
import {
  blocksName,
  CONTENTS,
  contentsHash,
  FORMAT,
  headName,
  KEYS,
  LABEL,
  MEMBER_BYTES,
  memberOf,
  VERSION,
  type BackupOptions,
  type Member,
  type SavedSpace
} from './format.ts'
import { KnownNodes } from './known-nodes.ts'

/** The archive in pieces, to be written as they come. */
export async function* writeBackup(
  store: DeviceStore,
  { passphrase, ...work }: BackupOptions
): AsyncGenerator<Uint8Array> {
  const pack = tar.pack()
  const packing = fill(pack, store, passphrase, work)
  packing.catch((error: Error) => pack.destroy(error))
  try {
    for await (const chunk of pack as AsyncIterable<Uint8Array>) yield chunk
  } finally {
    pack.destroy()
    await packing.catch(() => {}) // shown by the stream that it destroyed
  }
}

async function fill(
  pack: tar.Pack,
  store: DeviceStore,
  passphrase: string | null,
  work: Work
): Promise<void> {
  const members: Member[] = []
  const add = async (name: string, content: Uint8Array | object): Promise<void> => {
    const bytes = content instanceof Uint8Array ? content : jsonBytes(content)
    members.push(memberOf(name, bytes))
    await addMember(pack, name, bytes)
  }
  const spaces = savedSpaces(store)
  const label = { format: FORMAT, version: VERSION, created: new Date(), device: store.name }
  await add(LABEL, label)
  await add(KEYS, await wrapped(store, spaces, passphrase))
  const logs = new Map(
    spaces.flatMap(({ writers, acl }) =>
      [...writers, ...acl].map((key) => [b4a.toString(key, 'hex'), key])
    )
  )
  const count = blockCounter(await blocksIn(store, [...logs.values()]), work)
  for (const [id, key] of logs) await addLog(store, id, key, add, count)
  await add(CONTENTS, { members: [...members], hash: contentsHash(members) })
  pack.finalize()
}

/** The spaces as a new device will know them: this device's own logs are others' to it. */
function savedSpaces(store: DeviceStore): SavedSpace[] {
  const { seed, spaces: secrets } = store.secrets
  return store.spaces.flatMap((record) => {
    const secret = secrets.find(({ address }) => b4a.equals(address, record.address))
    if (secret === undefined) return [] // its keys are lost: nothing could be opened
    const own = (use: string) => saltsOf(secret).map((salt) => ownLogKey(seed, use, salt))
    const writers = [...own('data'), ...record.writers]
    const acl = [...own('acl'), ...record.acl]
    const { membershipKey, epochs } = secret
    return [{ ...record, writers, acl, membershipKey, epochs }]
  })
}

async function wrapped(
  store: DeviceStore,
  spaces: readonly SavedSpace[],
  passphrase: string | null
): Promise<object> {
  const plain = spaces.map(
    ({ address, membershipKey, epochs, name, open, sparse, encrypted, writers, acl }) => ({
      address: b4a.toString(address, 'hex'),
      membershipKey: b4a.toString(membershipKey, 'hex'),
      epochs: epochs.map((key) => b4a.toString(key, 'hex')),
      name,
      open,
      sparse,
      encrypted,
      writers: writers.map((writer) => b4a.toString(writer, 'hex')),
      acl: acl.map((core) => b4a.toString(core, 'hex'))
    })
  )
  if (passphrase === null) return { spaces: plain }
  const kdf = newPassphraseHash()
  const key = await passphraseToKey(passphrase, kdf)
  const box = sealBox(b4a.from(JSON.stringify(plain)), key)
  const certifier = sealCertifier(store, key)
  key.fill(0)
  return {
    kdf: { ...kdf, salt: b4a.toString(kdf.salt, 'hex') },
    box: b4a.toString(box, 'hex'),
    ...(certifier === null ? {} : { certifier: b4a.toString(certifier, 'hex') })
  }
}

type Add = (name: string, content: Uint8Array | object) => Promise<void>

/** Takes note of blocks that are read. @throws the signal's reason */
type Count = (blocks: number) => void

function blockCounter(total: number, { signal, onprogress }: Work): Count {
  let done = 0
  return (blocks) => {
    signal?.throwIfAborted()
    done += blocks
    onprogress?.({ task: 'backing up', done, total, unit: 'blocks' })
  }
}

async function blocksIn(store: DeviceStore, keys: readonly Uint8Array[]): Promise<number> {
  let total = 0
  for (const key of keys) {
    const core = await store.remoteLog(key, null)
    total += core.length
    await core.close()
  }
  return total
}

async function addLog(
  store: DeviceStore,
  id: string,
  key: Uint8Array,
  add: Add,
  count: Count
): Promise<void> {
  const core = await store.remoteLog(key, null)
  try {
    // What is appended from now on belongs to the next backup.
    const { length } = core
    if (length === 0) return
    const { upgrade, fork } = await core.proof({ upgrade: { start: 0, length } })
    if (upgrade === null) return
    const nodes = upgrade.nodes.map(plainNode)
    const additional = upgrade.additionalNodes.map(plainNode)
    const { signature } = upgrade
    const head = { fork, length, manifest: core.manifest, nodes, additional, signature }
    await add(headName(id), encode(head))
    for await (const { first, blocks } of blockGroups(core, length, count)) {
      await add(blocksName(id, first), encode(blocks))
    }
  } finally {
    await core.close()
  }
}

/** So many blocks between two words of progress. */
const BLOCKS_PER_REPORT = 64

/** Blocks that are here, with their proofs, as many as a member takes. */
async function* blockGroups(core: Hypercore, length: number, count: Count) {
  const known = new KnownNodes(length)
  let blocks: unknown[] = []
  let bytes = 0
  let first = 0
  for (let index = 0; index < length; index++) {
    if (index % BLOCKS_PER_REPORT === 0) count(Math.min(BLOCKS_PER_REPORT, length - index))
    if (!(await core.has(index))) continue
    const { block } = await core.proof({ block: { index, nodes: known.take(index) } })
    if (block === null || !block.value) {
      // The reader would lack the hashes that were to come with it.
      throw new ManyhandsError('STORE_FAILED', 'A log was cleared while it was backed up')
    }
    if (blocks.length === 0) first = index
    blocks.push([index, block.value, block.nodes.map(plainNode)])
    bytes += block.value.byteLength + 64 * (1 + block.nodes.length)
    if (bytes < MEMBER_BYTES) continue
    yield { first, blocks }
    blocks = []
    bytes = 0
  }
  if (blocks.length > 0) yield { first, blocks }
}

function plainNode({ index, size, hash }: TreeNodeHash) {
  return [index, size, hash]
}

function jsonBytes(content: object): Uint8Array {
  return b4a.from(`${JSON.stringify(content, null, 2)}\n`)
}

/** Resolves when the reader has taken it. */
function addMember(pack: tar.Pack, name: string, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const entry = pack.entry({ name, size: bytes.byteLength, mode: 0o600 }, (error) =>
      error ? reject(error) : resolve()
    )
    entry.end(bytes)
  })
}
