/**
 * The way back: which writes make a key show again what it once showed. One at a time, each from what the key shows by then, so it
 * leads there whatever others contribute: a counter gets the increment that makes up the difference, a set loses and gets elements.
 */
import { encodeValue, isSameValue, type Value, type WriteOperation } from '../crdt/index.ts'
import type { NextWrite } from './group.ts'
import type { FoldedKey } from './view.ts'

/** More are nobody's set; it would not end where somebody's fold does not do what it is told. */
const MAX_STEPS = 65_536

/** Whether two states are shown as the same. */
export function isSameState(a: FoldedKey, b: FoldedKey): boolean {
  if (!a.exists || !b.exists) return a.exists === b.exists
  return a.type === b.type && isSameValue(a.value, b.value)
}

/** Whether there is a way back: what a user's merge type made can be taken away, but not made again. */
export function isReachable({ type, exists }: FoldedKey): boolean {
  return !exists || type === null || WAYS.has(type)
}

/** Writes that lead to `goal`. */
export function stepsTo(goal: FoldedKey): NextWrite {
  return (now, step) => {
    if (step === MAX_STEPS || isSameState(goal, now)) return null
    return goal.exists ? (WAYS.get(goal.type ?? '')?.(goal, now) ?? null) : { do: 'del' }
  }
}

type Way = (goal: FoldedKey, now: FoldedKey) => WriteOperation | null

const WAYS: ReadonlyMap<string, Way> = new Map<string, Way>([
  [
    'value',
    ({ value, shown }) =>
      putOf(
        value,
        shown.every(({ path }) => path.length === 0)
      )
  ],
  ['counter', (goal, now) => ({ do: 'add', amount: numberOf(goal) - numberOf(now) || ENOUGH })],
  ['max', (goal, now) => raise('max', goal, now)],
  ['min', (goal, now) => raise('min', goal, now)],
  ['set', nextElement],
  ['flag', () => ({ do: 'enable' })]
])

/** A counter of 0 that is not there is one after it has been added to. */
const ENOUGH = 1

/** As it was: an object that stood as one register does so again. */
function putOf(value: Value, isWhole: boolean): WriteOperation {
  return isWhole
    ? { do: 'put-whole', bytes: encodeValue(value) }
    : { do: 'put', value, settles: true }
}

/** Past the goal only a deletion leads back. */
function raise(type: 'max' | 'min', goal: FoldedKey, now: FoldedKey): WriteOperation {
  const [to, at] = [numberOf(goal), numberOf(now)]
  const isPast = now.type === type && now.exists && (type === 'max' ? at > to : at < to)
  return isPast ? { do: 'del' } : { do: 'raise', type, to }
}

function numberOf({ type, value }: FoldedKey): number {
  return typeof value === 'number' && type !== 'value' ? value : 0
}

function nextElement(goal: FoldedKey, now: FoldedKey): WriteOperation | null {
  const wanted = elementsOf(goal)
  const there = elementsOf(now)
  const missing = wanted.find((each) => !there.some((other) => isSameValue(each, other)))
  if (missing !== undefined) return { do: 'include', element: missing }
  const extra = there.find((each) => !wanted.some((other) => isSameValue(each, other)))
  return extra === undefined ? null : { do: 'exclude', element: extra }
}

function elementsOf({ type, value }: FoldedKey): readonly Value[] {
  return type === 'set' && Array.isArray(value) ? (value as readonly Value[]) : []
}
