/**
 * Fills a small disk with a store and frees it again. Run with a mount namespace of its own, which ends with the process:
 * mounts a tmpfs on `mount`, and prints one JSON report.
 */
import { execFileSync } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { openStore } from '../../core/native/index.ts'
import type { DeviceStore, Durability, OwnLog } from '../../core/store.ts'
import { ManyhandsError } from '../../errors.ts'
import { keysOf, numbered, SALT } from './store.ts'

export interface DiskFullTask {
  readonly mount: string
  readonly durability: Durability
  readonly valueBytes: number
}

export interface DiskFullReport {
  /** Puts acknowledged before the disk was full. */
  readonly acknowledged: number
  /** Codes of the first failed put, of the second, of a save, and of a new store on the same disk. */
  readonly codes: readonly string[]
  readonly hasCause: boolean
  /** Both failed puts gave the same error. */
  readonly isSame: boolean
  readonly readableWhileFull: number
  /** What opening the store on the still full disk gave: a code, or how many puts are there. */
  readonly openedWhileFull: string
  readonly closed: string
  /** After space was freed and the store opened again. */
  readonly kept: number
  readonly spacesKept: number
  readonly rolledBack: string | null
  readonly fork: number
  /** Puts there after appending one more and opening once more. */
  readonly after: number
}

const { mount, durability, valueBytes } = JSON.parse(process.argv[2] ?? '') as DiskFullTask
const folder = join(mount, 'store')
const ballast = join(mount, 'ballast')
const record = {
  address: b4a.alloc(32),
  name: 'kept',
  open: true,
  sparse: false,
  encrypted: true,
  writers: [],
  acl: []
}

async function run(): Promise<DiskFullReport> {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount])
  await writeFile(ballast, b4a.alloc(8 * 1024 * 1024))
  const full = await fill(await openStore(folder, { durability }))
  const openedWhileFull = await codeOf(async () => {
    const store = await openStore(folder, { durability })
    const { length } = await keysOf(await store.ownLog('data', SALT, null))
    await store.close()
    return length
  })
  await rm(ballast)
  return { ...full, openedWhileFull, ...(await reopen(full.acknowledged)) }
}

async function fill(store: DeviceStore) {
  await store.saveSpaces([record])
  const log = await store.ownLog('data', SALT, null)
  const { acknowledged, error: first } = await appendUntilFull(log)
  // Not a byte is left now, for the small files either.
  await writeFile(join(mount, 'rest'), b4a.alloc(16 * 1024 * 1024)).catch(() => {})
  const second = await errorOf(() => log.append(numbered(acknowledged, 1)))
  const many = Array.from({ length: 200 }, () => record)
  const codes = [
    code(first),
    code(second),
    code(await errorOf(() => store.saveSpaces(many))),
    code(await errorOf(() => openStore(join(mount, 'another'))))
  ]
  const readableWhileFull = (await keysOf(log)).length
  const closed = await codeOf(() => store.close())
  await rm(join(mount, 'rest'))
  const hasCause = first instanceof ManyhandsError && first.cause instanceof Error
  return { acknowledged, codes, hasCause, isSame: first === second, readableWhileFull, closed }
}

async function appendUntilFull(log: OwnLog) {
  for (let acknowledged = 0; ; acknowledged++) {
    const error = await errorOf(() => log.append(numbered(acknowledged, 1, valueBytes)))
    if (error !== null) return { acknowledged, error }
  }
}

async function reopen(acknowledged: number) {
  const store = await openStore(folder, { durability })
  const log = await store.ownLog('data', SALT, null)
  const kept = (await keysOf(log)).length
  const { rolledBack } = store
  await log.append(numbered(acknowledged + 1, 1))
  const spacesKept = store.spaces.length
  const { fork } = log.core
  await store.close()
  const again = await openStore(folder, { durability })
  const after = (await keysOf(await again.ownLog('data', SALT, null))).length
  await again.close()
  return { kept, rolledBack, spacesKept, fork, after }
}

async function errorOf(task: () => Promise<unknown>): Promise<unknown> {
  try {
    await task()
    return null
  } catch (error) {
    return error
  }
}

function code(error: unknown): string {
  return error instanceof ManyhandsError ? error.code : String(error)
}

async function codeOf(task: () => Promise<unknown>): Promise<string> {
  try {
    return String(await task())
  } catch (error) {
    return code(error)
  }
}

console.log(JSON.stringify(await run()))
