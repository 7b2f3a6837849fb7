/** Counts the tree cursors that are open in this process: what a stream that was left must have closed. */
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import type { TreeCursor } from '../../core/index.ts'

const open = new Set<TreeCursor>()
let opened = 0

// oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
const makeCursor = TreeSnapshot.prototype.cursor
TreeSnapshot.prototype.cursor = function counted(range, options) {
  const cursor = makeCursor.call(this, range, options)
  const close = cursor.close.bind(cursor)
  cursor.close = () => {
    open.delete(cursor)
    close()
  }
  open.add(cursor)
  opened++
  return cursor
}

/** Open now, and opened since the process began. */
export function countCursors(): { readonly open: number; readonly opened: number } {
  return { open: open.size, opened }
}
