/** `identity link`, `identity join`: a second device of the same person; and what came of something in all spaces. */
import { Option, type Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { ManyhandsError } from '../../errors.ts'
import type {
  DevicePort,
  EnteredSpace,
  InvitingStep,
  JoinedDevice,
  JoiningStep,
  PlainOutcome
} from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { onNetwork, withNetwork, type NetworkFlags } from '../network.ts'
import { minuteText, seconds } from '../numbers.ts'
import { shown } from '../output.ts'
import type { Run } from '../run.ts'

/** The other device comes into the spaces while this one is there to let it in. */
const LET_IN_MS = 30_000
const LOOK_MS = 200

interface LinkOptions extends NetworkFlags {
  readonly expires: string
  readonly qr?: boolean
  readonly yes?: boolean
}

interface JoinOptions extends NetworkFlags {
  readonly timeout: number
}

export function defineLinking(define: Define, execute: Execute): void {
  const link = define('link', 'make a link by which another device becomes yours; waits for it', [
    'manyhands identity link                # scan what it shows, or type the link there',
    'manyhands identity link --expires 1h'
  ])
    .option('--expires <time>', 'how long it is good for: 10m, 1h; at most 1d', '10m')
    .option('--qr', 'show it as a QR code as well; at a terminal that is done anyway')
    .option('--yes', 'yes: whichever device has it first is yours, whatever code it shows')
  withNetwork(link).action((options: LinkOptions, command) =>
    execute(command, (run) => makeLink(run, options))
  )

  const join = define('join <link>', 'become a device of who made the link, in all their spaces', [
    'manyhands identity join manyhands://device/yge1k…'
  ]).addOption(
    new Option('--timeout <seconds>', 'how long to look for the other device (exit code 5)')
      .default(60)
      .argParser(seconds)
  )
  withNetwork(join).action((text: string, options: JoinOptions, command: Command) =>
    execute(command, (run) => joinByLink(run, text, options))
  )
}

const WITHOUT_ASKING = 'manyhands identity link --yes'

async function makeLink(run: Run, options: LinkOptions): Promise<number> {
  if (options.yes !== true && run.host.stderr.isTTY !== true) {
    const why = 'Somebody has to compare two codes, and there is no terminal.'
    throw usage(why, `To let in whichever device has the link first: ${WITHOUT_ASKING}`)
  }
  const port = await run.open({ serve: true })
  const inviting = port.stream('identity/invite', { expiresIn: options.expires })
  try {
    const made = await inviting.next()
    if (made.done === true || !('link' in made.value)) return EXIT.no
    const { link, expires } = made.value
    const isShown = options.qr === true || run.output.isTerminal
    await run.output.result({ link, expires }, () => linkLines(link, expires, isShown))
    return await onNetwork(port, options, async () => {
      const came = await run.unlessInterrupted(inviting.next())
      if (came.done === true || !('code' in came.value)) return expired(run)
      await decide(run, port, came.value, options.yes === true)
      const joined = await run.unlessInterrupted(inviting.next())
      if (joined.done === true || !('device' in joined.value)) return expired(run)
      await letIn(run, port, joined.value)
      return EXIT.ok
    })
  } finally {
    await inviting.return?.()
  }
}

function linkLines(link: string, expires: number, isShown: boolean): string[] {
  return [
    // Capital letters make a smaller code.
    ...(isShown ? [renderUnicodeCompact(link.toUpperCase(), { border: 4 })] : []),
    link,
    '',
    `Good until ${minuteText(expires)}, for the device that has it first: show it to nobody else.`,
    'There: manyhands identity join LINK, which shows a code to compare'
  ]
}

/** @throws USAGE where it is not confirmed, once it has been turned away */
async function decide(
  run: Run,
  port: DevicePort,
  { device, name, code }: Extract<InvitingStep, { readonly code: string }>,
  isYes: boolean
): Promise<void> {
  const what = `${shown(name)} asks to be one of your devices. It has to show the code ${code}.`
  try {
    await run.confirm(isYes, what, WITHOUT_ASKING)
  } catch (error) {
    if (!run.isInterrupted) await port.call('identity/decide', { device, isConfirmed: false })
    throw error
  }
  await port.call('identity/decide', { device, isConfirmed: true })
}

function expired(run: Run): number {
  run.output.note('No device has come. Make another link: manyhands identity link')
  return EXIT.no
}

/** Until the device is in everywhere and has gone, or long enough. */
async function letIn(run: Run, port: DevicePort, { device, name }: JoinedDevice): Promise<void> {
  const spaces = await port.call('spaces/list', {})
  const end = performance.now() + LET_IN_MS
  const waiting = async () => {
    for (const { address } of spaces) if (await isWaiting(port, address, device)) return true
    return false
  }
  while (performance.now() < end && (await run.unlessInterrupted(waiting())))
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  await run.output.result({ device, name }, () => [
    `${shown(name)}, ${device}, is yours now. If that is none of your devices: manyhands device revoke --all ${device}`
  ])
}

async function isWaiting(port: DevicePort, space: string, device: string): Promise<boolean> {
  const members = await port.call('members/list', { space })
  const isIn = members.some(({ devices }) => devices.some((each) => each.device === device))
  const { peers } = await port.call('space/info', { space })
  return !isIn || peers.includes(device)
}

async function joinByLink(run: Run, link: string, options: JoinOptions): Promise<number> {
  // Where an invite could stand as well: say so before anything is opened.
  if (!/^\s*manyhands:\/\/device\//i.test(link))
    throw new ManyhandsError('DEVICE_LINK_INVALID', 'Such a link begins with manyhands://device/')
  const port = await run.open()
  const spaces = await onNetwork(port, options, () => {
    if (run.output.isTerminal) run.output.note('Looking for the other device; Ctrl-C ends.')
    const timeout = Math.max(1, options.timeout * 1000)
    return enterBy(run, port.stream('identity/join', { link, timeout }))
  })
  const { id } = await port.call('identity/info', {})
  await run.output.result({ identity: id, spaces }, () => joinedLines(id, spaces))
  return EXIT.ok
}

async function enterBy(
  run: Run,
  joining: AsyncIterableIterator<JoiningStep>
): Promise<readonly EnteredSpace[]> {
  try {
    for (;;) {
      const { value, done } = await run.unlessInterrupted(joining.next())
      if (done === true) return []
      if ('spaces' in value) return value.spaces
      if (value.code !== '') run.output.note(`Confirm there, if it shows the code ${value.code}`)
    }
  } finally {
    await joining.return?.()
  }
}

function joinedLines(id: string, spaces: readonly EnteredSpace[]): readonly string[] {
  return [
    `A device of ${id} now.`,
    ...spaces.map(
      ({ name, isLetIn }) => `${shown(name)}: ${isLetIn ? 'in' : 'waits to be let in'}`
    ),
    'Next: manyhands sync'
  ]
}

/** A line for each space; and whether it went well everywhere. */
export function outcomeLines(
  outcomes: readonly PlainOutcome[],
  words: Readonly<Record<string, string>>
): readonly string[] {
  return outcomes.map(({ name, outcome, problem }) => {
    const what = problem?.message ?? words[outcome ?? ''] ?? outcome
    return `${shown(name)}: ${what}`
  })
}

export function exitOf(outcomes: readonly PlainOutcome[]): number {
  return outcomes.some(({ problem }) => problem !== null) ? EXIT.no : EXIT.ok
}
