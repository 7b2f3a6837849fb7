/**
 * The keystore: `keys.json`, readable by its owner only, sealed under a passphrase if one was given. Its fields are in
 * docs/FORMAT.md. It holds the one seed from which all key pairs are derived, and the keys of the spaces.
 */
import b4a from 'b4a'
import { ManyhandsError } from '../../errors.ts'
import {
  newPassphraseHash,
  openBox,
  passphraseToKey,
  randomBytes,
  sealBox,
  type PassphraseHash
} from '../crypto.ts'
import { attestFirst } from '../identity/proof.ts'
import { identityKeyPair, newEntropy } from '../identity/phrase.ts'
import { deviceKeyPair, type IdentitySecrets, type Secrets } from '../store.ts'
import { readFileIfAny, writeFileAtomic } from './files.ts'

const FORMAT = 'manyhands-keystore'
const VERSION = 1
const SEED_BYTES = 32
const SALT_BYTES = 16

/** More than any machine would be asked to spend: a damaged file must not exhaust this one. */
const MAX_OPSLIMIT = 1000
const MAX_MEMLIMIT = 2 ** 31

interface Lock {
  readonly kdf: PassphraseHash
  readonly key: Uint8Array
}

export class Keystore {
  readonly #path: string
  #lock: Lock | null
  /** Null while it is locked. */
  #secrets: Secrets | null

  private constructor(path: string, lock: Lock | null, secrets: Secrets) {
    this.#path = path
    this.#lock = lock
    this.#secrets = secrets
  }

  /** @throws DEVICE_LOCKED */
  get secrets(): Secrets {
    if (this.#secrets === null) throw locked()
    return this.#secrets
  }

  get isLocked(): boolean {
    return this.#secrets === null
  }

  /** Whether a passphrase protects it. */
  get hasPassphrase(): boolean {
    return this.#lock !== null || this.isLocked
  }

  /** @param to null: it lies open from now on @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG, DEVICE_LOCKED */
  async changePassphrase(from: string | null, to: string | null): Promise<void> {
    const { secrets } = this
    await checkPassphrase(this.#lock, from)
    const before = this.#lock
    const next = to === null ? null : await newLock(to)
    await this.#write(secrets, next)
    this.#lock = next
    before?.key.fill(0)
  }

  /** Zeroes what it keeps. To be called when nothing uses it any more. @throws PASSPHRASE_UNSET */
  lock(): void {
    if (this.#secrets === null) return
    if (this.#lock === null) {
      throw new ManyhandsError('PASSPHRASE_UNSET', 'This store has no passphrase to lock it with')
    }
    const { seed, identity, spaces } = this.#secrets
    const keys = spaces.flatMap(({ membershipKey, epochs }) => [membershipKey, ...epochs])
    for (const key of [seed, ...keys, this.#lock.key]) key.fill(0)
    identity.entropy?.fill(0)
    this.#secrets = null
    this.#lock = null
  }

  /** @throws PASSPHRASE_WRONG */
  async unlock(passphrase: string): Promise<void> {
    if (!this.isLocked) return
    const again = await Keystore.open(this.#path, passphrase)
    if (again === null) throw damaged()
    this.#lock = again.#lock
    this.#secrets = again.#secrets
  }

  static async create(path: string, passphrase: string | null): Promise<Keystore> {
    const lock = passphrase === null ? null : await newLock(passphrase)
    const seed = randomBytes(SEED_BYTES)
    const keystore = new Keystore(path, lock, {
      seed,
      identity: await newIdentity(seed),
      spaces: [],
      petnames: new Map(),
      revoked: new Set()
    })
    await keystore.save(keystore.secrets)
    return keystore
  }

  /** Null when there is none. @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG, STORE_IDENTITY_LOST, STORE_UNSUPPORTED */
  static async open(path: string, passphrase: string | null): Promise<Keystore | null> {
    const text = await readFileIfAny(path)
    if (text === null) return null
    const file = parse(text)
    if (file.kdf === undefined) {
      const secrets = decodeSecrets(file.secrets)
      // Whoever gives a passphrase believes that it protects something.
      if (passphrase !== null) {
        throw new ManyhandsError('PASSPHRASE_WRONG', 'This store was made without a passphrase')
      }
      return new Keystore(path, null, secrets)
    }
    if (passphrase === null) {
      throw new ManyhandsError('PASSPHRASE_REQUIRED', 'This store is protected by a passphrase')
    }
    const kdf = decodeKdf(file.kdf)
    const box = decodeHex(file.box)
    const key = await keyOf(passphrase, kdf)
    const plain = openBox(box, key)
    if (plain === null) throw wrong()
    const secrets = decodeSecrets(parseSecret(b4a.toString(plain)))
    plain.fill(0)
    return new Keystore(path, { kdf, key }, secrets)
  }

  async save(secrets: Secrets): Promise<void> {
    if (this.isLocked) throw locked()
    await this.#write(secrets, this.#lock)
    this.#secrets = secrets
  }

  async #write(secrets: Secrets, lock: Lock | null): Promise<void> {
    await writeFileAtomic(this.#path, `${JSON.stringify(encodeFile(secrets, lock), null, 2)}\n`)
  }
}

function encodeFile(secrets: Secrets, lock: Lock | null): object {
  const plain = encodeSecrets(secrets)
  if (lock === null) return { format: FORMAT, version: VERSION, secrets: plain }
  const { kdf, key } = lock
  const text = b4a.from(JSON.stringify(plain))
  const box = sealBox(text, key)
  text.fill(0)
  return {
    format: FORMAT,
    version: VERSION,
    kdf: { ...kdf, salt: b4a.toString(kdf.salt, 'hex') },
    box: b4a.toString(box, 'hex')
  }
}

async function checkPassphrase(lock: Lock | null, passphrase: string | null): Promise<void> {
  if (lock === null) {
    if (passphrase !== null) throw wrong()
    return
  }
  if (passphrase === null) {
    throw new ManyhandsError('PASSPHRASE_REQUIRED', 'This store is protected by a passphrase')
  }
  const key = await keyOf(passphrase, lock.kdf)
  const isRight = b4a.equals(key, lock.key)
  key.fill(0)
  if (!isRight) throw wrong()
}

/** Every device begins as an identity of its own. */
async function newIdentity(seed: Uint8Array): Promise<IdentitySecrets> {
  const entropy = newEntropy()
  const identity = await identityKeyPair(entropy)
  const attestation = attestFirst(identity, deviceKeyPair(seed).publicKey)
  identity.secretKey.fill(0)
  return { attestation, entropy }
}

async function newLock(passphrase: string): Promise<Lock> {
  const kdf = newPassphraseHash()
  return { kdf, key: await passphraseToKey(passphrase, kdf) }
}

/** What libsodium refuses to compute was never written by us. */
async function keyOf(passphrase: string, kdf: PassphraseHash): Promise<Uint8Array> {
  try {
    return await passphraseToKey(passphrase, kdf)
  } catch (error) {
    throw damaged(error)
  }
}

function parse(text: string): Record<string, unknown> {
  const file = parseSecret(text)
  if (!isRecord(file) || file.format !== FORMAT) throw damaged()
  if (file.version !== VERSION) {
    throw new ManyhandsError(
      'STORE_UNSUPPORTED',
      `The keystore has format version ${String(file.version)}`
    )
  }
  return file
}

/** What JSON says of a mistake quotes the text. */
function parseSecret(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged()
  }
}

function encodeSecrets({ seed, identity, spaces, petnames, revoked }: Secrets): object {
  const { attestation, entropy } = identity
  return {
    seed: b4a.toString(seed, 'hex'),
    identity: {
      attestation: b4a.toString(attestation, 'hex'),
      ...(entropy === null ? {} : { entropy: b4a.toString(entropy, 'hex') })
    },
    spaces: spaces.map(({ address, membershipKey, salt, later, epochs }) => ({
      address: b4a.toString(address, 'hex'),
      membershipKey: b4a.toString(membershipKey, 'hex'),
      salt: b4a.toString(salt, 'hex'),
      ...(later.length === 0 ? {} : { later: encodeKeys(later) }),
      ...(epochs.length === 0 ? {} : { epochs: encodeKeys(epochs) })
    })),
    ...(petnames.size === 0 ? {} : { petnames: Object.fromEntries(petnames) }),
    ...(revoked.size === 0 ? {} : { revoked: [...revoked] })
  }
}

function encodeKeys(keys: readonly Uint8Array[]): readonly string[] {
  return keys.map((key) => b4a.toString(key, 'hex'))
}

function decodeSecrets(plain: unknown): Secrets {
  if (!isRecord(plain) || !Array.isArray(plain.spaces)) throw damaged()
  const spaces = plain.spaces.map((space: unknown) => {
    if (!isRecord(space)) throw damaged()
    return {
      address: decodeKey(space.address),
      membershipKey: decodeKey(space.membershipKey),
      salt: decodeKey(space.salt),
      later: decodeKeys(space.later ?? []),
      epochs: decodeKeys(space.epochs ?? [])
    }
  })
  return {
    seed: decodeKey(plain.seed),
    identity: decodeIdentity(plain.identity),
    spaces,
    petnames: decodeNames(plain.petnames ?? {}),
    revoked: new Set(encodeKeys(decodeKeys(plain.revoked ?? [])))
  }
}

function decodeNames(names: unknown): ReadonlyMap<string, string> {
  if (!isRecord(names)) throw damaged()
  return new Map(
    Object.entries(names).map(([identity, name]) => {
      if (typeof name !== 'string') throw damaged()
      decodeKey(identity)
      return [identity, name]
    })
  )
}

function decodeIdentity(identity: unknown): IdentitySecrets {
  if (!isRecord(identity)) throw damaged()
  const { attestation, entropy } = identity
  return {
    attestation: decodeHex(attestation),
    entropy: entropy === undefined ? null : decodeKey(entropy)
  }
}

function decodeKdf(kdf: unknown): PassphraseHash {
  if (!isRecord(kdf) || kdf.algorithm !== 'argon2id13') throw damaged()
  const { opslimit, memlimit, salt } = kdf
  return {
    algorithm: 'argon2id13',
    opslimit: decodeLimit(opslimit, MAX_OPSLIMIT),
    memlimit: decodeLimit(memlimit, MAX_MEMLIMIT),
    salt: decodeHex(salt, SALT_BYTES)
  }
}

function decodeLimit(limit: unknown, max: number): number {
  if (typeof limit !== 'number' || !Number.isInteger(limit)) throw damaged()
  if (limit < 1 || limit > max) throw damaged()
  return limit
}

function decodeKeys(list: unknown): readonly Uint8Array[] {
  if (!Array.isArray(list)) throw damaged()
  return list.map(decodeKey)
}

function decodeKey(hex: unknown): Uint8Array {
  return decodeHex(hex, 32)
}

function decodeHex(hex: unknown, bytes?: number): Uint8Array {
  if (typeof hex !== 'string' || !/^([0-9a-f]{2})*$/.test(hex)) throw damaged()
  if (bytes !== undefined && hex.length !== 2 * bytes) throw damaged()
  return b4a.from(hex, 'hex')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function wrong(): ManyhandsError {
  return new ManyhandsError('PASSPHRASE_WRONG', 'The passphrase is wrong')
}

function locked(): ManyhandsError {
  return new ManyhandsError('DEVICE_LOCKED', 'The device is locked')
}

function damaged(cause?: unknown): ManyhandsError {
  return new ManyhandsError('STORE_IDENTITY_LOST', 'The keystore is damaged', { cause })
}
