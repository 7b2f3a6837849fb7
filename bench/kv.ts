/**
 * The database beside what one would use instead: Autobase with a Hyperbee view, in both its modes (one operation per block, and
 * 100). Rows run one after the other, each with databases of its own; `--only <row>` runs one. 100-byte values under 16-byte keys.
 */
import { converge } from './kv/converge.ts'
import { disk } from './kv/disk.ts'
import { encryption } from './kv/encryption.ts'
import { get } from './kv/get.ts'
import { invite } from './kv/invite.ts'
import { join } from './kv/join.ts'
import { membershipCost } from './kv/membership-cost.ts'
import { memory } from './kv/memory.ts'
import { prune } from './kv/prune.ts'
import { put } from './kv/put.ts'
import { rotations } from './kv/rotations.ts'
import type { Row } from './kv/row.ts'
import { scan } from './kv/scan.ts'
import { report, type BenchOptions, type Rows } from './harness.ts'
import { inFolder } from './peers.ts'

const ROWS = new Map<string, Row>(
  Object.entries({
    scan,
    get,
    put,
    converge,
    'membership-cost': membershipCost,
    join,
    invite,
    disk,
    memory,
    prune,
    rotations,
    encryption
  })
)

export const rows: Rows = [...ROWS.keys()]

const PACKAGES = [
  'hypercore',
  'hyperbee2',
  'hyperbee',
  'autobase',
  'rocksdb-native',
  'classic-level'
]

export default async function bench({ quick, only }: BenchOptions): Promise<void> {
  for (const [name, row] of ROWS) {
    if (only !== undefined && only !== name) continue
    console.log(`${name} ...\n`) // some take minutes
    const result = await inFolder((folder) => row({ folder, quick }))
    const command = `npm run bench -- kv --only ${name}${quick ? ' --quick' : ''}`
    await report(`kv-${name}`, { quick, command }, { ...result, packages: PACKAGES })
    console.log()
  }
}
