/** `init` and `info`: this device. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Define, Execute } from '../define.ts'
import { shown, table } from '../output.ts'

export function deviceCommands(define: Define, execute: Execute): void {
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
