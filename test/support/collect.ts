/** Reading streams to their end, and how far a log has grown. */
import type { Space } from '../../multiwriter/index.ts'

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

export async function collectKeys<K>(stream: AsyncIterable<{ readonly key: K }>): Promise<K[]> {
  return (await collect(stream)).map(({ key }) => key)
}

/** Blocks in this device's log: the same before and after means that nothing was written. */
export function ownLength(space: Space): number {
  return space.writers().find(({ isOwn }) => isOwn)?.length ?? 0
}
