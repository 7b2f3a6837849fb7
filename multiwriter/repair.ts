/**
 * Repairing what can be made again: the local index and a clearing that was cut short from what is here, and what is missing or
 * damaged here of others' logs from the devices that are connected. The rest is told.
 */
import { checkSpace, type CheckParts, type Finding } from './check.ts'
import type { Work } from '../core/index.ts'

export interface RepairReport {
  /** What was done, in a sentence each; [] when there was nothing to do. */
  readonly done: readonly string[]
  /** What is still wrong: for each, `next` says what a person can do. */
  readonly left: readonly Finding[]
}

export interface RepairParts extends CheckParts {
  rebuildIndex(work: Work): Promise<void>
}

export async function repairSpace(parts: RepairParts, work: Work): Promise<RepairReport> {
  const found = await checkSpace(parts, work)
  const done = await finishClearing(parts)
  const fetching = await fetchAgain(parts, found, work)
  done.push(...fetching.done)
  // An index made of damaged blocks agreed with them.
  const now = fetching.done.length === 0 ? found : await checkSpace(parts, work)
  if (now.some(({ code }) => code === 'index-differs')) {
    await parts.rebuildIndex(work)
    done.push('The local index was built again.')
  }
  // What was done is believed when it is seen.
  const left = done.length === 0 ? found : await checkSpace(parts, work)
  return { done, left: left.map((each) => advised(each, fetching.advice)) }
}

/** A purge declares first and clears then: a process may have been killed in between. */
async function finishClearing({ union }: RepairParts): Promise<string[]> {
  const done: string[] = []
  for (const { id, clearing } of union.logs()) {
    const since = clearing?.cleared?.since ?? 0
    if (clearing === null || clearing.doneSince >= since) continue
    await clearing.clear()
    if (clearing.doneSince >= since) done.push(`What the log ${id} had purged was cleared.`)
  }
  return done
}

/** What fetching a log again may mend. A tree that is refused may be the writer's doing, or our copy's damage. */
const FETCHABLE: readonly string[] = ['blocks-missing', 'tree-refused']

/** Connected devices have said that they hold what is asked for; so long a silence, in ms, means that they went away. */
const PATIENCE = 10_000

const ADVICE = {
  alone:
    'No device that holds this log is connected. Run manyhands sync, and while it runs: manyhands doctor --repair',
  lacking:
    'The devices that are connected lack these blocks too. Connect another that holds this log.'
} as const

/** For a writer, what to do about its log. */
type Advice = ReadonlyMap<string, string>

async function fetchAgain({ union, own }: RepairParts, found: readonly Finding[], work: Work) {
  const broken = new Set(
    found.flatMap(({ code, writer }) =>
      writer !== null && FETCHABLE.includes(code) ? [writer] : []
    )
  )
  const done: string[] = []
  const advice = new Map<string, string>()
  for (const log of union.logs()) {
    if (!broken.has(log.id) || log.core === own.core) continue
    const { wanted, fetched, peers } = await log.refetch({ ...work, timeout: PATIENCE })
    if (fetched > 0)
      done.push(`Fetched ${fetched} of the ${wanted} bad or missing blocks of the log ${log.id}.`)
    if (fetched < wanted) advice.set(log.id, peers === 0 ? ADVICE.alone : ADVICE.lacking)
  }
  return { done, advice }
}

function advised(finding: Finding, advice: Advice): Finding {
  const { code, writer } = finding
  const next = FETCHABLE.includes(code) && writer !== null ? advice.get(writer) : undefined
  return next === undefined ? finding : { ...finding, next }
}
