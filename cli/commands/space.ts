/** Spaces: making, listing, leaving, and whose logs they read. */
import type { Command } from 'commander'
import type { SpaceInfo } from '../../multiwriter/index.ts'
import { definer, type Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { counted } from '../numbers.ts'
import { shown, table } from '../output.ts'

export function spaceCommands(program: Command, execute: Execute): void {
  const define = definer(program)
  const space = program.command('space').description('make, list, show and leave spaces')
  defineSpace(space, execute)

  define('add-writer <writer>', 'let another device into a space that is not open', [
    'manyhands add-writer 8pbsw…   # its "writer", as `manyhands space info` shows it there'
  ]).action((writer: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const space = await run.space(port)
      await port.call('space/addWriter', { space, writer })
      await run.output.result({ space, writer }, () => ['The log is read from now on.'])
    })
  )
}

function defineSpace(space: Command, execute: Execute): void {
  const define = definer(space)
  define('create <name>', 'make a space, and own it', [
    'manyhands space create Family',
    'manyhands space create Team --closed   # others come by invites, or are let in by add-writer'
  ])
    .option('--closed', 'a ticket alone lets nobody write: others come by invites')
    .action((name: string, { closed = false }: { readonly closed?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const info = await port.call('spaces/create', { name, open: !closed })
        await run.output.result(info, () => [
          `Made the space ${shown(info.name)}.`,
          '',
          'Invite another device: manyhands invite create'
        ])
      })
    )

  define('list', 'the spaces of this device', ['manyhands space list']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const spaces = await port.call('spaces/list', {})
        await run.output.result(spaces, () =>
          spaces.length === 0
            ? ['No space yet.']
            : table(spaces.map(({ name, address }) => [shown(name), address]))
        )
      })
  )

  define('info', 'the address and the writers of a space', [
    'manyhands space info --space Family'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const info = await port.call('space/info', { space: await run.space(port) })
      await run.output.result(info, () => infoLines(info))
    })
  )

  define('ticket', 'the secret key of a space, for devices to come by without anybody online', [
    'manyhands space ticket --space Family'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const info = await port.call('space/info', { space: await run.space(port) })
      await run.output.result(info.ticket, () => [info.ticket])
    })
  )

  define('leave', 'forget a space, its keys and its data on this device', [
    'manyhands space leave --space Family --yes'
  ])
    .option('--yes', 'yes: what only this device has of it is gone then')
    .action(({ yes = false }: { readonly yes?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        const { name } = await port.call('space/info', { space })
        await run.confirm(
          yes,
          `This forgets the space ${shown(name)}: what no other device has of it is gone then.`,
          'manyhands space leave --yes'
        )
        await port.call('spaces/leave', { space })
        await run.output.result({ left: space }, () => [`Left the space ${shown(name)}.`])
        return EXIT.ok
      })
    )
}

function infoLines(info: SpaceInfo): string[] {
  const refused = info.refusals.reduce((sum, { count }) => sum + count, 0)
  return [
    ...table([
      ['space', shown(info.name)],
      ['address', info.address],
      ['kind', info.open ? 'open: who has the ticket writes' : 'closed: others come by invites'],
      ...(info.encrypted
        ? []
        : [['encryption', 'none: whoever has the disk or the wire reads it']]),
      ['writer', `${info.writer}  (this device)`],
      ...(refused > 0
        ? [['refused', `${counted(refused, 'piece')} of broken data: see manyhands doctor`]]
        : [])
    ]),
    '',
    `${counted(info.writers.length, 'log')}:`,
    ...table(
      info.writers.map(({ writer, isOwn, length }) => [
        `  ${writer}`,
        `${counted(length, 'block')}${isOwn ? ', this device' : ''}`
      ])
    )
  ]
}
