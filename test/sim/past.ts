/**
 * Real devices in one space under a random schedule: they put, type, are let write elsewhere, are removed and brought back, go on under
 * new logs, meet and part; now and then one takes a version, and what it saw is kept. In the end, all connected, each version shows
 * on every device that holds its logs, on one that comes later as well, what was seen when it was taken; and what a slow twin says that
 * resolves the records up to there, and reads the data logs as far as the version names them and these let them count. Of a document all
 * show the same at it.
 */
import { join } from 'node:path'
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import type { AclLog } from '../../acl/index.ts'
import { decodeVersion, type CoreLength } from '../../clock/index.ts'
import { isManyhandsError } from '../../errors.ts'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { hashText, keyOf, verifier } from '../../multiwriter/members/credentials.ts'
import { naiveMembership } from '../oracle/membership.ts'
import { viewSlowly } from '../oracle/view.ts'
import { readAclLog } from '../support/acl-log.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { textOf, type } from '../support/documents.ts'
import { exportDatabase, exportSlowly, exportSpace } from '../support/export.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

const STEPS = 40
const KEYS = ['a1', 'a2', 'b1']
const PATIENCE = { timeout: 20_000 }
const EXPECTED = ['NOT_ALLOWED', 'INVALID_ARGUMENT', 'SPACE_CLOSED', 'BEE_CLOSED'] as const

interface Someone {
  readonly device: Device
  space: Space
}

/** What somebody saw, and the text that names it. */
interface Seen {
  readonly version: string
  readonly shown: string
  readonly by: string
}

function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('It is not there')
  return value
}

/** What is not allowed is not done. */
async function tries(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!EXPECTED.some((code) => isManyhandsError(error, code))) throw error
  }
}

class Session {
  readonly #random: SeededRandom
  readonly #folder: string
  readonly #all: Someone[] = []
  readonly #cuts = new Map<string, () => void>()
  readonly #seen: Seen[] = []

  constructor(random: SeededRandom, folder: string) {
    this.#random = random
    this.#folder = folder
  }

  async run(): Promise<void> {
    const founder = await this.#come(null)
    const { ticket } = founder.space
    const one = await this.#come(ticket)
    const two = await this.#come(ticket)
    const narrow = await this.#come(ticket)
    for (const key of KEYS) await narrow.space.db.put(key, 'early')
    for (const { space } of [one, two]) await founder.space.addWriter(space.writer)
    this.#connectAll()
    await until(() => founder.space.members.asking().length === 1)
    await founder.space.members.admit(narrow.space.writer, 'writer', { prefixes: ['db/a'] })
    for (const { space } of this.#all) await until(() => space.members.list().length === 4)
    for (let step = 0; step < STEPS; step++) await this.#step()
    this.#connectAll()
    await this.#check()
  }

  async close(): Promise<void> {
    this.#cutAll()
    for (const { device } of this.#all) await device.close()
  }

  async #come(ticket: string | null): Promise<Someone> {
    const device = await openDevice({ storage: join(this.#folder, String(this.#all.length)) })
    const someone: Someone = {
      device,
      space: await (ticket === null ? device.createSpace() : device.openSpace(ticket))
    }
    this.#all.push(someone)
    return someone
  }

  async #step(): Promise<void> {
    const one = this.#pick(this.#all)
    switch (this.#random.below(12)) {
      case 0:
      case 1:
      case 2:
        return tries(() => one.space.db.put(this.#pick(KEYS), this.#random.below(1000)))
      case 3:
        return tries(() => this.#type(one.space))
      case 4:
      case 5:
        return this.#connectOrCut(this.#random.below(4), this.#random.below(4))
      case 6:
        return new Promise((resolve) => setTimeout(resolve, this.#random.below(80)))
      case 7:
      case 8:
        return this.#act()
      case 9:
        return this.#random.below(4) === 0 ? this.#rotate(one) : undefined
      default:
        return this.#look(one)
    }
  }

  async #look({ space, device }: Someone): Promise<void> {
    const snapshot = space.db.snapshot()
    const version = await snapshot.version()
    const shown = await exportDatabase(snapshot)
    assert.is(await exportDatabase(space.checkout(version).db), shown, 'as soon as it is taken')
    this.#seen.push({ version, shown, by: device.id })
  }

  async #type(space: Space): Promise<void> {
    const note = await space.documents.open('note')
    try {
      type(note, `${this.#random.below(10)} `, this.#random.below(textOf(note).length + 1))
      await note.flush()
    } finally {
      await note.close().catch(() => {}) // it may not write
    }
  }

  async #act(): Promise<void> {
    const [founder, one, two, narrow] = this.#all as [Someone, Someone, Someone, Someone]
    const { members } = founder.space
    switch (this.#random.below(7)) {
      case 0:
        return tries(() => members.setRole(narrow.device.id, 'writer'))
      case 1:
        return tries(() => members.setRole(one.device.id, 'admin'))
      case 2:
        return tries(() => one.space.members.revoke(two.device.id))
      case 3:
        return tries(() => members.revoke(this.#pick([two, narrow]).device.id))
      case 4:
        return tries(() => members.restore(this.#pick([two, narrow]).device.id))
      case 5:
        return tries(() => one.space.members.restore(two.device.id))
      default:
        return tries(() => this.#pick([founder, one, two, narrow]).space.members.acknowledge())
    }
  }

  /** The one with prefixes stays under its log: the slow twin looks for grants that name it. */
  async #rotate(one: Someone): Promise<void> {
    if (one === this.#all[3]) return
    const number = String(this.#all.indexOf(one))
    for (const name of this.#cuts.keys()) if (name.split(' ').includes(number)) this.#cut(name)
    await tries(async () => {
      one.space = await one.device.rotate(one.space.address)
    })
  }

  async #connectOrCut(a: number, b: number): Promise<void> {
    if (this.#cuts.has(`${a} ${b}`)) this.#cut(`${a} ${b}`)
    else this.#connect(a, b)
  }

  #connect(a: number, b: number): void {
    const [one, other] = [this.#all[a], this.#all[b]]
    if (a >= b || one === undefined || other === undefined || this.#cuts.has(`${a} ${b}`)) return
    this.#cuts.set(`${a} ${b}`, connect(one.space, other.space))
  }

  #cut(name: string): void {
    this.#cuts.get(name)?.()
    this.#cuts.delete(name)
  }

  #connectAll(): void {
    this.#cutAll()
    const count = this.#all.length
    for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) this.#connect(a, b)
  }

  #cutAll(): void {
    for (const name of this.#cuts.keys()) this.#cut(name)
  }

  async #check(): Promise<void> {
    const founder = present(this.#all[0])
    const late = await this.#come(founder.space.ticket)
    await founder.space.addWriter(late.space.writer)
    this.#connectAll()
    await until(() => isIn(late), PATIENCE)
    const inside = this.#all.filter(isIn)
    const exports = () => Promise.all(inside.map(({ space }) => exportSpace(space)))
    await until(async () => new Set(await exports()).size === 1, PATIENCE)
    for (const seen of this.#seen) await this.#checkSeen(seen, inside)
  }

  async #checkSeen({ version, shown, by }: Seen, inside: readonly Someone[]): Promise<void> {
    const texts = new Set<string>()
    for (const someone of inside) {
      const { space, device } = someone
      const isHere = () => canRead(space, version)
      // What a device wrote after its removal, and under logs that do not count, others may never get.
      const wasIn = inside.some((each) => each.device.id === by)
      if (wasIn && !this.#namesExcluded(version, space)) await until(isHere, PATIENCE)
      else if (!(await isHere())) continue
      const now = await exportDatabase(space.checkout(version).db)
      assert.is(now, shown, `${device.id} at ${version}, which ${by} saw`)
      assert.is(await showSlowly(space, version), shown, 'the slow twin')
      texts.add(textOf({ doc: await space.documents.checkout('note', version) }))
    }
    assert.ok(texts.size <= 1, `the note at ${version}: ${[...texts].join(' | ')}`)
  }

  #namesExcluded(text: string, space: Space): boolean {
    const { data } = present(decodeVersion(text))
    const open = new Set(
      space.members
        .list()
        .flatMap(({ role, devices }) =>
          devices.flatMap((each) => (role === null || each.role === null ? [] : each.writers))
        )
    )
    return data.some(({ core }) => !open.has(z32.encode(core)))
  }

  #pick<T>(items: readonly T[]): T {
    return present(items[this.#random.below(items.length)])
  }
}

function isIn({ space }: Someone): boolean {
  const own = space.members.list().find(({ isOwn }) => isOwn)
  return own !== undefined && own.role !== null
}

async function canRead(space: Space, version: string): Promise<boolean> {
  try {
    await space.checkout(version).db.ready()
    return true
  } catch (error) {
    const codes = ['VERSION_UNAVAILABLE', 'NO_EPOCH_KEY'] as const
    if (codes.some((code) => isManyhandsError(error, code))) return false
    throw error
  }
}

async function showSlowly(space: Space, text: string): Promise<string> {
  const { acl, data } = present(decodeVersion(text))
  const logs = await Promise.all(
    acl.map(({ core, length }) =>
      readAclLog(memberLog(space, core)).then((log) => upTo(log, length))
    )
  )
  const options = { space: keyOf(z32.decode(space.address)), verify: verifier, hash: hashText }
  const lines = naiveMembership(logs, options).cores.map((line) => line.split(' '))
  const sealed = data.flatMap(({ core, length }: CoreLength) => {
    const line = lines.find(([key]) => key === keyOf(core))
    const limit = line === undefined ? Infinity : Number(line[4])
    const log = present(space.wire.cores().find(({ key }) => b4a.equals(key, core)))
    const below = line === undefined ? undefined : prefixesIn(logs, keyOf(core))
    return { core: log, seal: Math.min(length, limit), below }
  })
  return exportSlowly(await viewSlowly(sealed))
}

/** All that was granted to a core: the only one who grants below prefixes is the founder. */
function prefixesIn(logs: readonly AclLog[], core: string): readonly string[] | undefined {
  const grants = logs.flatMap(({ records }) =>
    records.flatMap(({ record }) => {
      if (typeof record === 'string' || record.kind !== 'grant') return []
      return record.cores.some((claim) => claim.core === core) ? [record.prefixes] : []
    })
  )
  if (grants.length === 0 || grants.includes(null)) return undefined
  return grants.flatMap((prefixes) => (prefixes ?? []).map((each) => b4a.toString(each, 'latin1')))
}

function upTo({ core, records }: AclLog, length: number): AclLog {
  return { core, records: records.slice(0, length) }
}

const memberLog = (space: Space, key: Uint8Array) =>
  present(space.wire.memberLogs().find((each) => b4a.equals(each.key, key)))

export async function simulatePast(seed: number): Promise<void> {
  const folder = await tempFolder()
  const session = new Session(seededRandom(seed), folder.path)
  try {
    await session.run()
  } finally {
    await session.close()
    await folder.remove()
  }
}
