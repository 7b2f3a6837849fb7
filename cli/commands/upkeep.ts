/** `why`, `doctor`, `stats`, `compact`, `purge`: trust, damage, bytes and forgetting. */
import { stampToText } from '../../index.ts'
import { explanationToText, type Finding, type SpaceStats } from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { shown, table } from '../output.ts'
import { valueToJson } from '../values.ts'

export function upkeepCommands(define: Define, execute: Execute): void {
  define('why <key>', 'why a key has its value: every entry, and the rule that decided', [
    'manyhands why contacts/ann'
  ]).action((key: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const explanation = await port.call('db/why', { ...(await run.where(port)), key })
      const entries = explanation.entries.map((entry) => ({
        ...entry,
        value: valueToJson(entry.value),
        stamp: entry.stamp === null ? null : stampToText(entry.stamp)
      }))
      await run.output.result({ ...explanation, entries }, () => [explanationToText(explanation)])
    })
  )

  define('doctor', 'look for damage; exit code 1 if there is any', ['manyhands doctor']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const { rolledBack } = await port.call('device/info', {})
        const spaces = await port.call('spaces/list', {})
        const reports: { space: string; name: string; findings: readonly Finding[] }[] = []
        for (const { address: space, name } of spaces) {
          reports.push({ space, name, findings: await port.call('space/check', { space }) })
        }
        await run.output.result({ rolledBack, spaces: reports }, () => [
          ...(rolledBack === null ? [] : [`This device can only read: ${rolledBack}`]),
          ...reports.flatMap(({ name, findings }) =>
            findings.length === 0
              ? [`${shown(name)}: sound`]
              : findings.map(
                  (each) => `${shown(name)}: ${each.severity}: ${each.message} ${each.next}`
                )
          )
        ])
        const isBad = reports.some(({ findings }) =>
          findings.some(({ severity }) => severity === 'error')
        )
        return isBad || rolledBack !== null ? EXIT.no : EXIT.ok
      })
  )

  define('stats', 'where the bytes of a space are', ['manyhands stats']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const stats = await port.call('space/stats', { space: await run.space(port) })
        await run.output.result(stats, () => statsLines(stats))
      })
  )

  define('compact', 'win room back on the disk', ['manyhands compact'])
    .option('--drop-history', 'keep only the newest state of our log: earlier versions are gone')
    .action(({ dropHistory = false }: { readonly dropHistory?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        const report = await port.call('space/compact', {
          space,
          ...(dropHistory ? { history: 'drop' as const } : {})
        })
        await run.output.result(report, () => [
          `${bytes(report.before)} before, ${bytes(report.after)} now.`
        ])
      })
    )

  define('purge <key>', 'clear what a key was, here and on connected devices', [
    'manyhands del secret && manyhands purge secret'
  ]).action((key: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const report = await port.call('db/purge', { ...(await run.where(port)), key })
      await run.output.result(report, () => [
        `${report.blocks} blocks (${bytes(report.bytes)}) cleared here.`,
        ...report.peers.map(
          ({ peer, confirmed }) => `${peer}: ${confirmed ? 'cleared too' : 'has not answered'}`
        ),
        ...report.others.map((writer) => `Only its writer can clear the log ${writer}`),
        report.caveat
      ])
    })
  )
}

function statsLines({ logs, indexBytes, storeBytes }: SpaceStats): string[] {
  const rows = logs.map((log) => [
    `log ${log.writer.slice(0, 8)}${log.isOwn ? ' (this device)' : ''}`,
    bytes(log.bytes),
    `${log.held} of ${log.length} blocks, history ${bytes(log.historyBytes)}`
  ])
  return table([...rows, ['index', bytes(indexBytes)], ['whole store', bytes(storeBytes)]])
}

function bytes(count: number | null): string {
  return count === null ? 'unknown' : `${count.toLocaleString('en')} B`
}
