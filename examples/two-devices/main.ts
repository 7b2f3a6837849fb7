/**
 * The main job (`npm start`): two devices, each a process with a store of its own, edit one database offline, meet, and agree.
 *
 *     main.ts            starts two processes and cleans up after them
 *     story.ts           what happens, chapter by chapter
 *     edits.ts           who changes what while offline
 *     cities.ts          the data, and who loads which part
 *     device.ts          what each device does: the one file here that uses manyhands
 *     protocol.ts        what the main process can ask of a device
 *     remote-device.ts   a device as the main process has it
 *     report.ts          cities and conflicts for people
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import createTestnet from 'hyperdht/testnet.js'
import { heading, ms } from '../shared/print.ts'
import { RemoteDevice } from './remote-device.ts'
import { tellStory } from './story.ts'

/** As a shell counts it: 128 and the signal's number. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

class Interrupted extends Error {
  readonly exitCode: number

  constructor(why: string, exitCode: number) {
    super(why)
    this.exitCode = exitCode
  }
}

async function main(): Promise<void> {
  const begin = performance.now()
  try {
    await run(readPatience())
    heading(`Done in ${ms(performance.now() - begin)}; both stores are removed again.`)
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = error instanceof Interrupted ? error.exitCode : 1
  }
}

/** Devices on one machine find each other in a second or two: 30 are for a very busy one. */
function readPatience(): number {
  const { values } = parseArgs({ options: { patience: { type: 'string', default: '30' } } })
  const seconds = Number(values.patience)
  if (seconds > 0) return seconds * 1000
  throw new TypeError(`--patience expects seconds, got "${values.patience}"`)
}

async function run(patienceMs: number): Promise<void> {
  const interrupted = interruption()
  const folder = await mkdtemp(join(tmpdir(), 'manyhands-two-devices-'))
  const laptop = new RemoteDevice('Laptop', join(folder, 'laptop'))
  const phone = new RemoteDevice('Phone', join(folder, 'phone'))
  // A private network on this machine: three nodes are enough for two devices to find each other.
  const network = createTestnet(3, { host: '127.0.0.1' })
  try {
    const { bootstrap } = await network
    const story = tellStory({ laptop, phone, rendezvous: { bootstrap, patienceMs } })
    await Promise.race([story, laptop.died, phone.died, interrupted])
  } finally {
    await Promise.all([laptop.stop(), phone.stop()])
    await rm(folder, { recursive: true, force: true })
    await (await network).destroy()
  }
}

/** Rejects at a Ctrl-C or when nobody reads our output any more, so that both come to the same clean end. */
function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const [signal, code] of Object.entries(EXIT_CODES)) {
      process.on(signal, () => reject(new Interrupted(`Stopped by ${signal}.`, code)))
    }
    process.stdout.on('error', () => reject(new Interrupted('Nobody reads the output.', 1)))
  })
  interrupted.catch(() => {}) // also when it comes before or after the race
  return interrupted
}

await main()
