/**
 * Opens a store, appends, closes, and must then end by itself. Prints each step:
 *
 *     open <why rolled back, or nothing>     log <length>     ack <first number> <count>     closed     error <code> <message>
 */
import { writeSync } from 'node:fs'
import { openStore } from '../../core/native/index.ts'
import type { DeviceStore, Durability } from '../../core/store.ts'
import { isManyhandsError } from '../../errors.ts'
import { numbered, SALT } from './store.ts'

export interface StoreTask {
  readonly folder: string
  readonly durability?: Durability
  /** The number of the first put. */
  readonly from?: number
  /** Puts per append: a number, or how many at random at most. */
  readonly batch?: number
  /** So many appends; none: for ever. */
  readonly appends?: number
  /** Stays open instead of closing. */
  readonly hold?: boolean
}

const task = JSON.parse(process.argv[2] ?? '') as StoreTask

/** Written at once, so that a killed process has said what it had acknowledged. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

async function run(): Promise<void> {
  const { folder, durability = 'os', hold = false } = task
  const store = await openStore(folder, { durability })
  say(`open ${store.rolledBack ?? ''}`.trimEnd())
  await append(store)
  if (hold) {
    setInterval(() => {}, 1000)
    return
  }
  await store.close()
  say('closed')
}

async function append(store: DeviceStore): Promise<void> {
  const { from = 0, batch = 1, appends = Infinity } = task
  const log = await store.ownLog('data', SALT, null)
  say(`log ${log.core.length}`)
  let next = from
  for (let i = 0; i < appends; i++) {
    const count = 1 + ((next * 7) % batch)
    await log.append(numbered(next, count))
    say(`ack ${next} ${count}`)
    next += count
  }
}

run().catch((error: unknown) => {
  if (!isManyhandsError(error)) throw error
  say(`error ${error.code} ${error.message}`)
})
