/** Logs that say what they relied on: the lengths of a view are the greatest that agree, whatever the logs say of each other. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import type { CoreLength } from '../../clock/index.ts'
import { encodeEntry, encodeValue } from '../../crdt/index.ts'
import { LogReader } from '../../core/index.ts'
import { TreeWriter, type TreePut } from '../../core/tree/writer.ts'
import {
  ACKNOWLEDGED_KEY,
  heardLengths,
  PRUNED_KEY,
  sayInLog,
  sayLengths
} from '../../multiwriter/log-section.ts'
import { WriterList } from '../../multiwriter/index.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { lengthsSlowly } from '../oracle/view.ts'
import { dbKey } from '../support/forge.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'

interface Log {
  readonly core: Hypercore
  readonly tree: TreeWriter
}

async function openLog(store: LogStore, name: string): Promise<Log> {
  const core = await store.own(name)
  return { core, tree: new TreeWriter(core) }
}

const stampOf = ({ core }: Log) => ({ ms: 1, counter: 0, tag: core.key.subarray(0, 8) })

function put(log: Log, key: string, value: string): TreePut {
  const bytes = encodeValue(value)
  return {
    key: dbKey(key),
    value: encodeEntry({ position: null, stamp: stampOf(log), seen: [], value: bytes })
  }
}

const relying = (log: Log, lengths: readonly CoreLength[]) =>
  sayLengths(PRUNED_KEY, lengths, stampOf(log))

function openUnion(store: LogStore, logs: readonly Log[], maxRemembered = 1024) {
  const writers = new WriterList(logs.map(({ core }) => core.key))
  const refusals = new Refusals()
  const union = new Union({
    writers,
    refusals,
    maxRemembered,
    openLog: async (key, onchange) => {
      const core = store.corestore.get({ key })
      await core.ready()
      return new LogReader(core, onchange)
    }
  })
  return { writers, refusals, union }
}

const hex = (core: Uint8Array) => b4a.toString(core, 'hex')

async function withLogs(
  names: readonly string[],
  run: (logs: readonly Log[], store: LogStore) => Promise<void>
): Promise<void> {
  const store = await openLogStore()
  try {
    await run(await Promise.all(names.map((name) => openLog(store, name))), store)
  } finally {
    await store.close()
  }
}

/** What one log says next: a value, and sometimes what it relied on, at times more than there is. */
async function write(log: Log, logs: readonly Log[], random: SeededRandom): Promise<void> {
  const puts = [put(log, `key ${random.below(3)}`, 'x'.repeat(random.below(3) * 6000))]
  if (random.below(3) === 0) {
    const others = logs.filter((each) => each !== log && random.below(3) > 0)
    const lengths = others.map(({ core }) => {
      return { core: core.key, length: 1 + random.below(core.length + 2) }
    })
    puts.push(relying(log, lengths))
  }
  await log.tree.append(puts)
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`reliance: the lengths of a view are those of its slow twin, at any seals, seed ${seed}`, () =>
    withLogs(['a', 'b', 'c', 'd'], async (logs, store) => {
      const random = seededRandom(seed)
      // What is forgotten is read again.
      const { union, writers } = openUnion(store, logs, seed % 2 === 0 ? 1024 : seed % 3)
      for (let step = 0; step < 40; step++) {
        const log = logs[random.below(logs.length)]
        if (log === undefined) throw new Error('no log')
        if (random.below(3) > 0) await write(log, logs, random)
        else
          writers.seal(
            log.core.key,
            random.below(3) === 0 ? Infinity : random.below(log.core.length + 2)
          )
        const view = await union.view()
        const sealed = writers.list().flatMap(({ core, seal }) => {
          const found = logs.find((each) => b4a.equals(each.core.key, core))
          return found === undefined ? [] : [{ core: found.core, seal }]
        })
        const slow = await lengthsSlowly(sealed)
        const fast = new Map(view.parts.map(({ core, tree }) => [hex(core), tree.length]))
        for (const [core, length] of slow)
          assert.is(fast.get(core), length, `seed ${seed}, ${step}`)
        // A version that names lengths which do not agree is read as far as they do.
        const version = sealed.map(({ core, seal }) => ({
          core: core.key,
          length: Math.min(core.length, seal)
        }))
        const isWhole = await Promise.all(
          version.map(async ({ core, length }) => {
            return (await union.log(core)?.snapshot(length))?.length === length
          })
        )
        if (!isWhole.every(Boolean)) continue
        const checkout = await union.at(version)
        const lengths = checkout.parts.map(({ core, tree }) => [hex(core), tree.length])
        assert.equal(new Map(lengths as [string, number][]), new Map(fast), `seed ${seed}, ${step}`)
      }
      await union.close()
    }))
}

test('reliance: two logs that rely on each other are read together, or both below', () =>
  withLogs(['a', 'b'], async ([a, b], store) => {
    assert.ok(a && b)
    await a.tree.append([put(a, 'k', 'a')])
    await b.tree.append([put(b, 'k', 'b')])
    const { union, writers } = openUnion(store, [a, b])
    await a.tree.append([relying(a, [{ core: b.core.key, length: 2 }])])
    const lengths = async () => {
      const { admitted } = await union.view()
      return [admitted(a.core.key), admitted(b.core.key)]
    }
    assert.equal(await lengths(), [1, 1])
    await b.tree.append([relying(b, [{ core: a.core.key, length: 2 }])])
    assert.equal(await lengths(), [2, 2])
    writers.seal(b.core.key, 1)
    assert.equal(await lengths(), [1, 1])
    writers.seal(b.core.key, Infinity)
    assert.equal(await lengths(), [2, 2])
    await union.close()
  }))

test('reliance: who says nonsense relied on nothing, and it is counted once', () =>
  withLogs(['a', 'b'], async ([a, b], store) => {
    assert.ok(a && b)
    const nonsense = [
      [1, 2],
      [b.core.key],
      [b.core.key, -1],
      [b.core.key, 1, b.core.key, 2],
      [a.core.key, 9],
      [b.core.key.subarray(1), 1]
    ]
    const { union, refusals } = openUnion(store, [a, b])
    for (const [i, said] of nonsense.entries()) {
      await a.tree.append([sayInLog(PRUNED_KEY, said, stampOf(a))])
      const view = await union.view()
      await union.view()
      assert.is(view.admitted(a.core.key), i + 1)
    }
    assert.equal(refusals.list(), [
      { writer: z32.encode(a.core.key), reason: 'pruned-malformed', count: 6, seq: 0 }
    ])
    await union.close()
  }))

test('reliance: what is said is heard, rising by core, whatever the order it was said in', () =>
  withLogs(['a', 'b', 'c'], async (logs) => {
    const [a, b, c] = logs
    assert.ok(a && b && c)
    const lengths = [b, c].map(({ core }, i) => ({ core: core.key, length: i + 1 }))
    const sorted = [...lengths].sort((x, y) => b4a.compare(x.core, y.core))
    const text = (list: readonly CoreLength[] | null) =>
      list?.map(({ core, length }) => `${hex(core)} ${length}`)
    for (const list of [lengths, [...lengths].reverse()])
      assert.equal(text(heardLengths(relying(a, list).value, a.core.key)), text(sorted))
    assert.equal(heardLengths(relying(a, []).value, a.core.key), [])
  }))

interface Vector {
  readonly says: 'acknowledged' | 'pruned'
  readonly own: string
  readonly ms: number
  readonly lengths: readonly { readonly core: string; readonly length: number }[]
  readonly key: string
  readonly entry: string
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/log-lengths.json', import.meta.url), 'utf8')
)

test('reliance: the golden bytes of what a log says of others are made and read', () => {
  assert.is(vectors.length, 3)
  for (const { says, own, ms, lengths, key, entry } of vectors) {
    const core = b4a.from(own, 'hex')
    const stamp = { ms, counter: 0, tag: core.subarray(0, 8) }
    const said = lengths.map((each) => ({ core: b4a.from(each.core, 'hex'), length: each.length }))
    const made = sayLengths(says === 'pruned' ? PRUNED_KEY : ACKNOWLEDGED_KEY, said, stamp)
    assert.equal([hex(made.key), hex(made.value)], [key, entry])
    const heard = heardLengths(b4a.from(entry, 'hex'), core)
    assert.equal(
      heard?.map((each) => ({ core: hex(each.core), length: each.length })),
      lengths
    )
  }
})

test.run()
