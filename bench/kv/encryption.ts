/**
 * What it costs that every block is encrypted: the same puts and scans in a space with and one without, read straight from the logs.
 * A scan reads after a reopen, with nothing in memory; put one by one, there is a block per entry. The floor of that: the scan without
 * encryption, and beside it libsodium alone opens as many blocks.
 */
import { join } from 'node:path'
import sodium from 'sodium-universal'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { manyhandsIn, pairs, type Database, type OpenDatabase, type Pair } from '../peers.ts'
import { putter, type Kind as OpenKind } from '../write.ts'
import { atMost, type Kind, type Row, type RowContext } from './row.ts'

const PLAIN = 'without encryption'

const ENCRYPTED = 'encrypted'

const FLOOR = 'without encryption, and the bare cipher'

/** What an entry that was put alone takes: its key and value, and the tree's way to it. */
const BLOCK_BYTES = 260

/** As long as ours. */
const ASSOCIATED = new Uint8Array(87)

const MAX_COST = 0.25

type Write = (db: Database, some: readonly Pair[]) => Promise<void>

const oneByOne: Write = async (db, some) => {
  for (const pair of some) await db.put(pair)
}

const together: Write = (db, some) => db.putAll(some)

export const encryption: Row = async (context) => {
  const { quick } = context
  const tables = [
    await racePuts('put, awaited one by one', oneByOne, quick ? 100 : 1000, context),
    await racePuts('puts issued together', together, quick ? 1000 : 10_000, context),
    await raceScans('scan, put one by one', oneByOne, quick ? 1000 : 8000, context, true),
    await raceScans('scan, written together', together, quick ? 4000 : 40_000, context, false)
  ]
  return { tables, goals: tables.map(costOf) }
}

const KINDS: readonly (readonly [string, OpenDatabase])[] = [
  [PLAIN, manyhandsIn('stream', false)],
  [ENCRYPTED, manyhandsIn('stream')]
]

async function racePuts(
  title: string,
  write: Write,
  units: number,
  { folder, quick }: RowContext
): Promise<Table> {
  const keys = quick ? 1000 : 10_000
  const kinds: OpenKind[] = []
  for (const [name, open] of KINDS) {
    const db = await open(join(folder, `${title} ${name}`))
    await db.putAll(pairs(0, keys))
    kinds.push({ name, db })
  }
  const competitors = kinds.map((kind) => putter(kind, units, keys, write))
  const table = await race(title, competitors, {
    baseline: PLAIN,
    units,
    unit: 'puts',
    rounds: quick ? 3 : 11
  })
  for (const { db } of kinds) await db.close()
  return table
}

async function raceScans(
  title: string,
  write: Write,
  count: number,
  { folder, quick }: RowContext,
  hasFloor: boolean
): Promise<Table> {
  const kinds: Kind[] = []
  for (const [name, open] of KINDS) {
    const place = join(folder, `${title} ${name}`)
    const db = await open(place)
    await write(db, pairs(0, count))
    await db.close()
    kinds.push({ name, folder: place, open })
  }
  const [plain] = kinds
  const competitors = kinds.map((kind) => scanner(kind, count))
  if (hasFloor && plain !== undefined) competitors.push(floor(plain, count))
  return race(title, competitors, {
    baseline: PLAIN,
    units: count,
    unit: 'entries',
    rounds: quick ? 3 : 11
  })
}

function scanner({ name, folder, open }: Kind, count: number): Competitor {
  let db: Database | undefined
  return {
    name,
    setup: async () => void (db = await open(folder)),
    async run() {
      if ((await db?.scan()) !== count) throw new Error('not all entries are there')
    },
    teardown: async () => db?.close()
  }
}

/** A scan of what is not encrypted, and as much of the cipher as it would take. */
function floor(plain: Kind, count: number): Competitor {
  const scan = scanner(plain, count)
  let blocks: readonly SealedBlock[] = []
  return {
    ...scan,
    name: FLOOR,
    async setup() {
      blocks = Array.from({ length: count }, seal)
      await scan.setup?.()
    },
    async run() {
      await scan.run()
      for (const { content, tag, nonce, key } of blocks)
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
          content,
          null,
          content,
          tag,
          ASSOCIATED,
          nonce,
          key
        )
    }
  }
}

interface SealedBlock {
  readonly content: Uint8Array
  readonly tag: Uint8Array
  readonly nonce: Uint8Array
  readonly key: Uint8Array
}

function seal(): SealedBlock {
  const content = new Uint8Array(BLOCK_BYTES)
  const [tag, nonce, key] = [new Uint8Array(16), new Uint8Array(24), new Uint8Array(32)]
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
    content,
    tag,
    content,
    ASSOCIATED,
    null,
    nonce,
    key
  )
  return { content, tag, nonce, key }
}

function costOf(table: Table): Goal {
  const cost = rateOf(table, PLAIN) / rateOf(table, ENCRYPTED) - 1
  return atMost(`what encryption costs: ${table.title}`, cost, MAX_COST, (value) => {
    return `${Math.round(value * 100)} %`
  })
}
