/**
 * A backup: one tar archive of a device's spaces (docs/FORMAT.md, "Backup"). Each log is written as a peer would send it: the signed
 * head, then its blocks with the hashes that prove them, so a restored log is verified block by block like a downloaded one.
 * The device's seed is not in it: what is restored is a new device, under a passphrase one of the same person (certifier.ts), and the old
 * one's logs are somebody's to read.
 */
import b4a from 'b4a'
import { ManyhandsError } from '../../../errors.ts'
import { hash } from '../../crypto.ts'
import type { Work } from '../../progress.ts'
import type { SpaceRecord } from '../../store.ts'

export const FORMAT = 'manyhands-backup'
export const VERSION = 1

/** The first member, the one with the keys, and the last. */
export const LABEL = 'manyhands-backup.json'
export const KEYS = 'keys.json'
export const CONTENTS = 'contents.json'

/** Members are read whole: blocks are spread over several. */
export const MEMBER_BYTES = 1024 * 1024

/** One block of the stack's largest size, its hashes, and room. */
export const MAX_MEMBER_BYTES = 64 * 1024 * 1024

/** Stopped by `signal`, the archive lacks its end, and nobody takes it for one. */
export interface BackupOptions extends Work {
  /** Wraps the keys of the spaces; null leaves them open to whoever has the archive. */
  readonly passphrase: string | null
}

/** What is restored of a space. The salt is not: the new device has logs of its own. */
export interface SavedSpace extends SpaceRecord {
  readonly membershipKey: Uint8Array
  /** Without them nobody could read what is restored before it is let in. */
  readonly epochs: readonly Uint8Array[]
}

export interface Member {
  readonly name: string
  readonly size: number
  /** BLAKE2b-256, in hex. */
  readonly hash: string
}

export function memberOf(name: string, bytes: Uint8Array): Member {
  const digest = hash('manyhands/backup/member', b4a.from(name), bytes)
  return { name, size: bytes.byteLength, hash: b4a.toString(digest, 'hex') }
}

/** Of the whole list: what `contents.json` says of itself. */
export function contentsHash(members: readonly Member[]): string {
  const lines = members.map(({ name, size, hash }) => `${hash} ${size} ${name}\n`)
  return b4a.toString(hash('manyhands/backup/contents', b4a.from(lines.join(''))), 'hex')
}

export function headName(core: string): string {
  return `logs/${core}/head`
}

export function blocksName(core: string, first: number): string {
  return `logs/${core}/blocks-${String(first).padStart(12, '0')}`
}

export function invalidBackup(member: string, problem: string, cause?: unknown): ManyhandsError {
  const message = `The backup is broken at ${member}: ${problem}`
  return new ManyhandsError('BACKUP_INVALID', message, { cause })
}
