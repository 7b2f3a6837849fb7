/** Members: who is in a space, giving and taking rights, and what was written without. */
import type { Command } from 'commander'
import type {
  ExcludedWork,
  FirstRole,
  ForkInfo,
  GreaterRole,
  MemberInfo
} from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { counted } from '../numbers.ts'
import { shown, table } from '../output.ts'
import { valueToText } from '../values.ts'

export function membersCommands(program: Command, execute: Execute): void {
  const members = program
    .command('members')
    .description('who is in a space, and what they may: list, promote, revoke, restore')
  const define = definer(members)
  defineLists(define, execute)
  defineActs(define, execute)
  defineLeaving(define, execute)
}

function defineLists(define: Define, execute: Execute): void {
  define('list', 'who is in, or was, by rank', ['manyhands members list --space Family']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const members = await port.call('members/list', { space: await run.space(port) })
        await run.output.result(members, () =>
          members.length === 0
            ? ["Nobody is known yet: the founder's membership log has not come."]
            : table(members.flatMap(memberRows))
        )
      })
  )

  define('asking', 'devices that have the ticket and wait to be let in', [
    'manyhands members asking'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const asking = await port.call('members/asking', { space: await run.space(port) })
      await run.output.result(asking, () =>
        asking.length === 0
          ? [
              'Nobody asks, as far as this device has heard. They have to be connected: manyhands sync'
            ]
          : table(asking.map(({ device, writer }) => [`writer ${writer}`, `device ${device}`]))
      )
    })
  )

  define('ballots', 'changes of the owners that wait for votes', [
    'manyhands members ballots'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const ballots = await port.call('members/ballots', { space: await run.space(port) })
      await run.output.result(ballots, () =>
        ballots.length === 0
          ? ['No ballot is pending.']
          : table(
              ballots.map(({ change, identity, votes, needed }) => [
                `${change} ${identity}`,
                `${votes} of ${needed} votes`
              ])
            )
      )
    })
  )

  define('forks', 'logs with two histories: stores that were copied and both wrote, or attacks', [
    'manyhands members forks'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const forks = await port.call('members/forks', { space: await run.space(port) })
      await run.output.result(forks, () =>
        forks.length === 0 ? ['Every log has one history.'] : forks.flatMap(forkLines)
      )
    })
  )

  define('excluded', 'what does not count: written by who may not any more', [
    'manyhands members excluded --json'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const works = await port.call('members/excluded', { space: await run.space(port) })
      await run.output.result(works, () =>
        works.length === 0 ? ['Everything that is here counts.'] : works.flatMap(workLines)
      )
    })
  )
}

function defineActs(define: Define, execute: Execute): void {
  define('admit <writer> <role>', 'let in who asks, as a reader, a writer or an admin', [
    'manyhands members admit 8pbsw… reader   # a writer of `members asking`'
  ]).action((writer: string, role: FirstRole, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const space = await run.space(port)
      await port.call('members/admit', { space, writer, role })
      await run.output.result({ admitted: writer, role }, () => [`It is ${role} now.`])
    })
  )

  define('promote <who> <role>', 'make a member a writer, an admin, or (by vote) an owner', [
    'manyhands members promote 8pbsw… admin   # a device or an identity of `members list`'
  ]).action((who: string, role: GreaterRole, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const space = await run.space(port)
      await port.call('members/promote', { space, who, role })
      await run.output.result({ promoted: who, role }, () => [
        role === 'owner' ? 'Voted. See: manyhands members ballots' : `It is ${role} now.`
      ])
    })
  )

  define('revoke <who>', "take a member's rights away", ['manyhands members revoke 8pbsw… --yes'])
    .option('--yes', 'yes: its devices write nothing more that counts')
    .action((who: string, { yes = false }: { readonly yes?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        if (!yes) {
          throw usage(
            `This takes away the rights of ${shown(who)}: what it writes from now on counts nowhere.`,
            'If you want that: manyhands members revoke WHO --yes'
          )
        }
        await port.call('members/revoke', { space, who })
        await run.output.result({ revoked: who }, () => [
          'Revoked, as far as its logs are here. Next: manyhands sync'
        ])
        return EXIT.ok
      })
    )

  define('restore <who>', 'let all count that is here of its logs; gives back no rights', [
    'manyhands members restore 8pbsw…'
  ]).action((who: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const space = await run.space(port)
      await port.call('members/restore', { space, who })
      await run.output.result({ restored: who }, () => ['What is here of its logs counts again.'])
    })
  )
}

function defineLeaving(define: Define, execute: Execute): void {
  define('leave', "give up this device's own rights, for good", ['manyhands members leave --yes'])
    .option('--yes', 'yes: this device writes nothing more that counts')
    .action(({ yes = false }: { readonly yes?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        if (!yes) {
          throw usage(
            'This gives up the rights of this device: what it writes from now on counts nowhere.',
            'If you want that: manyhands members leave --yes'
          )
        }
        await port.call('members/leave', { space })
        await run.output.result({ left: true }, () => ['Left. Next: manyhands sync'])
        return EXIT.ok
      })
    )
}

function memberRows({ identity, role, isOwn, devices }: MemberInfo): string[][] {
  return devices.map(({ device }) => [
    role ?? 'removed',
    `device ${device}`,
    `identity ${identity}${isOwn ? '  (this device)' : ''}`
  ])
}

const HERE = {
  chosen: 'what counts of it is here',
  other: 'another history is here; what counts is fetched from others: manyhands sync',
  part: 'not all that counts is here: manyhands sync'
} as const

function forkLines({ writer, use, device, common, length, here }: ForkInfo): string[] {
  return [
    `${writer}, a log of ${use}, of the device ${device}:`,
    `  parts after ${counted(common, 'block')}; ${counted(length, 'block')} count; ${HERE[here]}`
  ]
}

function workLines({ writer, length, entries, documents }: ExcludedWork): string[] {
  return [
    `${writer}, after ${counted(length, 'block')}:`,
    ...table(entries.map(({ key, value }) => [`  ${shown(key)}`, valueToText(value ?? undefined)])),
    ...documents.map((id) => `  document ${shown(id)}`)
  ]
}
