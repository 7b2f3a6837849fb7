/** `why`, `doctor`, `stats`, `compact`, `purge`: trust, damage, bytes and forgetting. */
import { stampToText } from '../../index.ts'
import {
  explanationToText,
  type CompactReport,
  type DevicePort,
  type Finding,
  type PurgeReport,
  type SpaceStats
} from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT } from '../exit.ts'
import { counted } from '../numbers.ts'
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
        const space = await run.space(port)
        const stats = await run.long((work) => port.call('space/stats', { space }, work))
        await run.output.result(stats, () => statsLines(stats))
      })
  )

  define('compact', 'win room back on the disk', ['manyhands compact'])
    .option('--drop-history', 'keep only the newest state of our log: earlier versions are gone')
    .action(({ dropHistory = false }: { readonly dropHistory?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const space = await run.space(port)
        const options = dropHistory ? { history: 'drop' as const } : {}
        run.onInterrupt = () => 'Interrupted: nothing is lost. manyhands compact goes on with it.'
        const report = await run.long((work) =>
          port.call('space/compact', { space, ...options }, work)
        )
        await run.output.result(report, () => compactLines(report))
      })
    )

  define('purge <key>', 'clear what a key was, here and on connected devices', [
    'manyhands del secret && manyhands purge secret'
  ]).action((key: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const where = await run.where(port)
      run.onInterrupt = () => 'Interrupted: nothing is lost. The same command again does the rest.'
      const report = await run.long((work) =>
        port.call('db/purge', { ...where, key, patience: PURGE_PATIENCE }, work)
      )
      await run.output.result(report, () => purgeLines(report))
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
    spaces.push({ space, name, ...(await diagnose(run, port, space, repair)) })
  }
  await run.output.result({ rolledBack, spaces }, () => [
    ...(rolledBack === null ? [] : [`This device goes on under new logs: ${rolledBack}`]),
    ...(spaces.length === 0 ? ['This device is in no space yet.'] : []),
    ...spaces.flatMap((each) => diagnosisLines(run.output, each))
  ])
  const isBad = spaces.some(({ findings }) => findings.some(({ severity }) => severity === 'error'))
  return isBad ? EXIT.no : EXIT.ok
}

async function diagnose(run: Run, port: DevicePort, space: string, repair: boolean) {
  return run.long(async (work) => {
    if (!repair) return { done: [], findings: await port.call('space/check', { space }, work) }
    const { done, left } = await port.call('space/repair', { space }, work)
    return { done, findings: left }
  })
}

function compactLines({ before, after, pruned }: CompactReport): string[] {
  const lines = [`${bytes(before)} before, ${bytes(after)} now.`]
  if (pruned > 0)
    lines.push(`${counted(pruned, 'entry')} of this device left out: others wrote over them.`)
  if (after < before) return lines
  return [...lines, 'There was nothing to win back: what was added is the journal of the database.']
}

/** Connected devices have so long to clear their copies, in ms. */
const PURGE_PATIENCE = 5000

function purgeLines({ blocks, bytes: size, peers, others, caveat }: PurgeReport): string[] {
  return [
    blocks === 0
      ? 'This device had nothing of it to clear.'
      : `${counted(blocks, 'block')} (${bytes(size)}) cleared here.`,
    ...peers.map(
      ({ peer, confirmed }) => `${peer}: ${confirmed ? 'cleared too' : 'has not answered'}`
    ),
    ...others.map((writer) => `Only its writer can clear the log ${writer}`),
    caveat
  ]
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
