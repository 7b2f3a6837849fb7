/**
 * Looking for damage, before it is met by chance: every log's tree walked from its root to its last entry, read from the disk
 * anew; our own logs against the high-water; what was refused so far; what is announced and not here; the index against the
 * logs. It only looks: nothing is repaired, refused or cut by it. A sound space gives no finding.
 */
import { isManyhandsError } from '../errors.ts'
import {
  isWaitingForKey,
  TreeRefusal,
  type DeviceStore,
  type LogReader,
  type OwnLog,
  type ReadOptions,
  type Work
} from '../core/index.ts'
import { isReadable, TYPE_DOCUMENT_UPDATE, unpackEntry } from '../crdt/index.ts'
import { iterate } from './cursor.ts'
import type { Refusals } from './refusals.ts'
import type { Union } from './union.ts'
import type { Part } from './part.ts'

/** What was found, in one stable word; what to do about it stands in `FINDINGS`. */
export const FINDINGS = {
  'store-rolled-back': {
    severity: 'note',
    next: 'Nothing is to be done: this device goes on under new logs. What is missing of the old ones comes back from devices that hold it.'
  },
  'high-water': {
    severity: 'error',
    next: 'This log lost its end. Open the store again: this device then goes on under a new one.'
  },
  'own-tree-damaged': {
    severity: 'error',
    next: 'The disk lost or changed data. Connect to another device of the space, then join it as a new device.'
  },
  'tree-refused': {
    severity: 'warning',
    next: 'This writer made a tree that no honest version makes; its log is read only below it. Ask who it is.'
  },
  'blocks-missing': {
    severity: 'warning',
    next: 'Connect to a device that holds this log.'
  },
  'no-epoch-key': {
    severity: 'warning',
    next: 'Connect to a member who holds the key: reading goes on by itself when it has come.'
  },
  'held-back': {
    severity: 'note',
    next: 'It shows when the logs that it relied on are here as far, and are not sealed below that: connect to a device that holds them.'
  },
  'entry-unreadable': {
    severity: 'warning',
    next: 'These entries are left out of the database. Ask the writer to put the keys again.'
  },
  'entry-unsupported': {
    severity: 'note',
    next: 'A newer version wrote them: upgrade to read them.'
  },
  refused: {
    severity: 'note',
    next: 'Nothing is to be done here; the rest of the space is not touched.'
  },
  'index-differs': {
    severity: 'error',
    next: 'Build it again: manyhands doctor --repair, or space.repair(). It is made from the logs alone.'
  }
} as const

export type FindingCode = keyof typeof FINDINGS

export interface Finding {
  readonly code: FindingCode
  readonly severity: 'error' | 'warning' | 'note'
  /** Whose log, in text form; null for the device itself. */
  readonly writer: string | null
  readonly message: string
  /** What a person can do. */
  readonly next: string
}

export interface CheckParts {
  readonly store: DeviceStore
  readonly union: Union
  readonly own: OwnLog
  readonly refusals: Refusals
  /** Compares the local index, if there is one, with the logs: what differs, in one sentence each. */
  readonly checkIndex: (work: Work) => Promise<readonly string[]>
}

/** Everything that is wrong, worst first; [] for a sound space. */
export async function checkSpace(
  parts: CheckParts,
  { onprogress, signal }: Work
): Promise<readonly Finding[]> {
  const { store, union, own, refusals, checkIndex } = parts
  const found: Finding[] = []
  if (store.rolledBack !== null) found.push(finding('store-rolled-back', null, store.rolledBack))
  const lost = await store.checkLog(own)
  if (lost !== null) found.push(finding('high-water', null, lost))
  const view = await union.view(HERE)
  let done = 0
  const onentries = (count: number) => {
    done += count
    onprogress?.({ task: 'checking logs', done, unit: 'entries' })
  }
  for (const part of view.parts) {
    const log = union.log(part.core)
    if (log === null) continue
    found.push(...missingBlocks(log, part), ...heldBack(part))
    found.push(...(await checkTree(log, part, onentries, signal)))
  }
  found.push(...refusals.list().map(refusalFinding))
  for (const message of await checkIndex({ signal, onprogress }))
    found.push(finding('index-differs', null, message))
  return found.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}

const HERE: ReadOptions = { wait: false }

const ORDER = ['error', 'warning', 'note']

function finding(code: FindingCode, writer: string | null, message: string): Finding {
  return { code, writer, message, ...FINDINGS[code] }
}

/** What the writer has signed, and a full reader should hold. What lies behind a seal, who had it may have kept to itself. */
function missingBlocks(log: LogReader, { writer, isOwn, seal }: Part) {
  const { isSparse, signedLength, length, behind } = log
  if (behind !== null) {
    const message = `A key is missing: of ${signedLength} blocks ${length} can be read here`
    return [finding('no-epoch-key', writer, message)]
  }
  if (isSparse || length >= Math.min(signedLength, seal)) return []
  const code = isOwn ? 'own-tree-damaged' : 'blocks-missing'
  return [finding(code, writer, `${signedLength} blocks are signed, ${length} can be read here`)]
}

/** A log that pruned, relying on more of others than is read of them. */
function heldBack({ writer, tree, held }: Part): readonly Finding[] {
  if (held === undefined) return []
  const message = `It pruned relying on more of other logs than is read here: ${tree.length} of ${held.length} blocks are read`
  return [finding('held-back', writer, message)]
}

/** So many entries between two words of progress. */
const ENTRIES_PER_REPORT = 1024

/** Walks one tree; stops at the first place where it cannot go on. */
async function checkTree(
  log: LogReader,
  part: Part,
  onentries: (count: number) => void,
  signal: AbortSignal | undefined
): Promise<readonly Finding[]> {
  const tally = new Tally(part)
  let entries = 0
  try {
    const tree = log.reread(part.tree.length)
    for await (const { value, seq } of iterate(tree.cursor({}, HERE))) {
      tally.add(value, seq)
      entries++
      if (entries % ENTRIES_PER_REPORT !== 0) continue
      signal?.throwIfAborted()
      onentries(ENTRIES_PER_REPORT)
    }
  } catch (error) {
    signal?.throwIfAborted()
    const broken = brokenTree(error, log, part)
    if (broken !== null) return [broken, ...tally.findings()]
  }
  onentries(entries % ENTRIES_PER_REPORT)
  return tally.findings()
}

function brokenTree(
  error: unknown,
  { isSparse }: LogReader,
  { writer, isOwn }: Part
): Finding | null {
  if (isWaitingForKey(error)) return null // said already
  if (error instanceof TreeRefusal) {
    const message = `Block ${error.seq}: ${error.reason}`
    return finding(isOwn ? 'own-tree-damaged' : 'tree-refused', writer, message)
  }
  if (!isManyhandsError(error, 'BLOCK_UNAVAILABLE')) throw error
  // A sparse log is walked as far as it is here.
  if (isSparse) return null
  return finding(isOwn ? 'own-tree-damaged' : 'blocks-missing', writer, error.message)
}

/** Counts the entries of one log that cannot be read. */
class Tally {
  readonly #part: Part
  readonly #unreadable: number[] = []
  readonly #unsupported: number[] = []

  constructor(part: Part) {
    this.#part = part
  }

  add(value: Uint8Array, seq: number): void {
    const { core } = this.#part
    const unpacked = unpackEntry(value, core, seq)
    if (!unpacked.ok) {
      const list = unpacked.reason === 'entry-unsupported' ? this.#unsupported : this.#unreadable
      list.push(seq)
    } else if (unpacked.entry.type === 'unknown') {
      if (unpacked.entry.number !== TYPE_DOCUMENT_UPDATE) this.#unsupported.push(seq)
    } else if (!isReadable(unpacked.entry)) this.#unreadable.push(seq)
  }

  findings(): readonly Finding[] {
    return [
      ...this.#say('entry-unreadable', this.#unreadable),
      ...this.#say('entry-unsupported', this.#unsupported)
    ]
  }

  #say(code: FindingCode, blocks: readonly number[]): readonly Finding[] {
    if (blocks.length === 0) return []
    const message = `${blocks.length} ${blocks.length === 1 ? 'entry' : 'entries'}, the first in block ${Math.min(...blocks)}`
    return [finding(code, this.#part.writer, message)]
  }
}

function refusalFinding({ writer, reason, count, seq }: ReturnType<Refusals['list']>[number]) {
  return finding(
    'refused',
    writer,
    `${reason}, ${count === 1 ? 'once' : `${count} times, first`} at block ${seq}`
  )
}
