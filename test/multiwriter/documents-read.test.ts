/** What one log has of a document that an earlier tree of it has not: however it is read, it is the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogReader, OwnLog } from '../../core/index.ts'
import { UpdateKeys } from '../../multiwriter/documents/keys.ts'
import { readSince } from '../../multiwriter/documents/read.ts'
import type { Part } from '../../multiwriter/part.ts'
import { seededRandom } from '../support/random.ts'
import { openLogStore } from '../support/tree.ts'
import { range, testSeeds } from '../sim/seeds.ts'

const NO_GUARD = {
  before() {},
  after: async () => {},
  beforeClear: async () => {},
  explain: async (error: unknown) => error
}

const keys = new UpdateKeys('doc')
const others = new UpdateKeys('other')

testSeeds(
  'two trees that are too far apart to be compared give what comparing them gives',
  'test/multiwriter/documents-read.test.ts',
  range(1, 6),
  async (seed) => {
    const random = seededRandom(seed)
    const store = await openLogStore()
    const log = new OwnLog(await store.own(`log ${seed}`), NO_GUARD)
    const ends = [0]
    for (let i = 0; i < 80; i++) {
      const value = new Uint8Array(8 + random.below(40)).fill(i)
      const writes = range(0, 1 + random.below(3)).map(() => {
        const of = random.below(3) === 0 ? others : keys
        // Its writer replaces updates by what they come to.
        return { key: of.at(random.below(90)), value: random.below(8) === 0 ? null : value }
      })
      const byKey = new Map(writes.map((write) => [write.key.join(), write]))
      ends.push(await log.append([...byKey.values()]))
    }
    const reader = new LogReader(log.core, () => {}, { writer: log.tree })
    await reader.ready()
    const at = async (length: number) => reader.snapshot(length)
    let few = 0
    for (let i = 0; i < 40; i++) {
      const [from, to] = [random.below(81), random.below(81)].map((at) => ends[at] ?? 0)
      const [tree, before] = [
        await at(Math.max(from ?? 0, to ?? 0)),
        await at(Math.min(from ?? 0, to ?? 0))
      ]
      const part: Part = {
        core: log.core.key,
        writer: reader.id,
        isOwn: false,
        seal: Infinity,
        prefixes: null,
        tree,
        refuse: async () => tree
      }
      const read = async (maxBlocks: number) => {
        const entries = await readSince(part, before, keys.range, { wait: false }, maxBlocks)
        return entries.map(({ entry: { key, seq } }) => `${key.join()} ${seq}`)
      }
      const compared = await read(Infinity)
      assert.equal(await read(0), compared)
      if (compared.length > 0) few++
    }
    assert.ok(few > 20, 'something had arrived')
    await reader.close()
    await store.close()
  }
)

test.run()
