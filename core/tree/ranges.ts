/** Ranges of blocks: sorted, apart from each other, each beginning at an even block (cleared.ts says why). */

export interface BlockRange {
  readonly start: number
  /** The first block behind it. */
  readonly end: number
}

/** So many are told in one declaration; beyond, the nearest become one. */
const MAX_RANGES = 4096

/** Whether they are as above, and all below `limit`. */
export function isRanges(ranges: readonly BlockRange[], limit: number): boolean {
  if (ranges.length > MAX_RANGES) return false
  return ranges.every(({ start, end }, i) => {
    const before = ranges[i - 1]?.end ?? -1
    return start > before && start % 2 === 0 && end > start && end <= limit
  })
}

export function isIn(ranges: readonly BlockRange[], seq: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ranges[middle]?.end ?? 0) <= seq) low = middle + 1
    else high = middle
  }
  const range = ranges[low]
  return range !== undefined && range.start <= seq
}

/** The smallest such ranges that hold all of these. */
export function joinRanges(ranges: readonly BlockRange[]): readonly BlockRange[] {
  const joined: { start: number; end: number }[] = []
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (end <= start) continue
    const even = start - (start % 2)
    const last = joined.at(-1)
    if (last !== undefined && even <= last.end) last.end = Math.max(last.end, end)
    else joined.push({ start: even, end })
  }
  return joined.length > MAX_RANGES ? joinNearest(joined) : joined
}

/** Clears a little more rather than forget what was cleared. */
function joinNearest(ranges: readonly BlockRange[]): readonly BlockRange[] {
  const gaps = ranges
    .slice(1)
    .map(({ start }, i) => ({ at: i + 1, gap: start - (ranges[i]?.end ?? 0) }))
  const closed = gaps.sort((a, b) => a.gap - b.gap).slice(0, ranges.length - MAX_RANGES)
  const isClosed = new Set(closed.map(({ at }) => at))
  const joined: { start: number; end: number }[] = []
  ranges.forEach(({ start, end }, i) => {
    const last = joined.at(-1)
    if (last !== undefined && isClosed.has(i)) last.end = end
    else joined.push({ start, end })
  })
  return joined
}

export function countBlocks(ranges: readonly BlockRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0)
}
