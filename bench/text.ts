/**
 * Live text beside what one would use instead: Yjs with its usual stores and servers, and automerge-repo. Rows run one after the other;
 * `--only <row>` runs one.
 */
import { basename } from 'node:path'
import { report, type BenchOptions, type Rows } from './harness.ts'
import type { Row } from './kv/row.ts'
import { inFolder } from './peers.ts'
import { authors } from './text/authors.ts'
import { automerge } from './text/automerge.ts'
import { burst } from './text/burst.ts'
import { edits } from './text/edits.ts'
import { keystroke } from './text/keystroke.ts'
import { readers } from './text/readers.ts'
import { seal } from './text/seal.ts'
import { stored } from './text/stored.ts'
import { versions } from './text/versions.ts'

const PACKAGES = [
  'yjs',
  'y-leveldb',
  'y-websocket',
  '@y/websocket-server',
  '@hocuspocus/server',
  '@automerge/automerge-repo',
  '@automerge/automerge-repo-storage-nodefs'
]

const ROWS = new Map<string, Row>(
  Object.entries({ edits, automerge, keystroke, burst, readers, stored, authors, seal, versions })
)

export const rows: Rows = [...ROWS.keys()]

export default async function bench({ quick, only, trace }: BenchOptions): Promise<void> {
  for (const [name, row] of ROWS) {
    if (only !== undefined && only !== name) continue
    console.log(`${name} ...\n`) // some take minutes
    const context = { quick, ...(trace === undefined ? {} : { trace }) }
    const result = await inFolder((folder) => row({ folder, ...context }))
    const on = trace === undefined || name !== 'stored' ? '' : ` --trace ${basename(trace)}`
    const command = `npm run bench -- text --only ${name}${on}${quick ? ' --quick' : ''}`
    await report(`text-${name}`, { quick, command }, { ...result, packages: PACKAGES })
    console.log()
  }
}
