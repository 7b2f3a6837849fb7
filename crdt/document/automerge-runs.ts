/** Whose each stretch of a text in an Automerge document is: each character has the operation that wrote it for its name. */
import * as A from '@automerge/automerge'
import type { AnyAutomergeDocument } from './automerge-document.ts'
import type { TextRun } from './engine.ts'

/** A property, or a path of them; without one, the only text at the root. Null where there is none such, or several. */
export function textPathIn(
  { value }: AnyAutomergeDocument,
  of: unknown
): readonly A.Prop[] | 'none yet' | null {
  if (of === undefined) return onlyTextIn(value)
  const path = pathOf(of)
  return typeof at(value, path) === 'string' ? path : null
}

function onlyTextIn(value: A.Doc<unknown>): readonly A.Prop[] | 'none yet' | null {
  const texts = Object.entries(value as object).filter(([, each]) => typeof each === 'string')
  const [only] = texts
  if (only === undefined) return 'none yet'
  return texts.length > 1 ? null : [only[0]]
}

function pathOf(of: unknown): readonly A.Prop[] {
  const path: readonly unknown[] = Array.isArray(of) ? of : [of]
  return path.every(isProp) ? path : []
}

function isProp(prop: unknown): prop is A.Prop {
  return typeof prop === 'string' || typeof prop === 'number'
}

function at(value: unknown, path: readonly A.Prop[]): unknown {
  let found = value
  for (const prop of path) {
    if (typeof found !== 'object' || found === null) return undefined
    found = (found as Readonly<Record<A.Prop, unknown>>)[prop]
  }
  return found
}

export function* runsIn(
  value: A.Doc<unknown>,
  path: readonly A.Prop[],
  from: number,
  to: number
): Generator<TextRun> {
  const { length } = at(value, path) as string
  let run: TextRun | undefined
  for (let index = from; index < Math.min(to, length); index++) {
    const { source, start } = operationAt(value, path, index)
    if (run?.source === source && run.start + index - run.from === start) {
      run = { ...run, to: index + 1 }
      continue
    }
    if (run !== undefined) yield run
    run = { from: index, to: index + 1, source, start }
  }
  if (run !== undefined) yield run
}

/** A cursor is the name of its operation: its count, `@`, and who made it. */
function operationAt(value: A.Doc<unknown>, path: readonly A.Prop[], index: number) {
  const cursor = A.getCursor(value, [...path], index)
  const [count = '', source = ''] = cursor.split('@')
  return { source, start: Number(count) }
}
