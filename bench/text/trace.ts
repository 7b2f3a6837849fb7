/** Editing traces, in the format of github.com/josephg/editing-traces (`sequential_traces`), and one that is made up. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type * as Y from 'yjs'

/** Deletes, then inserts, at a position. */
type Patch = readonly [position: number, deleted: number, inserted: string]

export interface Trace {
  /** One edit is one transaction. */
  readonly edits: readonly (readonly Patch[])[]
  /** What it says the text is at the end; null when it says nothing. */
  readonly endContent: string | null
  readonly name: string
}

interface TraceFile {
  readonly endContent: string
  readonly txns: readonly { readonly patches: readonly Patch[] }[]
}

/** @param file as it is published, gzipped JSON; without one, a trace is made up */
export async function openTrace(file: string | undefined, count: number): Promise<Trace> {
  if (file === undefined) return makeTrace(count)
  const { endContent, txns }: TraceFile = JSON.parse(
    (await promisify(gunzip)(await readFile(file))).toString()
  )
  const edits = txns.map(({ patches }) => patches)
  return { edits, endContent, name: `the trace of ${edits.length} edits` }
}

/** Somebody who types words, takes every tenth letter back, and now and then goes on elsewhere. */
function makeTrace(count: number): Trace {
  const edits: Patch[][] = []
  let length = 0
  let cursor = 0
  for (let i = 0; i < count; i++) {
    if (i % 200 === 199) cursor = (i * 7919) % (length + 1)
    if (i % 10 === 9 && cursor > 0) {
      edits.push([[--cursor, 1, '']])
      length--
    } else {
      edits.push([[cursor++, 0, i % 6 === 5 ? ' ' : 'etaoin'.charAt(i % 6)]])
      length++
    }
  }
  return { edits, endContent: null, name: `${count} made-up edits` }
}

export function applyEdit(doc: Y.Doc, patches: readonly Patch[]): void {
  const text = doc.getText('text')
  doc.transact(() => {
    for (const [position, deleted, inserted] of patches) {
      if (deleted > 0) text.delete(position, deleted)
      if (inserted !== '') text.insert(position, inserted)
    }
  })
}
