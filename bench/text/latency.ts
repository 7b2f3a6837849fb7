/** How long after a keystroke a reader shows it, at a typist's speed. By wall clock: waiting is what is measured. */
import { setTimeout } from 'node:timers/promises'
import { join } from 'node:path'
import type { Rig, RigKind } from './rigs.ts'

export interface LatencyOptions {
  readonly folder: string
  readonly readers: number
  readonly perSecond: number
  /** In each round, of each kind. */
  readonly keystrokes: number
  /** Kinds take turns; the round before the first does not count. */
  readonly rounds: number
}

/** In ms. */
export interface Latency {
  readonly p50: number
  readonly p99: number
}

export async function measureLatencies(
  kinds: readonly RigKind[],
  options: LatencyOptions
): Promise<Map<string, Latency>> {
  const lanes: { readonly name: string; readonly rig: Rig; readonly times: number[] }[] = []
  try {
    for (const [i, kind] of kinds.entries()) {
      const rig = await kind.open(join(options.folder, `${i}`), options.readers)
      lanes.push({ name: kind.name, rig, times: [] })
    }
    for (let round = 0; round <= options.rounds; round++) {
      for (const { rig, times } of lanes) {
        const some = await typeFor(rig, options)
        if (round > 0) times.push(...some)
      }
    }
    return new Map(lanes.map(({ name, times }) => [name, latencyOf(times)]))
  } finally {
    for (const { rig } of lanes) await rig.close()
  }
}

/** @returns ms, of each keystroke at each reader */
async function typeFor(
  rig: Rig,
  { keystrokes, perSecond, readers }: LatencyOptions
): Promise<readonly number[]> {
  const times: number[] = []
  const typedAt: number[] = []
  const before = rig.shown(0)
  const seen = Array.from({ length: readers }, () => 0)
  rig.onshown = (reader) => {
    const now = performance.now()
    const count = rig.shown(reader) - before
    for (let i = seen[reader]!; i < count; i++) times.push(now - typedAt[i]!)
    seen[reader] = count
  }
  const begin = performance.now()
  for (let i = 0; i < keystrokes; i++) {
    const due = begin + (i * 1000) / perSecond
    await setTimeout(Math.max(0, due - performance.now()))
    typedAt.push(performance.now())
    rig.type()
  }
  const deadline = performance.now() + 60_000
  while (times.length < keystrokes * readers) {
    if (performance.now() > deadline) throw new Error('Some keystrokes were never shown.')
    await setTimeout(1)
  }
  return times
}

function latencyOf(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

export function latencyNotes(what: string, latencies: ReadonlyMap<string, Latency>): string[] {
  return Array.from(
    latencies,
    ([name, { p50, p99 }]) => `${what}, ${name}: p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}`
  )
}

const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`
