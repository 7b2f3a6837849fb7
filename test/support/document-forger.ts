import b4a from 'b4a'
import z32 from 'z32'
import { TreeWriter } from '../../core/tree/writer.ts'
import { encodeOpaque, TYPE_DOCUMENT_UPDATE } from '../../crdt/index.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import type { Space } from '../../multiwriter/index.ts'

/** Writes anything into a device's log, which that device does not write itself meanwhile. */
export class Forger {
  readonly #tree: TreeWriter
  #next = 0

  constructor(space: Space) {
    const core = space.wire.cores().find(({ key }) => z32.encode(key) === space.writer)
    if (core === undefined) throw new Error('No log')
    this.#tree = new TreeWriter(core)
  }

  /** One batch for each, as blocks are what refusals count. The next call leaves out a number. */
  async write(id: string, payloads: readonly Uint8Array[]): Promise<void> {
    const keys = new UpdateKeys(id)
    for (const payload of payloads) {
      const stamp = { ms: 1, counter: 0, tag: b4a.alloc(8) }
      const value = encodeOpaque(TYPE_DOCUMENT_UPDATE, { position: null, stamp }, payload)
      await this.#tree.append([{ key: keys.at(this.#next++), value }])
    }
    this.#next++
  }
}
