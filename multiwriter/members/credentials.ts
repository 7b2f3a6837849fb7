/**
 * What a device shows of itself, and how others check it: that it is an identity's, and that cores are its own. Keys are hex here, as
 * everywhere in `acl/`.
 *
 *     attestation = identity says device, or a device of it says the next (core/identity/proof.ts)
 *     core claim  = sign(device, "manyhands/core", space, core, use, identity)
 */
import b4a from 'b4a'
import {
  decodeRecord,
  encodeRecord,
  statementBytes,
  type CoreClaim,
  type DeviceClaim,
  type GrantRecord,
  type Hash,
  type Key,
  type RecoveryRecord,
  type SuccessorRecord,
  type Verifier
} from '../../acl/index.ts'
import {
  checkForkProof,
  hash,
  isAttested,
  isSigned,
  readAttestation,
  sign,
  type DeviceStore,
  type KeyPair,
  type Secrets
} from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { keyIn } from '../key-text.ts'
import type { LogPair } from '../own-logs.ts'

/** A device, and the cores that it asks to be let in with. */
export interface Credentials {
  readonly member: DeviceClaim
  readonly cores: readonly CoreClaim[]
}

const CORE = 'manyhands/core'
const STATEMENT = 'manyhands/statement'

/** Stands for the hash of what has no blocks, or whose hash is not here: it is compared with nothing. */
export const NO_HASH: Key = '0'.repeat(64)

export function keyOf(bytes: Uint8Array): Key {
  return b4a.toString(bytes, 'hex')
}

export function bytesOf(key: Key): Uint8Array {
  return b4a.from(key, 'hex')
}

/** Null for what is the text of no key. */
export function keyOfText(text: unknown): Key | null {
  const key = keyIn(text)
  return key === null ? null : keyOf(key)
}

/** This device's own, for one space, with any number of its logs. */
export function ownCredentials(
  { keyPair, secrets }: Pick<DeviceStore, 'keyPair' | 'secrets'>,
  space: Uint8Array,
  pairs: readonly LogPair[]
): Credentials {
  const { attestation } = secrets.identity
  const identity = identityIn(secrets)
  const { publicKey: device, secretKey } = keyPair
  const claim = (use: CoreClaim['use'], core: Uint8Array): CoreClaim => ({
    core: keyOf(core),
    use,
    signature: sign(secretKey, CORE, space, core, b4a.from(use), identity)
  })
  return {
    member: {
      identity: keyOf(identity),
      device: keyOf(device),
      attestation
    },
    cores: pairs.flatMap(({ acl, data }) => [claim('acl', acl), claim('data', data)])
  }
}

/** The identity that this device is of. */
export function identityIn({ identity: { attestation } }: Pick<Secrets, 'identity'>): Uint8Array {
  const claimed = readAttestation(attestation)
  if (claimed !== null) return claimed.identity
  throw new ManyhandsError('STORE_IDENTITY_LOST', 'The keystore does not say whose device this is')
}

/** By whose word a device is an identity's, that device last. */
export function devicesIn(attestation: Uint8Array): readonly Key[] {
  return readAttestation(attestation)?.devices.map(keyOf) ?? []
}

/** With this device's signature, as the first record of its log `core`. */
export function signSuccessor(
  { secretKey }: DeviceStore['keyPair'],
  space: Key,
  core: Key,
  record: SuccessorRecord
): SuccessorRecord {
  return { ...record, signature: sign(secretKey, STATEMENT, statementBytes(space, core, record)) }
}

/** With the identity's signature, as the first record of the log `core`. */
export function signRecovery(
  { secretKey }: KeyPair,
  space: Key,
  core: Key,
  record: RecoveryRecord
): RecoveryRecord {
  return { ...record, signature: sign(secretKey, STATEMENT, statementBytes(space, core, record)) }
}

/** The same few are asked about for each record that names them, and each takes a signature or more to check. */
const MAX_CHECKED = 4096
const checked = new Map<string, boolean>()

function isDevice({ identity, device, attestation }: DeviceClaim): boolean {
  const name = `${identity}/${device}/${keyOf(attestation)}`
  const known = checked.get(name)
  if (known !== undefined) return known
  const answer = isAttested(bytesOf(identity), bytesOf(device), attestation)
  if (checked.size >= MAX_CHECKED) checked.clear()
  checked.set(name, answer)
  return answer
}

export const verifier: Verifier = {
  device: isDevice,
  core: (space, { identity, device }, { core, use, signature }) => {
    const said = [bytesOf(space), bytesOf(core), b4a.from(use), bytesOf(identity)]
    return isSignature(signature) && isSigned(signature, bytesOf(device), CORE, ...said)
  },
  successor: (space, core, record) => {
    const { signature, member } = record
    return isStated(signature, member.device, statementBytes(space, core, record))
  },
  recovery: (space, core, record) => {
    const { signature, member } = record
    return isStated(signature, member.identity, statementBytes(space, core, record))
  },
  fork: ({ core, common, proof }) => checkForkProof(bytesOf(core), common, proof) !== null
}

/** Names generations of owners. */
export const hashText: Hash = (text) => keyOf(hash('manyhands/generation', b4a.from(text)))

/** Whether all of it is signed, for this space. */
export function areSound({ member, cores }: Credentials, space: Key): boolean {
  const isCore = (claim: CoreClaim) => verifier.core(space, member, claim)
  return cores.length > 0 && verifier.device(member) && cores.every(isCore)
}

/** As they are told to others: the grant that is asked for. */
export function encodeCredentials({ member, cores }: Credentials): Uint8Array {
  return encodeRecord({ kind: 'grant', heads: [], member, role: 'writer', prefixes: null, cores })
}

/** Null for what is none. Not checked. */
export function decodeCredentials(bytes: Uint8Array): GrantRecord | null {
  const record = decodeRecord(bytes)
  return typeof record !== 'string' && record.kind === 'grant' ? record : null
}

const SIGNATURE_BYTES = 64

function isSignature(bytes: Uint8Array): boolean {
  return bytes.byteLength === SIGNATURE_BYTES
}

function isStated(signature: Uint8Array, by: Key, statement: Uint8Array): boolean {
  return isSignature(signature) && isSigned(signature, bytesOf(by), STATEMENT, statement)
}
