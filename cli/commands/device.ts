/** `init`, and `device rotate`: this device. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { definer, type Define, type Execute } from '../define.ts'
import { shown, table } from '../output.ts'

export function deviceCommands(program: Command, execute: Execute): void {
  const define = definer(program)
  defineInit(define, execute)
  const device = program.command('device').description('this device in a space: rotate')
  definer(device)('rotate', 'go on under new logs; the old ones are never written again', [
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
