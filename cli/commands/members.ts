/** Members: who is in a space, giving and taking rights, and what was written without. */
import type { Command } from 'commander'
import type {
  DevicePort,
  ExcludedWork,
  FirstRole,
  ForkInfo,
  GreaterRole,
  KeyInfo,
  MemberDeviceInfo,
  MemberInfo
} from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { counted, minuteText } from '../numbers.ts'
import { shown, table } from '../output.ts'
import { valueToText } from '../values.ts'

export function membersCommands(program: Command, execute: Execute): void {
  const members = program
    .command('members')
    .description('who is in a space, and what they may: list, role, revoke, restore')
  const define = definer(members)
  defineLists(define, execute)
  defineActs(define, execute)
  definePetnames(define, execute)
  defineLeaving(define, execute)
}

function defineLists(define: Define, execute: Execute): void {
  define('list', 'who is in, or was, by rank', ['manyhands members list --space Family']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        const members = await port.call('members/list', { space })
        const { id } = await port.call('device/info', {})
        const named = await Promise.all(
          members.map(async (each) => ({ ...each, name: await nameOf(port, space, each) }))
        )
        await run.output.result(named, () =>
          named.length === 0
            ? ["Nobody is known yet: the founder's membership log has not come."]
            : table(rowsOf(named, id))
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

  define('keys', 'which keys the content is encrypted under, and who has each', [
    'manyhands members keys'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const keys = await port.call('members/keys', { space: await run.space(port) })
      await run.output.result(keys, () =>
        keys.length === 0 ? ['No key is known yet.'] : table(keys.map(keyRow))
      )
    })
  )

  define('ballot', 'changes of the owners that wait for votes', [
    'manyhands members ballot'
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

interface Below {
  readonly below?: readonly string[]
}

export const BELOW =
  'where a writer may write: db:SUB, db:SUB/KEY, documents:ID, documents/ID; else everywhere'

function defineActs(define: Define, execute: Execute): void {
  define('admit <writer> <role>', 'let in who asks, as a mirror, a reader, a writer or an admin', [
    'manyhands members admit 8pbsw… reader   # a writer of `members asking`',
    'manyhands members admit 8pbsw… writer --below db:contacts documents/notes/'
  ])
    .option('--below <prefixes...>', BELOW)
    .action((writer: string, role: FirstRole, { below: prefixes }: Below, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        await port.call('members/admit', { space, writer, role, prefixes })
        await run.output.result({ admitted: writer, role }, () => [`It is ${role} now.`])
      })
    )

  define('role <who> <role>', 'give a greater role; an owner is made by votes', [
    'manyhands members role 8pbsw… admin   # a device or an identity of `members list`',
    'manyhands members role 8pbsw… writer --below db:contacts'
  ])
    .option('--below <prefixes...>', BELOW)
    .action((who: string, role: GreaterRole, { below: prefixes }: Below, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        await port.call('members/role', { space, who, role, prefixes })
        await run.output.result({ who, role }, () => [
          role === 'owner' ? 'Voted. See: manyhands members ballot' : `It is ${role} now.`
        ])
      })
    )

  define('revoke <who>', "take a member's rights away", ['manyhands members revoke 8pbsw… --yes'])
    .option('--yes', 'yes: its devices write nothing more that counts')
    .action((who: string, { yes = false }: { readonly yes?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        await run.confirm(
          yes,
          `This takes away the rights of ${shown(who)}: what it writes from now on counts nowhere.`,
          'manyhands members revoke WHO --yes'
        )
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

function definePetnames(define: Define, execute: Execute): void {
  define(
    'name <identity> [name]',
    'call somebody something, on this device only; no name forgets it',
    ['manyhands members name 8pbsw… Ben   # an identity of `members list`']
  ).action((identity: string, name: string | undefined, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      await port.call('device/petname', { identity, name: name ?? null })
      await run.output.result({ identity, name: name ?? null }, () => [
        name === undefined ? 'Forgotten.' : `Shown as ${shown(name)} here.`
      ])
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
        await run.confirm(
          yes,
          'This gives up the rights of this device: what it writes from now on counts nowhere.',
          'manyhands members leave --yes'
        )
        await port.call('members/leave', { space })
        await run.output.result({ left: true }, () => ['Left. Next: manyhands sync'])
        return EXIT.ok
      })
    )
}

interface Named {
  readonly name: string | null
}

/** As it stands in the space (docs/MEMBERSHIP.md): who writes below `people` may call anybody anything. */
async function nameOf(
  port: DevicePort,
  space: string,
  { petname, devices }: MemberInfo
): Promise<string | null> {
  if (petname !== null) return petname
  for (const writer of devices.flatMap(({ writers }) => writers)) {
    const entry = await port.call('db/get', { space, sub: ['people'], key: writer })
    const { value = null } = entry ?? {}
    const name = typeof value === 'object' && value !== null && 'name' in value ? value.name : null
    if (typeof name === 'string' && name !== '') return name
  }
  return null
}

function rowsOf(members: readonly (MemberInfo & Named)[], own: string): readonly string[][] {
  const isNamed = members.some(({ name }) => name !== null)
  return members.flatMap(({ identity, prefixes, devices, name }) =>
    devices.map((each) => [
      each.role ?? 'removed',
      ...(isNamed ? [shown(name ?? '-')] : []),
      `device ${each.device}`,
      `identity ${identity}`,
      each.device === own ? 'this device' : seenText(each),
      each.behind === null ? '' : 'waits for a key',
      reads(each) && !each.hasKey ? 'was not given the key' : '',
      prefixes === null ? '' : `below ${prefixes.map(shown).join(' ')}`
    ])
  )
}

function reads({ role }: MemberDeviceInfo): boolean {
  return role !== null && role !== 'mirror'
}

const UNUSABLE = {
  'held-outside': 'somebody has it who may not read',
  'before-removal': 'made before somebody was removed',
  'not-all-here': 'whoever made it knew more than is here',
  'same-id': 'another one has the same id'
} as const

function keyRow({ id, isCurrent, isHere, devices, unusable }: KeyInfo): string[] {
  const use = unusable === null ? 'may be written under' : UNUSABLE[unusable]
  return [
    `key ${id}`,
    isCurrent ? 'written under now' : use,
    counted(devices.length, 'device'),
    isHere ? '' : 'not here'
  ]
}

/** When a device was last heard of. */
export function seenText({ isConnected, lastSeen }: MemberDeviceInfo): string {
  if (isConnected) return 'connected'
  return lastSeen === null ? 'never seen' : `seen ${minuteText(lastSeen)}`
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
