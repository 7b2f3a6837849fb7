/** Inviting others, and coming into a space by an invite. */
import { Option, type Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { ManyhandsError } from '../../errors.ts'
import type { FirstRole, InviteInfo, NewInvite, SpaceInfo } from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { onNetwork, withNetwork, type NetworkFlags } from '../network.ts'
import { count, counted, minuteText, seconds } from '../numbers.ts'
import { shown, table } from '../output.ts'
import type { Run } from '../run.ts'
import { BELOW } from './members.ts'

export function inviteCommands(program: Command, execute: Execute): void {
  const invite = program
    .command('invite')
    .description('invite other devices into a space: create, list, revoke')
  const define = definer(invite)
  defineCreate(define, execute)
  defineList(define, execute)
  defineJoin(definer(program), execute)
}

interface CreateOptions {
  readonly role: FirstRole
  readonly below?: readonly string[]
  readonly expires: string
  readonly uses: number
  readonly qr?: boolean
}

function defineCreate(define: Define, execute: Execute): void {
  define('create', 'make a link that lets in whoever has it', [
    'manyhands invite create',
    'manyhands invite create --role reader --uses 20 --expires 2w --qr',
    'manyhands invite create --below db:contacts documents/notes/'
  ])
    .option('--role <role>', 'what it lets in as: mirror, reader, writer or admin', 'writer')
    .option('--below <prefixes...>', BELOW)
    .option('--expires <time>', 'how long it lets in: 30m, 12h, 1d, 2w', '1d')
    .option('--uses <number>', 'how many devices it may let in', count, 1)
    .option('--qr', 'show it as a QR code as well; at a terminal that is done anyway')
    .action((options: CreateOptions, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        const { role, below: prefixes, expires: expiresIn, uses, qr } = options
        const params = { space, role, prefixes, expiresIn, uses }
        const invite = await port.call('invites/create', params)
        const isShown = qr === true || run.output.isTerminal
        await run.output.result(invite, () => inviteLines(invite, role, uses, isShown))
      })
    )
}

function inviteLines(
  { link, expires }: NewInvite,
  role: string,
  uses: number,
  isShown: boolean
): string[] {
  return [
    // Capital letters make a smaller code.
    ...(isShown ? [renderUnicodeCompact(link.toUpperCase(), { border: 4 })] : []),
    link,
    '',
    `Lets in ${counted(uses, 'device')} as ${role}, until ${minuteText(expires)}. Keep it secret; it is shown only now.`,
    'There: manyhands join LINK --name NAME',
    'Here, or on any device of an owner or admin, until they have come: manyhands sync'
  ]
}

function defineList(define: Define, execute: Execute): void {
  define('list', 'the invites of a space, without their links', ['manyhands invite list']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const invites = await port.call('invites/list', { space: await run.space(port) })
        await run.output.result(invites, () =>
          invites.length === 0 ? ['No invites.'] : table(invites.map(rowOf))
        )
      })
  )

  define('revoke <id>', 'let nobody in any more by an invite; whom it has let in stays', [
    'manyhands invite revoke cz9ha…   # the id that `invite list` shows'
  ]).action((id: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      await port.call('invites/revoke', { space: await run.space(port), id })
      await run.output.result({ revoked: id }, () => [
        'Revoked, as soon as the others know: manyhands sync'
      ])
    })
  )
}

function rowOf({ id, role, prefixes, uses, devices, expires, state }: InviteInfo): string[] {
  return [
    id,
    state,
    role,
    `${devices.length} of ${uses} used`,
    `until ${minuteText(expires)}`,
    prefixes === null ? '' : `below ${prefixes.map(shown).join(' ')}`
  ]
}

interface JoinOptions extends NetworkFlags {
  readonly name?: string
  readonly sparse?: boolean
  readonly timeout: number
}

function defineJoin(define: Define, execute: Execute): void {
  const join = define('join <invite>', 'come into a space by an invite, or by a ticket', [
    'manyhands join manyhands://join/yrgnx… --name Family',
    'manyhands join manyhands://join/yrgnx… --timeout 600   # somebody will be online by then',
    'manyhands join mh1yyyy…                                # a ticket: needs nobody online'
  ])
    .option('--name <name>', 'what this device calls the space')
    .option('--sparse', 'fetch data when it is read, not ahead')
    .addOption(
      new Option('--timeout <seconds>', 'how long to look for somebody who lets in (exit code 5)')
        .default(60)
        .argParser(seconds)
    )
  withNetwork(join).action((text: string, options: JoinOptions, command) =>
    execute(command, async (run) => {
      const info = await (text.trim().startsWith('mh1')
        ? joinByTicket(run, text, options)
        : joinByInvite(run, text, options))
      await run.output.result(info, () => [
        `Joined the space ${shown(info.name)}.`,
        ...(info.open || !text.startsWith('mh1') ? [] : closedAdvice(info)),
        'Next: manyhands sync'
      ])
      return EXIT.ok
    })
  )
}

async function joinByTicket(run: Run, ticket: string, { name, sparse }: JoinOptions) {
  const port = await run.open()
  return port.call('spaces/open', { ticket, ...asked(name, sparse) })
}

async function joinByInvite(run: Run, link: string, options: JoinOptions): Promise<SpaceInfo> {
  // Where an address or a name could stand as well, an invite is meant here: say so before anything is opened.
  if (!/^\s*manyhands:\/\/join\//i.test(link))
    throw new ManyhandsError('INVITE_INVALID', 'An invite begins with manyhands://join/')
  const { name, sparse, timeout } = options
  const port = await run.open()
  return onNetwork(port, options, () => {
    if (run.output.isTerminal) run.output.note('Looking for somebody who lets in; Ctrl-C ends.')
    const params = { link, timeout: Math.max(1, timeout * 1000), ...asked(name, sparse) }
    return run.unlessInterrupted(port.call('spaces/join', params))
  })
}

const asked = (name: string | undefined, sparse: boolean | undefined) => ({
  ...(name === undefined ? {} : { name }),
  ...(sparse === undefined ? {} : { sparse })
})

function closedAdvice({ writer }: SpaceInfo): string[] {
  return [
    'This space is closed: an owner or admin lets this device in, with',
    `  manyhands add-writer ${writer}`
  ]
}
