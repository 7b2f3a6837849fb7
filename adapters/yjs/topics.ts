/** The topics of documents: open while a provider uses them, so that thousands of documents leave nothing behind. */
import type { PresenceTopic, Space } from '../../multiwriter/index.ts'

const holders = new WeakMap<PresenceTopic, number>()

/** Where those who have a document open show themselves. To be released once. @throws SPACE_CLOSED */
export function holdTopic(presence: Space['presence'], id: string): PresenceTopic {
  const topic = presence.topic(`documents/${id}`)
  holders.set(topic, (holders.get(topic) ?? 0) + 1)
  return topic
}

/** The last one to release a topic closes it. */
export function releaseTopic(topic: PresenceTopic): void {
  const others = (holders.get(topic) ?? 0) - 1
  holders.set(topic, others)
  if (others === 0) topic.close()
}
