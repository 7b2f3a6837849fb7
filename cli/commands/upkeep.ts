/** `why`, `doctor`, `stats`, `compact`, `purge`: trust, damage, bytes and forgetting. */
import { stampToText } from '../../index.ts'
import {
  explanationToText,
  type DevicePort,
  type Finding,
  type SpaceStats
} from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { shown, table, type Output } from '../output.ts'
import type { Run } from '../run.ts'
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

  define('doctor', 'look for damage; exit code 1 if there is any', [
    'manyhands doctor',
    'manyhands doctor --repair   # builds a damaged index again, finishes what was cut short'
  ])
    .option('--repair', 'repair what can be; exit code 1 if something is left')
    .action(({ repair = false }: { readonly repair?: boolean }, command) =>
      execute(command, (run) => doctor(run, repair))
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

interface Diagnosis {
  readonly space: string
  readonly name: string
  /** What was repaired. */
  readonly done: readonly string[]
  readonly findings: readonly Finding[]
}

async function doctor(run: Run, repair: boolean): Promise<number> {
  // Serving takes the place of a socket that a killed owner left, and removes it at the end.
  const port = await run.open({ serve: repair })
  const { rolledBack } = await port.call('device/info', {})
  const spaces: Diagnosis[] = []
  for (const { address: space, name } of await port.call('spaces/list', {})) {
    if (run.isInterrupted) return EXIT.interrupted
    spaces.push({ space, name, ...(await diagnose(port, space, repair)) })
  }
  await run.output.result({ rolledBack, spaces }, () => [
    ...(rolledBack === null ? [] : [`This device can only read: ${rolledBack}`]),
    ...(spaces.length === 0 ? ['This device is in no space yet.'] : []),
    ...spaces.flatMap((each) => diagnosisLines(run.output, each))
  ])
  const isBad = spaces.some(({ findings }) => findings.some(({ severity }) => severity === 'error'))
  return isBad || rolledBack !== null ? EXIT.no : EXIT.ok
}

async function diagnose(port: DevicePort, space: string, repair: boolean) {
  if (!repair) return { done: [], findings: await port.call('space/check', { space }) }
  const { done, left } = await port.call('space/repair', { space })
  return { done, findings: left }
}

const SEVERITY_STYLE = { error: 'red', warning: 'yellow', note: 'dim' } as const

function diagnosisLines(output: Output, { name, done, findings }: Diagnosis): string[] {
  const isSound = findings.length === 0
  return [
    `${output.style('bold', shown(name))}${isSound ? ': sound' : ''}`,
    ...done.map((each) => `  ${output.style('green', 'repaired')}  ${each}`),
    ...findings.flatMap(({ severity, writer, message, next }) => [
      `  ${output.style(SEVERITY_STYLE[severity], severity.padEnd(8))}  ${message}`,
      ...(writer === null ? [] : [`            in the log ${writer}`]),
      `            ${next}`
    ])
  ]
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
