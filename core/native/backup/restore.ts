/** Restores a backup as a new device. Everything is verified on the way into a folder beside; only what is whole gets its name. */
import { mkdtemp, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import b4a from 'b4a'
import { decode } from 'cborg'
import type Hypercore from 'hypercore'
import type { Manifest, TreeNodeHash } from 'hypercore'
import tar from 'tar-stream'
import { isManyhandsError, ManyhandsError } from '../../../errors.ts'
import { openBox, passphraseToKey, randomBytes } from '../../crypto.ts'
import type { DeviceStore, IdentitySecrets } from '../../store.ts'
import { hasCode, syncFolder } from '../files.ts'
import { openStore, type StoreOptions } from '../store.ts'
import { explained } from '../system-errors.ts'
import { certifyBy } from './certifier.ts'
import {
  CONTENTS,
  contentsHash,
  FORMAT,
  invalidBackup,
  KEYS,
  LABEL,
  MAX_MEMBER_BYTES,
  memberOf,
  VERSION,
  type Member,
  type SavedSpace
} from './format.ts'

export interface RestoreOptions extends StoreOptions {
  /** What the keys in the archive are wrapped with, or null. */
  readonly backupPassphrase?: string | null
  /** Called with the bytes read so far. */
  readonly onprogress?: (bytes: number) => void
}

export interface RestoreReport {
  /** What the device was called that made the backup, if anything. */
  readonly device: string | null
  /** When it was made, in ISO 8601. */
  readonly created: string
  /** Whether the new device is the same person's: only a backup under a passphrase can make it so. */
  readonly isSamePerson: boolean
  readonly spaces: number
  readonly logs: number
  readonly blocks: number
}

/**
 * Makes a store in `folder`, which must not be there or be empty, out of a backup.
 * @throws BACKUP_INVALID naming the member, PASSPHRASE_REQUIRED, PASSPHRASE_WRONG, STORE_ codes; then nothing was made
 */
export async function restoreBackup(
  folder: string,
  source: AsyncIterable<Uint8Array>,
  options: RestoreOptions = {}
): Promise<RestoreReport> {
  return explained(folder, async () => {
    await checkFree(folder)
    const place = await mkdtemp(join(dirname(resolve(folder)), `.${basename(folder)}-restoring-`))
    try {
      const report = await restoreInto(join(place, 'store'), source, options)
      await rmdir(folder).catch(() => {}) // empty, or not there
      await rename(join(place, 'store'), folder)
      await syncFolder(dirname(resolve(folder)))
      return report
    } finally {
      await rm(place, { recursive: true, force: true })
    }
  })
}

async function checkFree(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  })
  if (names.length === 0) return
  throw new ManyhandsError('STORE_FOREIGN', `The folder ${folder} is not empty`)
}

async function restoreInto(
  folder: string,
  source: AsyncIterable<Uint8Array>,
  options: RestoreOptions
): Promise<RestoreReport> {
  const store = await openStore(folder, options)
  const archive = new Restoring(store, options.backupPassphrase ?? null)
  try {
    for await (const { name, bytes } of membersOf(source, options)) await archive.take(name, bytes)
    return archive.finish()
  } finally {
    await archive.close()
    await store.close()
  }
}

/** The members one after the other, each whole. */
async function* membersOf(source: AsyncIterable<Uint8Array>, options: RestoreOptions) {
  const extract = tar.extract()
  let read = 0
  const feeding = feed(extract, source, (bytes) => options.onprogress?.((read += bytes)))
  feeding.catch((error: Error) => extract.destroy(error))
  let name = 'its beginning'
  try {
    for await (const entry of extract) {
      name = entry.header.name
      if ((entry.header.size ?? 0) > MAX_MEMBER_BYTES) throw invalidBackup(name, 'it is too large')
      yield { name, bytes: await whole(entry as AsyncIterable<Uint8Array>) }
    }
  } catch (error) {
    // Reading the source may fail in its own ways; what is no tar is ours to say.
    if (isManyhandsError(error) || hasCode(error, 'ENOENT', 'EACCES', 'EISDIR')) throw error
    throw invalidBackup(name, 'the archive is cut off or no tar archive', error)
  } finally {
    extract.destroy()
    await feeding.catch(() => {}) // shown by the stream that it destroyed
  }
}

async function feed(
  extract: tar.Extract,
  source: AsyncIterable<Uint8Array>,
  onread: (bytes: number) => void
): Promise<void> {
  for await (const chunk of source) {
    onread(chunk.byteLength)
    if (extract.destroyed) return
    if (!extract.write(chunk)) {
      await new Promise<void>((resolve) => {
        const resume = () => {
          extract.off('drain', resume)
          extract.off('close', resume)
          resolve()
        }
        extract.on('drain', resume)
        extract.on('close', resume)
      })
    }
  }
  extract.end(undefined)
}

async function whole(entry: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry) chunks.push(chunk)
  return b4a.concat(chunks)
}

/** An archive on its way into a store. */
class Restoring {
  readonly #store: DeviceStore
  readonly #passphrase: string | null
  readonly #members: Member[] = []
  #label: { readonly device: string | null; readonly created: string } | null = null
  #spaces: readonly SavedSpace[] | null = null
  #log: { readonly id: string; readonly core: Hypercore } | null = null
  #isSamePerson = false
  #logs = 0
  #blocks = 0
  #isWhole = false

  constructor(store: DeviceStore, passphrase: string | null) {
    this.#store = store
    this.#passphrase = passphrase
  }

  async take(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#isWhole) throw invalidBackup(name, 'it stands after the end')
    try {
      await this.#take(name, bytes)
    } catch (error) {
      if (isManyhandsError(error)) throw error
      throw invalidBackup(name, 'it is not what was backed up', error)
    }
    this.#members.push(memberOf(name, bytes))
  }

  finish(): RestoreReport {
    const last = this.#members.at(-1)?.name ?? 'its beginning'
    if (!this.#isWhole || this.#label === null) throw invalidBackup(last, 'what follows is missing')
    const spaces = this.#spaces?.length ?? 0
    const isSamePerson = this.#isSamePerson
    return { ...this.#label, isSamePerson, spaces, logs: this.#logs, blocks: this.#blocks }
  }

  async close(): Promise<void> {
    await this.#log?.core.close()
    this.#log = null
  }

  async #take(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#label === null) return this.#takeLabel(name, bytes)
    if (this.#spaces === null) return this.#takeKeys(name, bytes)
    if (name === CONTENTS) return this.#takeContents(bytes)
    const [, id, part] = /^logs\/([0-9a-f]{64})\/(head|blocks-\d{12,16})$/.exec(name) ?? []
    if (id === undefined) throw invalidBackup(name, 'nothing of that name belongs there')
    return part === 'head' ? this.#takeHead(id, bytes) : this.#takeBlocks(id, bytes)
  }

  async #takeLabel(name: string, bytes: Uint8Array): Promise<void> {
    if (name !== LABEL) throw invalidBackup(name, 'this is no backup of manyhands')
    const label = JSON.parse(b4a.toString(bytes)) as Record<string, unknown>
    if (label.format !== FORMAT) throw invalidBackup(name, 'this is no backup of manyhands')
    if (label.version !== VERSION) {
      const message = `The backup has format version ${String(label.version)}`
      throw new ManyhandsError('STORE_UNSUPPORTED', message)
    }
    const device = typeof label.device === 'string' ? label.device : null
    this.#label = { device, created: String(label.created) }
    if (device !== null) await this.#store.saveName(device)
  }

  async #takeKeys(name: string, bytes: Uint8Array): Promise<void> {
    if (name !== KEYS) throw invalidBackup(KEYS, 'it is missing')
    const { publicKey } = this.#store.keyPair
    const { spaces, identity } = await unwrapped(
      JSON.parse(b4a.toString(bytes)),
      this.#passphrase,
      publicKey
    )
    this.#isSamePerson = identity !== null
    const secrets = spaces.map(({ address, membershipKey, epochs }) => ({
      address,
      membershipKey,
      epochs,
      salt: randomBytes(32), // this device's own logs are new ones
      later: []
    }))
    const { secrets: fresh } = this.#store
    await this.#store.saveSecrets({
      ...fresh,
      spaces: secrets,
      identity: identity ?? fresh.identity
    })
    await this.#store.saveSpaces(spaces)
    this.#spaces = spaces
  }

  async #takeHead(id: string, bytes: Uint8Array): Promise<void> {
    await this.close()
    const key = b4a.from(id, 'hex')
    const isOurs = this.#spaces?.some(({ writers, acl }) =>
      [...writers, ...acl].some((each) => b4a.equals(each, key))
    )
    if (isOurs !== true) throw new TypeError('a log of no space')
    const core = await this.#store.remoteLog(key, null)
    this.#log = { id, core }
    const head = decode(bytes) as Head
    const upgrade = {
      start: 0,
      length: head.length,
      nodes: head.nodes.map(nodeOf),
      additionalNodes: head.additional.map(nodeOf),
      signature: head.signature
    }
    const { fork, manifest } = head
    const proof = { fork, block: null, hash: null, seek: null, upgrade, manifest }
    if (!(await core.applyProof(proof))) throw new TypeError('a head without a signature')
    this.#logs++
  }

  async #takeBlocks(id: string, bytes: Uint8Array): Promise<void> {
    if (this.#log?.id !== id) throw new TypeError('blocks without a head')
    const { core } = this.#log
    for (const [index, value, nodes] of decode(bytes) as [number, Uint8Array, PlainNode[]][]) {
      const block = { index, value, nodes: nodes.map(nodeOf) }
      const proof = { fork: 0, block, hash: null, seek: null, upgrade: null, manifest: null }
      if (!(await core.applyProof(proof))) throw new TypeError('a block without a proof')
      this.#blocks++
    }
  }

  #takeContents(bytes: Uint8Array): void {
    const { members, hash } = JSON.parse(b4a.toString(bytes)) as {
      readonly members: readonly Member[]
      readonly hash: string
    }
    if (contentsHash(members) !== hash) throw new TypeError('the list is not what was written')
    this.#members.forEach((member, i) => {
      const listed = members[i]
      if (listed?.name !== member.name)
        throw invalidBackup(listed?.name ?? member.name, 'it is missing')
      if (listed.hash !== member.hash) throw invalidBackup(member.name, 'it was changed')
    })
    const missing = members[this.#members.length]
    if (missing !== undefined) throw invalidBackup(missing.name, 'it is missing')
    this.#isWhole = true
  }
}

type PlainNode = readonly [index: number, size: number, hash: Uint8Array]

interface Head {
  readonly fork: number
  readonly length: number
  readonly manifest: Manifest
  readonly nodes: readonly PlainNode[]
  readonly additional: readonly PlainNode[]
  readonly signature: Uint8Array
}

function nodeOf([index, size, hash]: PlainNode): TreeNodeHash {
  return { index, size, hash }
}

interface Unwrapped {
  readonly spaces: readonly SavedSpace[]
  /** Null for a device that begins as a person of its own. */
  readonly identity: IdentitySecrets | null
}

/** @param device the new one's key @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG */
async function unwrapped(
  keys: unknown,
  passphrase: string | null,
  device: Uint8Array
): Promise<Unwrapped> {
  const file = keys as Record<string, unknown>
  if (file.kdf === undefined)
    return { spaces: (file.spaces as unknown[]).map(spaceOf), identity: null }
  if (passphrase === null) {
    throw new ManyhandsError('PASSPHRASE_REQUIRED', 'The keys of this backup are wrapped')
  }
  const kdf = file.kdf as Record<string, unknown>
  const key = await passphraseToKey(passphrase, {
    algorithm: 'argon2id13',
    opslimit: limit(kdf.opslimit, 1000),
    memlimit: limit(kdf.memlimit, 2 ** 31),
    salt: b4a.from(String(kdf.salt), 'hex')
  })
  const plain = openBox(b4a.from(String(file.box), 'hex'), key)
  if (plain === null) {
    throw new ManyhandsError('PASSPHRASE_WRONG', 'The passphrase of the backup is wrong')
  }
  const spaces = (JSON.parse(b4a.toString(plain)) as unknown[]).map(spaceOf)
  const { certifier } = file
  if (certifier === undefined) return { spaces, identity: null }
  const box = typeof certifier === 'string' ? b4a.from(certifier, 'hex') : new Uint8Array(0)
  const identity = certifyBy(box, key, device)
  if (identity === null) throw new TypeError('not what a device attests')
  return { spaces, identity }
}

/** A changed archive must not exhaust this machine. */
function limit(value: unknown, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max)
    return value
  throw new TypeError('not a cost of a passphrase')
}

function spaceOf(plain: unknown): SavedSpace {
  const space = plain as Record<string, unknown>
  if (typeof space.name !== 'string') throw new TypeError('a space without a name')
  return {
    address: keyOf(space.address),
    membershipKey: keyOf(space.membershipKey),
    epochs: Array.isArray(space.epochs) ? space.epochs.map(keyOf) : [],
    name: space.name,
    open: space.open === true,
    sparse: space.sparse === true,
    encrypted: space.encrypted !== false,
    writers: (space.writers as unknown[]).map(keyOf),
    acl: Array.isArray(space.acl) ? space.acl.map(keyOf) : []
  }
}

function keyOf(hex: unknown): Uint8Array {
  if (typeof hex !== 'string' || !/^[0-9a-f]{64}$/.test(hex)) throw new TypeError('not a key')
  return b4a.from(hex, 'hex')
}
