/** Repairing what can be made again from what is here: the local index, and a clearing that was cut short. The rest is told. */
import { checkSpace, type CheckOptions, type CheckParts, type Finding } from './check.ts'

export interface RepairReport {
  /** What was done, in a sentence each; [] when there was nothing to do. */
  readonly done: readonly string[]
  /** What is still wrong: for each, `next` says what a person can do. */
  readonly left: readonly Finding[]
}

export interface RepairParts extends CheckParts {
  rebuildIndex(): Promise<void>
}

export async function repairSpace(
  parts: RepairParts,
  options: CheckOptions
): Promise<RepairReport> {
  const found = await checkSpace(parts, options)
  const done = await finishClearing(parts)
  if (found.some(({ code }) => code === 'index-differs')) {
    await parts.rebuildIndex()
    done.push('The local index was built again.')
  }
  // What was done is believed when it is seen.
  return { done, left: done.length === 0 ? found : await checkSpace(parts, options) }
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
