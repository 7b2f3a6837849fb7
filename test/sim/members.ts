/**
 * Real devices in one space under a random schedule: they put, type, revoke, restore, promote, meet, part and start again. In the
 * end, all connected, all know the same of the members, and those who are in show the same, in the database and in a document: what
 * slow twins say that resolve all membership logs anew and read all data logs as far as that lets them count. So does who comes later,
 * and so do all when they start again.
 */
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { isManyhandsError } from '../../errors.ts'
import { openDevice } from '../../index.ts'
import type { Device, LiveDocument, Space } from '../../multiwriter/index.ts'
import { hashText, keyOf, verifier } from '../../multiwriter/members/credentials.ts'
import { showLogs } from '../oracle/document-logs.ts'
import { naiveMembership } from '../oracle/membership.ts'
import { viewSlowly } from '../oracle/view.ts'
import { readAclLog } from '../support/acl-log.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf } from '../support/documents.ts'
import { exportSlowly, exportSpace } from '../support/export.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { connectShaken } from '../support/shake.ts'

const DEVICES = 4
const STEPS = 40
const KEYS = ['a', 'b', 'c', 'd']
const PATIENCE = { timeout: 20_000 }

/** What happens to who may not do what it tries. */
const EXPECTED = ['NOT_ALLOWED', 'INVALID_ARGUMENT'] as const

function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('It is not there')
  return value
}

class Someone {
  readonly name: string
  readonly #folder: string
  readonly unexpected: unknown[] = []
  #device: Device | null = null
  #space: Space | null = null
  #note: LiveDocument | null = null

  constructor(name: string, folder: string) {
    this.name = name
    this.#folder = join(folder, name)
  }

  get device(): Device {
    return present(this.#device)
  }

  get space(): Space {
    return present(this.#space)
  }

  get note(): LiveDocument {
    return present(this.#note)
  }

  /** @param which a ticket or an address; none to found a space */
  async open(which: string | null): Promise<void> {
    this.#device = await openDevice({ storage: this.#folder })
    this.#space = await (which === null ? this.device.createSpace() : this.device.openSpace(which))
    this.#note = await this.space.documents.open('note')
    this.note.on('error', (error) => this.#check(error))
  }

  async restart(): Promise<void> {
    const { address } = this.space
    await this.close()
    await this.open(address)
  }

  async close(): Promise<void> {
    await this.#device?.close()
    this.#device = null
  }

  /** Does something that may not be allowed. */
  async tries(act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#check(error)
    }
  }

  get isIn(): boolean {
    return this.space.members.list().find(({ isOwn }) => isOwn)?.devices[0]?.role !== null
  }

  /** All that it knows of who is in, in one text. */
  get members(): string {
    return JSON.stringify(
      this.space.members.list().map(({ identity, role, prefixes, devices }) => ({
        identity,
        role,
        prefixes,
        // When others were there, and with which key each device writes itself, each knows for itself.
        devices: devices.map(({ device, role: own, writers }) => ({ device, own, writers }))
      })),
      null,
      1
    )
  }

  #check(error: unknown): void {
    if (!EXPECTED.some((code) => isManyhandsError(error, code))) this.unexpected.push(error)
  }
}

class Session {
  readonly #random: SeededRandom
  readonly #all: Someone[]
  readonly #folder: string
  /** What connections wait by; null where they do not. */
  readonly #shaking: SeededRandom | null
  /** Connections by the two numbers that they connect. */
  readonly #cuts = new Map<string, () => void>()

  constructor(random: SeededRandom, folder: string, shaking: SeededRandom | null) {
    this.#random = random
    this.#folder = folder
    this.#shaking = shaking
    this.#all = Array.from({ length: DEVICES }, (_, i) => new Someone(`device-${i}`, folder))
  }

  async run(): Promise<void> {
    const [founder, ...others] = this.#all as [Someone, ...Someone[]]
    await founder.open(null)
    for (const each of others) {
      await each.open(founder.space.ticket)
      await founder.space.addWriter(each.space.writer)
    }
    this.#connectAll()
    for (const { space } of this.#all) await until(() => space.members.list().length === DEVICES)
    this.#cutAll()
    for (let step = 0; step < STEPS; step++) await this.#step()
    this.#connectAll()
    await this.#check()
  }

  async close(): Promise<void> {
    this.#cutAll()
    for (const each of this.#all) await each.close()
  }

  #step(): Promise<void> {
    const one = this.#pick(this.#all)
    switch (this.#random.below(12)) {
      case 0:
      case 1:
      case 2:
        return this.#put(one)
      case 3:
      case 4:
        return this.#type(one)
      case 5:
      case 6:
      case 7:
        return this.#connectOrCut()
      case 8:
        return new Promise((resolve) => setTimeout(resolve, this.#random.below(50)))
      case 9:
        return this.#random.below(3) === 0 ? this.#restart(one) : Promise.resolve()
      default:
        return this.#act(one)
    }
  }

  #put(one: Someone): Promise<void> {
    const [key, value] = [this.#pick(KEYS), this.#random.below(1000)]
    return one.tries(() =>
      this.#random.below(5) === 0 ? one.space.db.del(key) : one.space.db.put(key, value)
    )
  }

  /** Saved at once, later, or never where it may not. */
  async #type(one: Someone): Promise<void> {
    const text = one.note.doc.getText('t')
    const at = this.#random.below(text.length + 1)
    if (this.#random.below(3) === 0) text.delete(at, Math.min(2, text.length - at))
    else text.insert(at, `${one.name.at(-1)}${this.#random.below(10)} `)
    if (this.#random.below(2) === 0) await one.tries(() => one.note.flush())
  }

  async #act(one: Someone): Promise<void> {
    const other = this.#pick(this.#all)
    const { members } = one.space
    const who = other.device.id
    const choice = this.#random.below(8)
    if (choice < 3) await one.tries(() => members.setRole(who, choice < 2 ? 'admin' : 'owner'))
    else if (choice < 5) await one.tries(() => members.revoke(who))
    else if (choice < 7) await one.tries(() => members.restore(who))
    else await one.tries(() => members.acknowledge())
  }

  async #restart(one: Someone): Promise<void> {
    const number = String(this.#all.indexOf(one))
    for (const name of this.#cuts.keys()) if (name.split(' ').includes(number)) this.#cut(name)
    await one.restart()
  }

  #connectOrCut(): Promise<void> {
    const [a, b] = [this.#random.below(DEVICES), this.#random.below(DEVICES)]
    if (this.#cuts.has(`${a} ${b}`)) this.#cut(`${a} ${b}`)
    else this.#connect(a, b)
    return Promise.resolve()
  }

  #connect(a: number, b: number): void {
    const [one, other] = [this.#all[a], this.#all[b]]
    if (a >= b || one === undefined || other === undefined || this.#cuts.has(`${a} ${b}`)) return
    this.#cuts.set(`${a} ${b}`, this.#wire(one.space, other.space))
  }

  #wire(one: Space, other: Space): () => void {
    return this.#shaking === null ? connect(one, other) : connectShaken(one, other, this.#shaking)
  }

  #cut(name: string): void {
    this.#cuts.get(name)?.()
    this.#cuts.delete(name)
  }

  #connectAll(): void {
    this.#cutAll() // one of the two may have gone meanwhile
    for (let a = 0; a < DEVICES; a++) for (let b = a + 1; b < DEVICES; b++) this.#connect(a, b)
  }

  #cutAll(): void {
    for (const name of this.#cuts.keys()) this.#cut(name)
  }

  async #check(): Promise<void> {
    await this.#agree('the members', this.#all, (each) => each.members)
    const inside = this.#all.filter(({ isIn }) => isIn)
    await this.#agree('the database', inside, ({ space }) => exportSpace(space))
    await this.#agree('the document', inside, ({ note }) => textOf(note))
    for (const each of inside) await checkByTwin(each)
    const late = await this.#checkNewcomer(inside)
    await Promise.all([...inside, late].map(checkByRestart))
    for (const { name, unexpected } of this.#all)
      assert.equal(unexpected.map(String), [], `${name} failed`)
  }

  async #agree(
    what: string,
    all: readonly Someone[],
    show: (each: Someone) => string | Promise<string>
  ): Promise<void> {
    const shown = () => Promise.all(all.map(async (each) => show(each)))
    try {
      await until(async () => new Set(await shown()).size === 1, PATIENCE)
    } catch (cause) {
      const lines = (await shown()).map((text, i) => `${all[i]?.name}: ${text}`)
      throw new Error(`They disagree on ${what}:\n${lines.join('\n')}`, { cause })
    }
  }

  /** Who comes now, and has never seen anything else. */
  async #checkNewcomer(inside: readonly Someone[]): Promise<Someone> {
    const [host] = inside.filter(({ space }) =>
      ['owner', 'admin'].includes(space.members.list().find(({ isOwn }) => isOwn)?.role ?? '')
    )
    if (host === undefined) throw new Error('Nobody may let others in')
    const late = new Someone('late', this.#folder)
    await late.open(host.space.ticket)
    this.#all.push(late)
    await host.space.addWriter(late.space.writer)
    this.#cuts.set('late', this.#wire(host.space, late.space))
    await this.#agree('the members, with a newcomer', [host, late], (each) => each.members)
    await this.#agree('the database, with a newcomer', [host, late], ({ space }) =>
      exportSpace(space)
    )
    await this.#agree('the document, with a newcomer', [host, late], ({ note }) => textOf(note))
    await checkByTwin(late)
    this.#cutAll()
    return late
  }

  #pick<T>(items: readonly T[]): T {
    return present(items[this.#random.below(items.length)])
  }
}

async function checkByTwin({ space, name, note }: Someone): Promise<void> {
  const logs = await Promise.all(space.wire.memberLogs().map(readAclLog))
  const options = { space: keyOf(z32.decode(space.address)), verify: verifier, hash: hashText }
  const { cores } = naiveMembership(logs, options)
  const seals = new Map(
    cores.map((line) => {
      const [core = '', , , role = '', length = ''] = line.split(' ')
      return [core, ['mirror', 'reader'].includes(role) ? 0 : Number(length)]
    })
  )
  const sealed = space.wire
    .cores()
    .filter(({ key }) => seals.has(keyOf(key))) // no archives of them
    .map((core) => ({ core, seal: present(seals.get(keyOf(core.key))) }))
  const slow = exportSlowly(await viewSlowly(sealed))
  assert.is(await exportSpace(space), slow, `${name} and its slow twin`)
  const text = () => showLogs(sealed, z32.decode(space.address), { id: 'note', name: 't' })
  // What came ahead of its log is shown before the log is here.
  await until(async () => textOf(note) === (await text()), PATIENCE).catch(() => {}) // said below, with both texts
  assert.is(textOf(note), await text(), `${name} and the slow twin of its document`)
}

/** Alone, by its disk and its cache. */
async function checkByRestart(one: Someone): Promise<void> {
  const before = textOf(one.note)
  await one.restart()
  assert.is(textOf(one.note), before, `${one.name} after a restart`)
}

export async function simulateMembers(seed: number, { isShaken = false } = {}): Promise<void> {
  const folder = await tempFolder()
  const shaking = isShaken ? seededRandom(seed + 1) : null
  const session = new Session(seededRandom(seed), folder.path, shaking)
  try {
    await session.run()
  } finally {
    await session.close()
    await folder.remove()
  }
}
