/**
 * Reading one core into the index anew, when what its rows stand at cannot be compared any more: its blocks were cleared. The
 * rows themselves are compared with the tree, key by key, and what differs is told as a difference of trees would be. Costs one
 * pass over all rows and the core's tree, and leaves all other cores' rows alone.
 */
import b4a from 'b4a'
import {
  TreeDiff,
  type LogReader,
  type ReadOptions,
  type TreeChange,
  type TreeEntry,
  type TreeSnapshot
} from '../core/index.ts'
import { mapCursor, type Cursor } from './cursor.ts'
import { mergeSorted, type Group } from './merge.ts'

/** Gives the changes from a core's entries in the rows to those in its tree, as a TreeDiff does. */
export class RowDiff {
  readonly #tree: TreeDiff
  readonly #merged: Cursor<Group<TreeEntry>>

  /** @param rows the core's entries as they stand in the rows; owned from now on */
  constructor(
    rows: Cursor<TreeEntry>,
    log: LogReader,
    tree: TreeSnapshot,
    options: ReadOptions = {}
  ) {
    // From the empty tree: everything, with how far the walk has come.
    this.#tree = new TreeDiff(log.treeAt(0), tree, {}, options)
    const entries = mapCursor(this.#tree, ({ key, right }) => ({
      key,
      seq: right?.seq ?? 0,
      value: right?.value ?? NOTHING
    }))
    this.#merged = mergeSorted([rows, entries], { compare: (a, b) => b4a.compare(a.key, b.key) })
  }

  /** From 0 to 1, roughly. */
  get progress(): number {
    return this.#tree.progress
  }

  /** At most `size` next changes, fewer only at the end. @throws TreeRefusal, BLOCK_UNAVAILABLE; what the rows reject with */
  async nextBatch(size: number): Promise<readonly TreeChange[]> {
    const changes: TreeChange[] = []
    while (changes.length < size) {
      const groups = await this.#merged.nextBatch(size - changes.length)
      if (groups.length === 0) break
      changes.push(...groups.map(changeOf).filter(isChange))
    }
    return changes
  }

  async close(): Promise<void> {
    await this.#merged.close()
  }
}

const NOTHING = new Uint8Array(0)

function changeOf({ items, sources }: Group<TreeEntry>): TreeChange {
  const left = items[sources.indexOf(ROWS)] ?? null
  const right = items[sources.indexOf(TREE)] ?? null
  return { key: (left ?? right)?.key ?? NOTHING, left, right }
}

const ROWS = 0
const TREE = 1

function isChange({ left, right }: TreeChange): boolean {
  if (left === null || right === null) return true
  return left.seq !== right.seq || !b4a.equals(left.value, right.value)
}
