/** `init`: this device; `device`: those of the same identity, and new logs for this one. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { DevicePort, MemberDeviceInfo } from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { shown, table } from '../output.ts'
import type { Run } from '../run.ts'
import { seenText } from './members.ts'
import { exitOf, outcomeLines } from './own-devices.ts'

export function deviceCommands(program: Command, execute: Execute): void {
  const define = definer(program)
  defineInit(define, execute)
  const device = program
    .command('device')
    .description('your own devices in a space: list, revoke, rotate')
  defineDevices(definer(device), execute)
  defineRotation(definer(device), execute)
}

function defineRotation(define: Define, execute: Execute): void {
  define('rotate', 'go on under new logs; the old ones are never written again', [
    'manyhands device rotate --space Family'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const space = await run.space(port)
      const { writer } = await port.call('device/rotate', { space })
      await run.output.result({ writer }, () => [
        `This device writes to the log ${writer} now. Next: manyhands sync`
      ])
    })
  )
}

function defineInit(define: Define, execute: Execute): void {
  define('init', 'make the store of this device', [
    'manyhands init --name Laptop',
    'manyhands init --store ./notes'
  ])
    .option('--name <name>', 'what people call this device; remembered')
    .action((options: { readonly name?: string }, command) =>
      execute(command, async (run) => {
        const isNew = !existsSync(join(run.storage, 'manyhands.json'))
        const port = await run.open({ create: options })
        const info = await port.call('device/info', {})
        const { storage } = run
        await run.output.result({ ...info, store: storage, isNew }, () => [
          isNew ? `Made the store ${storage}` : `The store ${storage} is there already.`,
          ...table([
            ['device', shown(info.name)],
            ['id', info.id]
          ])
        ])
      })
    )
}

function defineDevices(define: Define, execute: Execute): void {
  define('list', 'the devices of your identity', ['manyhands device list']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const devices = await ownDevices(port, await run.space(port))
        await run.output.result(devices, () =>
          devices.length === 0
            ? ['This device has not been let in yet, as far as it knows.']
            : table(devices.map((each) => [each.role ?? 'removed', each.device, seenText(each)]))
        )
      })
  )

  define('revoke <device>', 'take the rights of one of your own devices away', [
    'manyhands device revoke 8pbsw… --yes',
    'manyhands device revoke 8pbsw… --all --yes   # it is lost: in all spaces'
  ])
    .option('--all', 'in all spaces of this device')
    .option('--yes', 'yes: it writes nothing more that counts')
    .action((id: string, { all = false, yes = false }: RevokeOptions, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        if (all) return revokeEverywhere(run, port, id, yes)
        const space = await run.space(port)
        const devices = await ownDevices(port, space)
        if (!devices.some(({ device }) => device === id))
          throw usage(`${shown(id)} is none of your devices.`, 'See them: manyhands device list')
        await run.confirm(
          yes,
          `This takes away the rights of ${shown(id)}: what it writes from now on counts nowhere.`,
          'manyhands device revoke DEVICE --yes'
        )
        await port.call('members/revoke', { space, who: id })
        await run.output.result({ revoked: id }, () => ['Revoked. Next: manyhands sync'])
        return EXIT.ok
      })
    )
}

interface RevokeOptions {
  readonly all?: boolean
  readonly yes?: boolean
}

async function revokeEverywhere(
  run: Run,
  port: DevicePort,
  id: string,
  isYes: boolean
): Promise<number> {
  const what = `This takes away the rights of ${shown(id)} in all spaces: what it writes from now on counts nowhere.`
  await run.confirm(isYes, what, 'manyhands device revoke DEVICE --all --yes')
  const done = await port.call('identity/revoke', { lost: id })
  await run.output.result({ revoked: id, spaces: done }, () => [
    ...outcomeLines(done, {
      revoked: 'revoked',
      barred: 'it had no rights, and gets none',
      absent: 'it has no rights there'
    }),
    'Next: manyhands sync'
  ])
  return exitOf(done)
}

async function ownDevices(port: DevicePort, space: string): Promise<readonly MemberDeviceInfo[]> {
  const members = await port.call('members/list', { space })
  return members.find(({ isOwn }) => isOwn)?.devices ?? []
}
