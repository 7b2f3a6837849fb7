/**
 * All acl logs held, as one graph: which record had seen which. A record's causal past is its own log before it, and everything
 * at and below the heads it names, as far as these are held, whether it is valid or not. A head counts when the log is held to that
 * length *with that hash*: so nobody can claim to have seen what is not written yet, and the graph has no circles.
 *
 * A log that forked is a tree. It is laid out in *lines*: a line runs straight, each further branch starts a line of its own. A
 * record's past is one length per line, shared with the record before it unless it names something new; so asking whether
 * one record saw another costs one look-up. The slow twin is in test/oracle/membership.ts.
 */
import type { AclLog, AclRecord, Head, Key, LoggedRecord, Unreadable } from './records.ts'

/** A record in its place. */
export interface Entry {
  readonly core: Key
  /** Records before it in its log. */
  readonly index: number
  readonly treeHash: Key
  readonly record: AclRecord | Unreadable
  readonly previous: Entry | null
  readonly line: number
}

/** Where the causal past of a record ends in each line but its own. */
type Past = Uint32Array

interface Line {
  readonly entries: Node[]
  /** All but acknowledgements, of which there are more than of all others. */
  readonly acts: Node[]
  /** Records before the first entry: where it left the line it branched from. */
  readonly start: number
  /** How many of its entries have their past. */
  settled: number
}

class Node implements Entry {
  past: Past = NOTHING
  readonly core: Key
  readonly index: number
  readonly treeHash: Key
  readonly record: AclRecord | Unreadable
  readonly previous: Node | null
  readonly line: number

  constructor(core: Key, { record, treeHash }: LoggedRecord, previous: Node | null, line: number) {
    this.core = core
    this.index = previous === null ? 0 : previous.index + 1
    this.treeHash = treeHash
    this.record = record
    this.previous = previous
    this.line = line
  }
}

const NOTHING: Past = new Uint32Array(0)
const NO_HEADS: readonly Head[] = []
const NOBODY: readonly Node[] = []

export class History {
  readonly #nodes = new Map<string, Node>()
  readonly #lines: Line[] = []
  /** In the order of arrival. */
  readonly #all: Node[] = []
  /** The last record of each branch of a core. */
  readonly #tips = new Map<Key, Node[]>()
  /** Heads that were named and are not held. */
  readonly #missing = new Set<string>()
  /** What is held is never lost again. */
  readonly #whole = new WeakSet<Node>()
  #needsReset = false
  /** How often records came that others had named before. */
  revision = 0

  /** Takes in what these logs have beyond what is held of them. @returns the records that are new */
  add(logs: Iterable<AclLog>): readonly Entry[] {
    const added: Node[] = []
    for (const log of logs) this.#addLog(log, added)
    if (added.length > 0) this.#settle()
    return added
  }

  #addLog({ core, records }: AclLog, added: Node[]): void {
    let previous: Node | null = null
    for (const [index, logged] of records.entries()) {
      const id: string = idOf(core, index + 1, logged.treeHash)
      const known: Node | undefined = this.#nodes.get(id)
      previous = known ?? this.#append(core, logged, previous)
      if (known !== undefined) continue
      added.push(previous)
      this.#nodes.set(id, previous)
      if (this.#missing.delete(id)) this.#needsReset = true
    }
  }

  #append(core: Key, logged: LoggedRecord, previous: Node | null): Node {
    const tips = this.#tips.get(core) ?? []
    this.#tips.set(core, tips)
    const at = previous === null ? -1 : tips.indexOf(previous)
    const line = previous !== null && at !== -1 ? previous.line : this.#newLine(previous)
    const node = new Node(core, logged, previous, line)
    this.#lines[line]?.entries.push(node)
    if (!isAck(node)) this.#lines[line]?.acts.push(node)
    this.#all.push(node)
    if (at === -1) tips.push(node)
    else tips[at] = node
    return node
  }

  #newLine(previous: Node | null): number {
    const start = previous === null ? 0 : previous.index + 1
    this.#lines.push({ entries: [], acts: [], start, settled: 0 })
    return this.#lines.length - 1
  }

  /** The record with which a log ends at this head, if it is held. */
  at(head: Head): Entry | null {
    return this.#nodes.get(idOf(head.core, head.length, head.treeHash)) ?? null
  }

  /** The records of a branch, from the first to this one; and those that follow it later. */
  branch(tip: Entry): readonly Entry[] {
    const { entries, start } = this.#lines[tip.line] ?? { entries: [], start: 0 }
    const length = tip.index + 1 - start
    const own = length === entries.length ? entries : entries.slice(0, length)
    const previous = entries[0]?.previous ?? null
    return previous === null ? own : [...this.branch(previous), ...own]
  }

  /** The same without acknowledgements. */
  acts(tip: Entry): readonly Entry[] {
    const line = this.#lines[tip.line]
    const isWhole = line !== undefined && line.start === 0 && line.entries.at(-1) === tip
    return isWhole ? line.acts : this.branch(tip).filter((entry) => !isAck(entry))
  }

  /** The last record of each branch of a core: one, unless it forked. */
  tips(core: Key): readonly Entry[] {
    return this.#tips.get(core) ?? []
  }

  cores(): Iterable<Key> {
    return this.#tips.keys()
  }

  /** All that are no acknowledgements. */
  *allActs(): Iterable<Entry> {
    for (const { acts } of this.#lines) yield* acts
  }

  /** How many records are held. */
  get size(): number {
    return this.#all.length
  }

  /** The first that arrived. */
  entries(count: number): readonly Entry[] {
    return this.#all.slice(0, count)
  }

  /** Whether `earlier` is in the causal past of `later`. No record has seen itself. */
  sees(later: Entry, earlier: Entry): boolean {
    if (later.line === earlier.line) return earlier.index < later.index
    const node = this.#nodeOf(later)
    return (node.past[earlier.line] ?? 0) > earlier.index
  }

  /** Whether all that its author had named by then is held, and so all that a careful one had seen. */
  isWhole(entry: Entry): boolean {
    const unknown: Node[] = []
    let node: Node | null = this.#nodeOf(entry)
    for (; node !== null && !this.#whole.has(node); node = node.previous) unknown.push(node)
    for (const each of unknown.reverse()) {
      if (!headsOf(each).every((head) => this.at(head) !== null)) return false
      this.#whole.add(each)
    }
    return true
  }

  #nodeOf(entry: Entry): Node {
    if (entry instanceof Node) return entry
    throw new TypeError('An entry of another history')
  }

  /** Gives each record its past, after those that it names. Hashes forbid circles; if they lie, what is in one sees less. */
  #settle(): void {
    if (this.#needsReset) {
      this.revision++
      for (const line of this.#lines) line.settled = 0
    }
    this.#needsReset = false
    const unsettled = () => this.#lines.filter(({ entries, settled }) => settled < entries.length)
    this.#advance(unsettled())
    for (let [stuck] = unsettled(); stuck !== undefined; [stuck] = unsettled()) {
      this.#settleNext(stuck, this.#heldBy(stuck.entries[stuck.settled]))
      this.#advance(unsettled())
    }
  }

  /** Settles what can be, starting with these lines. */
  #advance(lines: Line[]): void {
    const waiting = new Map<Node, Line[]>()
    for (let line = lines.pop(); line !== undefined; line = lines.pop()) {
      for (let node = line.entries[line.settled]; node; node = line.entries[line.settled]) {
        const held = this.#heldBy(node)
        const blocker = this.#blockerOf(node, held)
        if (blocker !== undefined) {
          waiting.set(blocker, [...(waiting.get(blocker) ?? []), line])
          break
        }
        this.#settleNext(line, held)
        lines.push(...(waiting.get(node) ?? []))
      }
    }
  }

  #settleNext(line: Line, held: readonly Node[]): void {
    const node = line.entries[line.settled]
    if (node === undefined) return
    node.past = this.#pastOf(node, held)
    line.settled++
  }

  /** A record that this one follows or names, and whose past is not known yet. */
  #blockerOf({ previous }: Node, held: readonly Node[]): Node | undefined {
    if (previous !== null && !this.#isSettled(previous)) return previous
    return held.find((each) => !this.#isSettled(each))
  }

  #heldBy(node: Node | undefined): readonly Node[] {
    if (node === undefined || headsOf(node).length === 0) return NOBODY
    return headsOf(node).flatMap((head) => {
      const id = idOf(head.core, head.length, head.treeHash)
      const held = this.#nodes.get(id)
      if (held === undefined) this.#missing.add(id)
      return held ?? []
    })
  }

  #isSettled({ line, index }: Node): boolean {
    const { start, settled } = this.#lines[line] ?? { start: 0, settled: 0 }
    return index < start + settled
  }

  #pastOf(node: Node, held: readonly Node[]): Past {
    const { previous } = node
    const inherited = previous === null ? NOTHING : previous.past
    let own: Past | null = null
    const see = (seen: Node) => {
      if (seen.line === node.line || ((own ?? inherited)[seen.line] ?? 0) > seen.index) return
      own ??= grow(inherited, this.#lines.length)
      cover(own, seen)
    }
    if (previous !== null) see(previous)
    for (const each of held) if (this.#isSettled(each)) see(each)
    return own ?? inherited
  }
}

function cover(past: Past, seen: Node): void {
  for (let line = 0; line < seen.past.length; line++) {
    const length = seen.past[line] ?? 0
    if (length > (past[line] ?? 0)) past[line] = length
  }
  past[seen.line] = Math.max(past[seen.line] ?? 0, seen.index + 1)
}

function grow(past: Past, lines: number): Past {
  const grown = new Uint32Array(lines)
  grown.set(past)
  return grown
}

export function isAck({ record }: Entry): boolean {
  return typeof record !== 'string' && record.kind === 'ack'
}

function headsOf({ record }: Entry): readonly Head[] {
  return typeof record === 'string' ? NO_HEADS : record.heads
}

function idOf(core: Key, length: number, treeHash: Key): string {
  return `${core}:${length}:${treeHash}`
}
