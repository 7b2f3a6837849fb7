/** Anchors and their proofs as they cross a port: hashes in hexadecimal, bytes in base64. */
import b4a from 'b4a'
import { invalid } from '../../errors.ts'
import type { Anchor, StoredAnchor } from '../anchors/anchors.ts'
import type { Space } from '../space.ts'

export interface PlainAnchor {
  /** 64 hexadecimal digits. */
  readonly hash: string
  readonly version: string
}

export interface PlainProof {
  readonly kind: string
  /** In base64. */
  readonly bytes: string
}

export interface PlainVerdict extends PlainProof {
  readonly verdict: 'holds' | 'fails' | 'unknown'
  /** When the authority saw the anchor, as ISO 8601 says it; null unless it holds. */
  readonly time: string | null
  readonly authority: string | null
  readonly problem: string | null
}

export interface PlainStoredAnchor extends PlainAnchor {
  readonly proofs: readonly PlainProof[]
}

/** With what is to be sent to a time-stamp authority, in base64. */
export interface NewPlainAnchor extends PlainAnchor {
  readonly request: string
}

export async function makeAnchor(space: Space): Promise<NewPlainAnchor> {
  const anchor = await space.anchor()
  const request = await space.anchors.request(anchor)
  return { ...plainAnchor(anchor), request: b4a.toString(request, 'base64') }
}

export function attachProof(space: Space, anchor: PlainAnchor, proof: PlainProof): Promise<void> {
  const bytes = b4a.from(proof.bytes, 'base64')
  return space.anchors.attach(anchorOf(anchor), { kind: proof.kind, bytes })
}

export async function listAnchors(space: Space): Promise<readonly PlainStoredAnchor[]> {
  const found: PlainStoredAnchor[] = []
  for await (const anchor of space.anchors.list())
    found.push({ ...plainAnchor(anchor), proofs: plainProofs(anchor) })
  return found
}

export async function verifyAnchor(
  space: Space,
  anchor: PlainAnchor,
  authorities: readonly string[]
): Promise<readonly PlainVerdict[]> {
  const { proofs } = await space.anchors.verify(anchorOf(anchor), { authorities })
  return proofs.map(({ bytes, time, ...verdict }) => ({
    ...verdict,
    bytes: b4a.toString(bytes, 'base64'),
    time: time?.toISOString() ?? null
  }))
}

function plainProofs({ proofs }: StoredAnchor): readonly PlainProof[] {
  return proofs.map(({ kind, bytes }) => ({ kind, bytes: b4a.toString(bytes, 'base64') }))
}

function plainAnchor({ hash, version }: Anchor): PlainAnchor {
  return { hash: b4a.toString(hash, 'hex'), version }
}

function anchorOf({ hash, version }: PlainAnchor): Anchor {
  if (!/^[0-9a-f]{64}$/i.test(hash)) invalid('hash', '64 hexadecimal digits', hash)
  return { hash: b4a.from(hash, 'hex'), version }
}
