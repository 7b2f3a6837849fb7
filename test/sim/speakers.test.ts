/**
 * Devices that write and go on under new logs, and one reader over all of these logs, whose seals go up and down, inside batches too,
 * and whose prefixes change, while it learns which logs say something where: after each step what it reads equals what it reads when
 * all logs are asked, in lookups, in ranges either way, and in a stream that was begun before.
 */
import b4a from 'b4a'
import type Hypercore from 'hypercore'
import * as assert from 'uvu/assert'
import { test } from 'uvu'
import { LogReader } from '../../core/index.ts'
import { openMultiBee, WriterList, type MultiBee } from '../../multiwriter/index.ts'
import { iterate } from '../../multiwriter/cursor.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { KnownSpeakers } from '../../multiwriter/speakers.ts'
import { Union } from '../../multiwriter/union.ts'
import { View, type FoldedKey } from '../../multiwriter/view.ts'
import { viewSlowly } from '../oracle/view.ts'
import { dbKey } from '../support/forge.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { range, testSeeds } from './seeds.ts'

const DEVICES = 3
const STEPS = 60
const KEYS = 40

/** It learns from the first read on, and with each again. */
const EAGER = { fewLogs: 1, askedPerKey: 0.02, maxBytes: Infinity }

class World {
  readonly random: SeededRandom
  readonly store: LogStore
  readonly speakers = new KnownSpeakers(EAGER)
  readonly union: Union
  /** As the reader sees them. */
  readonly writers = new WriterList()
  readonly cores: Hypercore[] = []
  /** As all devices do. */
  readonly #all = new WriterList()
  readonly #devices: MultiBee[] = []
  #time = 1000

  constructor(store: LogStore, random: SeededRandom) {
    this.store = store
    this.random = random
    this.union = new Union({
      writers: this.writers,
      refusals: new Refusals(),
      speakers: this.speakers,
      openLog: async (key, onchange) => new LogReader(await store.remote(key), onchange)
    })
  }

  /** A device goes on under a new log, or begins. */
  async goOn(device: number): Promise<void> {
    await this.#devices[device]?.close()
    const core = await this.store.own(`log ${this.cores.length}`)
    this.cores.push(core)
    this.#all.add(core.key)
    this.writers.add(core.key)
    this.#devices[device] = await openMultiBee({
      writers: this.#all,
      open: (key) => this.store.corestore.get({ key }),
      own: await this.store.own(`log ${this.cores.length - 1}`),
      now: () => this.#time++
    })
  }

  async write(step: number): Promise<void> {
    const { random } = this
    const db = this.#devices[random.below(DEVICES)]
    if (db === undefined) throw new Error('no device')
    const key = `key ${random.below(KEYS)}`
    const choice = random.below(6)
    if (choice === 0) await db.del(key)
    else if (choice === 1) await db.counter(`count ${random.below(3)}`).add(step)
    else if (choice === 2) await db.set(`set ${random.below(3)}`).add(step)
    else if (choice === 3) await db.patch(key, { [`field ${random.below(3)}`]: step })
    else await Promise.all(range(0, 30).map((i) => db.put(`key ${(i * 7) % KEYS}`, `${step}`)))
  }

  changeSeal(): void {
    const core = this.cores[this.random.below(this.cores.length)]
    if (core === undefined) return
    const isOff = this.random.below(3) === 0
    this.writers.seal(core.key, isOff ? Infinity : this.random.below(core.length + 2))
  }

  narrow(): void {
    const core = this.cores[this.random.below(this.cores.length)]
    const prefixes = [null, [], [dbKey('key 1')], [dbKey('count'), dbKey('key 2')]]
    if (core !== undefined) this.writers.narrow(core.key, prefixes[this.random.below(4)] ?? null)
  }

  async close(): Promise<void> {
    await this.union.close()
    for (const device of this.#devices) await device.close()
    await this.store.close()
  }
}

async function simulateSpeakers(seed: number): Promise<number> {
  const world = new World(await openLogStore(), seededRandom(seed))
  const { random } = world
  let known = 0
  try {
    for (let i = 0; i < DEVICES; i++) await world.goOn(i)
    for (let step = 0; step < STEPS; step++) {
      const choice = random.below(10)
      if (choice < 2) await world.goOn(random.below(DEVICES))
      else if (choice < 6) await world.write(step)
      else if (choice < 8) world.changeSeal()
      else if (choice < 9) world.narrow()
      await check(world)
      known = Math.max(known, world.speakers.keys)
    }
    await checkSlowly(world)
  } finally {
    await world.close()
  }
  return known
}

async function check({ union, speakers, random }: World): Promise<void> {
  const view = await union.view()
  const slow = askingAll(view)
  const begun = iterate(view.cursor({ gte: FIRST, lt: LAST }))
  const lines = [lineOf((await begun.next()).value)]
  for (let i = 0; i < KEYS; i++) {
    const key = keyAt(i)
    assert.is(lineOf(await view.get(key)), lineOf(await slow.get(key)))
  }
  for (let i = 0; i < 6; i++) {
    const bounds = rangeOf(random)
    assert.equal(await linesOf(view, bounds), await linesOf(slow, bounds))
  }
  for await (const each of begun) lines.push(lineOf(each))
  const whole = await linesOf(slow, { gte: FIRST, lt: LAST })
  assert.equal(
    lines.filter((line) => line !== NOTHING),
    whole
  )
  if (speakers.keys === 0) return
  // Who begins now begins with what is known.
  assert.equal(await linesOf(view, { gte: FIRST, lt: LAST }), whole)
}

/** The same logs as far, read without knowing anything of them. */
function askingAll({ parts }: View): View {
  return new View(parts, {
    refusals: new Refusals(),
    observe() {},
    foldOptions: () => ({}),
    rowsFor: () => null,
    speakersFor: () => null
  })
}

/** Beside the twin that shares nothing but the codecs. */
async function checkSlowly({ union, writers, cores }: World): Promise<void> {
  const sealed = writers.list().flatMap(({ core, seal, prefixes }) => {
    const found = cores.find((each) => b4a.equals(each.key, core))
    const below = prefixes?.map((each) => b4a.toString(each, 'latin1'))
    return found === undefined ? [] : [{ core: found, seal, below }]
  })
  const view = await union.view()
  for (const { key, value, exists } of await viewSlowly(sealed)) {
    const folded = await view.get(key)
    assert.equal([folded.exists, folded.value], [exists, value])
  }
}

const NOTHING = 'nothing'
const FIRST = b4a.from([0x10])
const LAST = b4a.from([0x11])

function keyAt(i: number): Uint8Array {
  return dbKey(i < 3 ? `count ${i}` : i < 6 ? `set ${i - 3}` : `key ${i}`)
}

function rangeOf(random: SeededRandom) {
  const [low, high] = [dbKey(`key ${random.below(KEYS)}`), dbKey(`key ${random.below(KEYS)}`)]
  const lower = [{ gte: low }, { gt: low }, { gte: FIRST }][random.below(3)]
  const upper = [{ lte: high }, { lt: high }, { lt: LAST }][random.below(3)]
  return { ...lower, ...upper, reverse: random.below(2) === 0 }
}

async function linesOf(view: View, bounds: Parameters<View['cursor']>[0]): Promise<string[]> {
  const lines: string[] = []
  for await (const folded of iterate(view.cursor(bounds))) lines.push(lineOf(folded))
  return lines
}

function lineOf(folded: FoldedKey | undefined): string {
  if (folded === undefined) return NOTHING
  const { key, value, winner, conflicts, shown } = folded
  const said = [winner, ...shown, ...conflicts.map(({ of }) => of)]
  const places = said.map(
    (each) => `${each?.said.writer} ${each?.said.seq} ${each?.path.join('/')}`
  )
  return `${b4a.toString(key)} ${JSON.stringify(value)} ${places.join(', ')}`
}

testSeeds(
  'simulation: who knows which logs speak reads what it would read if it asked all',
  'test/sim/speakers.test.ts',
  range(1, 12),
  async (seed) => assert.ok((await simulateSpeakers(seed)) > KEYS / 2, 'most keys were learnt')
)

test.run()
