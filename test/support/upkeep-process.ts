/**
 * Opens two devices that are connected, and writes on both for ever, with everything beside it that makes logs smaller: documents are
 * saved and compacted at nearly every change, history is dropped, entries are pruned, keys are purged. Says what was acknowledged:
 *
 *     open     ack doc <length of the first one's text>     ack <a or b> <key> <number>     done <what was made smaller>
 */
import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { openStore } from '../../core/native/index.ts'
import { loadEngine } from '../../crdt/index.ts'
import { Device, type Space } from '../../multiwriter/index.ts'
import { connect } from './devices.ts'
import { greatest } from './greatest.ts'

export interface UpkeepTask {
  /** Of the two stores. */
  readonly folders: readonly [string, string]
  readonly space: string
  readonly keys: number
  /** The first number to write: each is greater than all before. */
  readonly from: number
}

const task = JSON.parse(process.argv[2] ?? '') as UpkeepTask

/** Written at once, so that a killed process has said what it had acknowledged. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

const timers = {
  elapsed: () => performance.now(),
  wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  soon: (task: () => void) => void setImmediate(task),
  after(ms: number, task: () => void) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

async function open(storage: string): Promise<Space> {
  const device = new Device({
    store: await openStore(storage),
    name: storage,
    now: Date.now,
    timers,
    waiting: timers,
    transport: null,
    documents: { timers, loadEngine, upkeep: { changesPerSave: 2, minEntries: 4 } }
  })
  return device.openSpace(task.space)
}

let next = task.from

async function put(name: 'a' | 'b', { db }: Space): Promise<never> {
  for (;;) {
    const number = next++
    const key = `key ${(number * 7) % task.keys}`
    const isWritten = await db.put(key, number, {
      cas: (previous) => greatest(previous) < number
    })
    if (isWritten) say(`ack ${name} ${key.replace(' ', '-')} ${number}`)
    if (number % 5 === 0) await pause(3)
  }
}

async function type({ documents }: Space): Promise<never> {
  const live = await documents.open('d')
  const text = live.doc.getText('t')
  for (;;) {
    text.insert(0, 'x')
    const { length } = text
    await live.flush()
    say(`ack doc ${length}`)
  }
}

async function makeSmaller(space: Space, history: 'keep' | 'drop'): Promise<never> {
  for (let i = 0; ; i++) {
    const { blocks, pruned } = await space.compact({ history })
    say(`done ${history} ${blocks} ${pruned}`)
    if (history === 'drop') await space.db.purge(`key ${i % task.keys}`)
    await pause(5)
  }
}

const [a, b] = [await open(task.folders[0]), await open(task.folders[1])]
connect(a, b)
say('open')
await Promise.all([
  put('a', a),
  put('b', b),
  type(a),
  makeSmaller(a, 'drop'),
  makeSmaller(b, 'keep')
])
