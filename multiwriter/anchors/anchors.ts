/**
 * Anchors: 32 bytes that commit to a whole space, every log of it, so that a proof from outside about these bytes (an authority that
 * saw them at some time, a newspaper, a block chain) is one about the space. They say nothing about what stands in it, so they can be
 * shown to anybody. Proofs are kept in the space, beside what they are about (docs/FORMAT.md, "Anchor").
 *
 *     anchor = BLAKE2b-256("manyhands/anchor", address, (core, length u64, tree hash)* of acl, 0x00, the same of data)
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import type { Version } from '../../clock/index.ts'
import { hash, type ReadOptions } from '../../core/index.ts'
import type { Value } from '../../crdt/index.ts'
import { checkOptions, invalid, ManyhandsError } from '../../errors.ts'
import { readVersion, versionNow } from '../checkout.ts'
import { keyEncodingOf, valueEncodingOf } from '../encodings.ts'
import type { Engine } from '../engine.ts'
import type { Entry } from '../entry.ts'
import { Keyspace, SECTION_ANCHORS } from '../keyspace.ts'
import { MultiBee } from '../multibee.ts'
import { checkRead, READ_OPTIONS } from '../options.ts'
import { hashesOf, type HashedLog } from '../strong-link.ts'
import { checkTimestamp, timestampRequest, verifyTimestamp } from './timestamp.ts'

export interface Anchor {
  /** 32 bytes. */
  readonly hash: Uint8Array
  /** What they commit to: a text as `space.version()` gives it, with the membership logs. */
  readonly version: string
}

/** What somebody outside says about an anchor. */
export interface Proof {
  /** 'rfc3161' is a time-stamp token, or the response that it came in. Other kinds are kept, and told of, as they are. */
  readonly kind: string
  /** At most 64 KiB. */
  readonly bytes: Uint8Array
}

export interface StoredAnchor extends Anchor {
  readonly proofs: readonly Proof[]
}

export interface ProvedAnchor extends Anchor {
  readonly proofs: readonly ProofVerdict[]
}

export interface ProofVerdict extends Proof {
  /** 'unknown' of a kind that nothing is known of here. */
  readonly verdict: 'holds' | 'fails' | 'unknown'
  /** When the authority saw the anchor; null unless it holds. */
  readonly time: Date | null
  /** Who says so; null unless it holds. */
  readonly authority: string | null
  /** Why it fails, or null. */
  readonly problem: string | null
}

export interface VerifyOptions extends ReadOptions {
  /** Certificates of the time-stamp authorities that are trusted, as PEM. */
  readonly authorities?: readonly string[]
}

export interface AnchorsParts {
  readonly engine: Engine
  readonly address: Uint8Array
  checkOpen(): void
}

const CONTEXT = 'manyhands/anchor'
const HASH_BYTES = 32
const MAX_PROOF_BYTES = 64 * 1024
const MAX_KIND_LENGTH = 64

/** Between membership logs and data logs: none of either is one byte long. */
const BORDER = new Uint8Array(1)

/** How tokens are told from other proofs. */
const RFC3161 = 'rfc3161'

export class Anchors {
  readonly #parts: AnchorsParts
  readonly #kept: MultiBee<Uint8Array>

  constructor(parts: AnchorsParts) {
    this.#parts = parts
    this.#kept = new MultiBee(
      parts.engine,
      new Keyspace([], SECTION_ANCHORS),
      keyEncodingOf<Uint8Array>('binary'),
      valueEncodingOf<Value>('json')
    )
  }

  /** @see Space.anchor */
  async make(options: ReadOptions): Promise<Anchor> {
    const { engine } = this.#parts
    const version = await versionNow(engine, options)
    return { hash: await this.#hash(readVersion(version, engine.tag), options), version }
  }

  /** The request to send to a time-stamp authority (RFC 3161, `application/timestamp-query`). It answers with a proof to attach. */
  async request(anchor: Anchor): Promise<Uint8Array> {
    checkAnchor(anchor)
    return timestampRequest(anchor.hash)
  }

  /**
   * Keeps a proof in the space, for all members. Resolves when it is durable.
   * @throws PROOF_INVALID for a token about something else; nothing is written then
   */
  async attach(anchor: Anchor, proof: Proof): Promise<void> {
    this.#parts.checkOpen()
    const { hash: key, version } = checkAnchor(anchor)
    const { kind, bytes } = checkProof(proof)
    readVersion(version, this.#parts.engine.tag)
    if (kind === RFC3161) await checkTimestamp(bytes, key)
    const id = b4a.toString(hash(CONTEXT, b4a.from(kind), bytes), 'hex')
    // Fields of their own, so that proofs that are attached on two devices at once stand side by side.
    await this.#kept.patch(key, { version, proofs: { [id]: { kind, bytes } } })
  }

  /** Anchors that have proofs, in the order of their hashes. */
  async *list(options: ReadOptions = {}): AsyncIterableIterator<StoredAnchor> {
    this.#parts.checkOpen()
    for await (const entry of this.#kept.createReadStream(options)) {
      const anchor = storedAnchor(entry)
      if (anchor === null)
        this.#parts.engine.refusals.add(entry.writer, 'anchor-malformed', entry.seq)
      else yield anchor
    }
  }

  /**
   * Whether the logs here are those that an anchor was made of, and what its proofs say.
   * @throws ANCHOR_MISMATCH where a log has another past, VERSION_UNAVAILABLE where not all of it is here
   */
  async verify(anchor: Anchor, options: VerifyOptions = {}): Promise<ProvedAnchor> {
    this.#parts.checkOpen()
    checkOptions('verify', options, [...READ_OPTIONS, 'authorities'])
    checkRead(options)
    const { authorities = [], ...reading } = options
    if (!Array.isArray(authorities)) invalid('authorities', 'an array of PEM texts', authorities)
    const { hash: key, version } = checkAnchor(anchor)
    const made = await this.#hash(readVersion(version, this.#parts.engine.tag), reading)
    if (!b4a.equals(made, key)) {
      throw new ManyhandsError('ANCHOR_MISMATCH', 'The logs here are not those of the anchor')
    }
    const entry = await this.#kept.get(key, reading)
    const proofs = entry === null ? [] : (storedAnchor(entry)?.proofs ?? [])
    const verdicts = proofs.map((proof) => verdictOn(proof, key, authorities))
    return { hash: key, version, proofs: await Promise.all(verdicts) }
  }

  async #hash(version: Version, options: ReadOptions): Promise<Uint8Array> {
    const { engine, address } = this.#parts
    const { acl, data } = await hashesOf(engine, version, options)
    return anchorHash(address, acl, data)
  }
}

/** The 32 bytes. Logs rise by key. */
export function anchorHash(
  address: Uint8Array,
  acl: readonly HashedLog[],
  data: readonly HashedLog[]
): Uint8Array {
  const partsOf = ({ core, length, treeHash }: HashedLog) => [
    core,
    c.encode(c.uint64, length),
    treeHash
  ]
  return hash(CONTEXT, address, ...acl.flatMap(partsOf), BORDER, ...data.flatMap(partsOf))
}

async function verdictOn(
  proof: Proof,
  hashed: Uint8Array,
  authorities: readonly string[]
): Promise<ProofVerdict> {
  const nothing = { ...proof, time: null, authority: null, problem: null }
  if (proof.kind !== RFC3161) return { ...nothing, verdict: 'unknown' }
  try {
    return {
      ...nothing,
      verdict: 'holds',
      ...(await verifyTimestamp(proof.bytes, hashed, authorities))
    }
  } catch (error) {
    if (!(error instanceof ManyhandsError) || error.code !== 'PROOF_INVALID') throw error
    return { ...nothing, verdict: 'fails', problem: error.message }
  }
}

/** What a member wrote there may be anything; null for what is no anchor. */
function storedAnchor({ key, value }: Entry<Uint8Array, Value>): StoredAnchor | null {
  if (key.byteLength !== HASH_BYTES || !isObject(value)) return null
  const { version, proofs } = value
  if (typeof version !== 'string' || !isObject(proofs)) return null
  const read = Object.values(proofs).flatMap((each) => storedProof(each) ?? [])
  return { hash: key, version, proofs: read }
}

function storedProof(value: Value | undefined): Proof | null {
  if (!isObject(value)) return null
  const { kind, bytes } = value
  return typeof kind === 'string' && bytes instanceof Uint8Array ? { kind, bytes } : null
}

function isObject(value: Value | undefined): value is Readonly<Record<string, Value>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  )
}

function checkAnchor(anchor: Anchor): Anchor {
  if (typeof anchor !== 'object' || anchor === null) invalid('anchor', 'what anchor() gave', anchor)
  const { hash: key, version } = anchor
  if (!(key instanceof Uint8Array) || key.byteLength !== HASH_BYTES) {
    invalid('anchor.hash', '32 bytes', key)
  }
  if (typeof version !== 'string') invalid('anchor.version', 'a text', version)
  return anchor
}

function checkProof(proof: Proof): Proof {
  if (typeof proof !== 'object' || proof === null) invalid('proof', '{ kind, bytes }', proof)
  const { kind, bytes } = proof
  if (typeof kind !== 'string' || kind === '' || kind.length > MAX_KIND_LENGTH) {
    invalid('proof.kind', `a text of 1 to ${MAX_KIND_LENGTH} characters`, kind)
  }
  if (!(bytes instanceof Uint8Array) || bytes.byteLength === 0)
    invalid('proof.bytes', 'bytes', bytes)
  if (bytes.byteLength > MAX_PROOF_BYTES) {
    invalid('proof.bytes', `at most ${MAX_PROOF_BYTES} bytes`, bytes.byteLength)
  }
  return proof
}
