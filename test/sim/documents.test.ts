/**
 * Random devices with one document: they type, delete and format, are connected and cut, close the document, restart, lose their
 * caches. What they send ahead of their logs is lost, doubled, late and out of order, and some of it is of a device that was killed
 * before its log had it. In the end all are connected, and every document equals the oracle: one Y.Doc that was given, at once,
 * every change that any of them showed.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { openDevice } from '../../index.ts'
import type { Device, LiveDocument, Space } from '../../multiwriter/index.ts'
import { garbleAhead, Words } from '../support/ahead.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { signerOf } from '../support/presence.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { range, testSeeds } from './seeds.ts'

const DEVICES = 3
const STEPS = 60

class Member {
  device!: Device
  space!: Space
  document: LiveDocument | null = null
  readonly storage: string
  readonly #oracle: Y.Doc
  readonly #random: SeededRandom

  constructor(storage: string, oracle: Y.Doc, random: SeededRandom) {
    this.storage = storage
    this.#oracle = oracle
    this.#random = random
  }

  async open(which: string | null): Promise<string> {
    this.device = await openDevice({ storage: this.storage })
    this.space =
      which === null
        ? await this.device.createSpace({ open: true })
        : await this.device.openSpace(which)
    garbleAhead(this.space, this.#random)
    return this.space.ticket
  }

  async doc(): Promise<Y.Doc> {
    if (this.document === null) {
      this.document = await this.space.documents.open('d')
      Y.applyUpdate(this.#oracle, Y.encodeStateAsUpdate(this.document.doc))
      this.document.doc.on('update', (update: Uint8Array) => Y.applyUpdate(this.#oracle, update))
    }
    return this.document.doc
  }

  async closeDocument(): Promise<void> {
    const { document } = this
    this.document = null
    await document?.close()
  }

  async restart(dropsCache: boolean): Promise<void> {
    const { address } = this.space
    this.document = null
    await this.device.close()
    if (dropsCache) await rm(join(this.storage, 'index'), { recursive: true, force: true })
    await this.open(address)
  }
}

function edit(doc: Y.Doc, random: SeededRandom): void {
  const text = doc.getText('t')
  const at = random.below(text.length + 1)
  switch (random.below(5)) {
    case 0:
      text.delete(at, Math.min(random.below(5), text.length - at))
      break
    case 1:
      doc.getMap('m').set(`k${random.below(3)}`, random.below(1000))
      break
    case 2:
      doc.getArray('a').insert(0, [random.below(1000)])
      break
    default:
      for (let i = 0; i < 1 + random.below(40); i++) text.insert(at + i, 'abcdefgh'[i % 8] ?? '')
  }
}

async function simulate(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const folder = await tempFolder()
  const oracle = new Y.Doc()
  const members = Array.from(
    { length: DEVICES },
    (_, i) => new Member(join(folder.path, `${i}`), oracle, seededRandom(seed * DEVICES + i))
  )
  let ticket: string | null = null
  for (const member of members) ticket = await member.open(ticket)
  const killed = signerOf(`killed ${seed}`)
  for (const { space } of members) await space.addWriter(killed.core)
  const words = members[0] && new Words(members[0].space, killed)
  const path = {}
  const wires = new Map<string, () => void>()
  const cutAll = (i?: number) => {
    for (const [name, cut] of wires) {
      if (i !== undefined && !name.includes(`${i}`)) continue
      cut()
      wires.delete(name)
    }
  }
  const wire = (i: number, j: number) => {
    const [a, b] = [members[Math.min(i, j)], members[Math.max(i, j)]]
    const name = [Math.min(i, j), Math.max(i, j)].join('-')
    if (i !== j && a && b && !wires.has(name)) wires.set(name, connect(a.space, b.space))
  }
  for (let step = 0; step < STEPS; step++) {
    const i = random.below(DEVICES)
    const member = members[i]
    if (member === undefined) continue
    const what = random.below(23)
    if (what < 13) for (let n = random.below(12); n >= 0; n--) edit(await member.doc(), random)
    else if (what < 15) wire(i, random.below(DEVICES))
    else if (what === 15) cutAll(i)
    else if (what === 16) await member.closeDocument()
    else if (what === 17) await member.document?.flush()
    else if (what > 19) {
      const word = words?.type('killed '.slice(0, 1 + random.below(7)))
      if (word === undefined || random.below(4) === 0) continue // nobody heard it, nor what stands on it
      await member.doc()
      member.space.documents.hear(word, path)
      if (random.below(2) === 0) member.space.documents.lose(path)
    } else if (what === 18) {
      cutAll(i)
      await member.restart(random.below(2) === 0)
    } else await new Promise((resolve) => setTimeout(resolve, random.below(10)))
  }
  for (let i = 1; i < DEVICES; i++) wire(0, i)
  for (const { space } of members) space.documents.lose(path)
  const docs = await Promise.all(members.map((member) => member.doc()))
  for (const doc of docs) await until(() => isSame(doc, oracle), { timeout: 20_000 })
  for (const { space } of members) assert.equal(space.refusals(), [])

  cutAll()
  for (const [i, member] of members.entries()) {
    await member.restart(i === 0)
    assert.equal(shown(await member.doc()), shown(oracle))
    assert.equal(await member.space.check(), [])
    await member.device.close()
  }
  await folder.remove()
}

function isSame(a: Y.Doc, b: Y.Doc): boolean {
  return Y.equalSnapshots(Y.snapshot(a), Y.snapshot(b))
}

function shown(doc: Y.Doc): unknown {
  return [doc.getText('t').toJSON(), doc.getMap('m').toJSON(), doc.getArray('a').toJSON()]
}

testSeeds(
  'documents: all devices equal the oracle',
  'test/sim/documents.test.ts',
  range(1, 3),
  simulate
)

test.run()
