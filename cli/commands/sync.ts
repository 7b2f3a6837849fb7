/** `sync`: meet other devices, show how far each space is, until Ctrl-C or until everybody is in step. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Option } from 'commander'
import type { DevicePort, NetworkOptions, SyncState } from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { CliError, EXIT } from '../exit.ts'
import { networkOf, withNetwork, type NetworkFlags } from '../network.ts'
import { counted, seconds } from '../numbers.ts'
import { shown, type Progress } from '../output.ts'
import type { Run } from '../run.ts'

interface SyncOptions extends NetworkFlags {
  readonly once?: boolean
  readonly timeout: number
}

interface SpaceState extends SyncState {
  readonly space: string
  readonly name: string
}

/** So often the state is looked at, in ms. */
const LOOK_EVERY = 200

/** In step twice in a row: what one device tells another may be on its way. */
const LOOKS = 2

export function syncCommand(define: Define, execute: Execute): void {
  const command = define('sync', 'meet your other devices, and keep in step until Ctrl-C', [
    'manyhands sync                # other commands go on working meanwhile',
    'manyhands sync --once         # until everybody who is there is in step',
    'manyhands sync --once --timeout 300 && echo done'
  ])
    .option('--once', 'end as soon as all connected devices are in step')
    .addOption(
      new Option('--timeout <seconds>', 'with --once: give up after so long (exit code 5)')
        .default(60)
        .argParser(seconds)
    )
  withNetwork(command).action((options: SyncOptions, command) =>
    execute(command, async (run) => {
      const network = networkOf(options)
      return run.lasting(() => sync(run, options, network))
    })
  )
}

async function sync(run: Run, options: SyncOptions, network: NetworkOptions): Promise<number> {
  const port = await run.open({ serve: true })
  const spaces = await spacesOf(run, port)
  const hold = port.stream('network', network)
  await hold.next()
  const view = new View(run)
  const deadline = options.once === true ? performance.now() + options.timeout * 1000 : Infinity
  let inStep = 0
  try {
    for (;;) {
      const states = await statesOf(port, spaces)
      await view.show(states)
      // Who was in step and has left ended its own `--once` before ours: it took all that we have.
      const isDone = isInStep(states) || (inStep > 0 && states.every(hasEnded))
      inStep = isDone ? inStep + 1 : 0
      if (options.once === true && inStep >= LOOKS) return await view.done()
      if (run.isInterrupted) return EXIT.interrupted
      if (performance.now() > deadline) throw notInStep(states)
      await sleep(LOOK_EVERY)
    }
  } finally {
    view.stop()
    await hold.return?.()
  }
}

async function spacesOf(run: Run, port: DevicePort) {
  const all = await port.call('spaces/list', {})
  if (all.length > 0 && run.options.space === undefined) return all
  const space = await run.space(port)
  return all.filter(({ address }) => address === space)
}

function statesOf(
  port: DevicePort,
  spaces: readonly { readonly address: string; readonly name: string }[]
): Promise<SpaceState[]> {
  return Promise.all(
    spaces.map(async ({ address, name }) => ({
      space: address,
      name,
      ...(await port.call('space/sync', { space: address }))
    }))
  )
}

function isInStep(states: readonly SpaceState[]): boolean {
  return states.every(
    ({ peers }) => peers.length > 0 && peers.every((peer) => peer.inStep && peer.reads.length > 0)
  )
}

/** Nobody is there who is not in step, and nothing is still to come. */
function hasEnded({ peers, logs }: SpaceState): boolean {
  return peers.every((peer) => peer.inStep) && logs.every(({ here, known }) => here === known)
}

function notInStep(states: readonly SpaceState[]): CliError {
  const lines = states
    .filter((state) => !isInStep([state]))
    .map((state) => `  ${shown(state.name)}: ${whyNot(state)}`)
  const message = `Not in step in time:\n${lines.join('\n')}`
  return new CliError(EXIT.unavailable, 'NOT_IN_STEP', message, 'What arrived is kept; try again.')
}

function whyNot({ peers, logs }: SpaceState): string {
  if (peers.length === 0) return 'no other device was there'
  const strangers = peers.filter(({ reads }) => reads.length === 0).length
  if (strangers > 0)
    return `${counted(strangers, 'device')} ${strangers === 1 ? 'reads' : 'read'} none of our logs: see manyhands add-writer`
  const missing = logs.reduce((sum, { here, known }) => sum + known - here, 0)
  if (missing > 0)
    return `${counted(missing, 'block')} ${missing === 1 ? 'is' : 'are'} still to come`
  const behind = peers.filter((peer) => !peer.inStep).length
  return `${counted(behind, 'device')} still ${behind === 1 ? 'fetches' : 'fetch'} from us`
}

/** A line for each change, or at a terminal a bar while something comes in. */
class View {
  readonly #run: Run
  readonly #last = new Map<string, string>()
  /** Devices that were in step, though they may have left since. */
  readonly #met = new Set<string>()
  #bar: Progress | null = null

  constructor(run: Run) {
    this.#run = run
    if (run.output.isTerminal) run.output.note('Looking for other devices; Ctrl-C ends.')
  }

  async show(states: readonly SpaceState[]): Promise<void> {
    this.#showProgress(states)
    for (const state of states) {
      for (const { peer, inStep } of state.peers) if (inStep) this.#met.add(peer)
      const line = this.#run.output.json ? JSON.stringify(state) : lineOf(state)
      if (this.#last.get(state.space) === line) continue
      this.#last.set(state.space, line)
      await this.#run.output.line(line)
    }
  }

  async done(): Promise<number> {
    if (!this.#run.output.json)
      await this.#run.output.line(`In step with ${counted(this.#met.size, 'device')}.`)
    return EXIT.ok
  }

  stop(): void {
    this.#bar?.stop()
  }

  #showProgress(states: readonly SpaceState[]): void {
    const logs = states.flatMap((state) => state.logs)
    const known = logs.reduce((sum, log) => sum + log.known, 0)
    const here = logs.reduce((sum, log) => sum + log.here, 0)
    if (here === known) {
      this.#bar?.stop()
      this.#bar = null
      return
    }
    this.#bar ??= this.#run.output.progress()
    const left = `${counted(known - here, 'block')} to come`
    this.#bar.show({ task: 'receiving', done: here, total: known, unit: 'blocks' }, left)
  }
}

function lineOf({ name, peers, logs }: SpaceState): string {
  const inStep = peers.filter((peer) => peer.inStep).length
  const missing = logs.reduce((sum, { here, known }) => sum + known - here, 0)
  const parts = [
    `${counted(peers.length, 'device')} connected`,
    ...(peers.length === 0 ? [] : [`${inStep} in step`]),
    ...(missing === 0 ? [] : ['receiving'])
  ]
  return `${shown(name)}: ${parts.join(', ')}`
}
