/** What happens, chapter by chapter; each prints what came of it. */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { count, heading, line, ms, table, title } from '../shared/print.ts'
import { cities } from './cities.ts'
import { AGREED, MUMBAI, offlineEdits } from './edits.ts'
import type { ConflictRow, Load, Rendezvous, Status } from './protocol.ts'
import type { RemoteDevice } from './remote-device.ts'
import { conflictTable, summary } from './report.ts'

/** Between two edits, so that one is plainly later than the other. */
const PAUSE_MS = 5

const LIVE_PUTS = 5

export interface Cast {
  readonly laptop: RemoteDevice
  readonly phone: RemoteDevice
  readonly rendezvous: Rendezvous
}

export async function tellStory(cast: Cast): Promise<void> {
  introduce(cast)
  await workOffline(cast)
  await meet(cast)
  await showConflicts(cast)
  await settleOne(cast)
  await goLive(cast)
}

function introduce({ laptop, phone }: Cast): void {
  title('manyhands: two devices, one database, no server')
  line(
    `Laptop is process ${laptop.pid}, Phone is process ${phone.pid}; each has a store of its own.`
  )
  line(`Data: ${cities.length} cities with more than 750,000 people, by GeoNames (CC BY 4.0).`)
}

async function workOffline({ laptop, phone }: Cast): Promise<void> {
  heading('1. Offline: each loads its part of the cities and edits, unknown to the other')
  const { ticket } = await laptop.call('create')
  await phone.call('join', ticket)
  const loads = await Promise.all([laptop.call('load'), phone.call('load')])
  for (const edit of offlineEdits) {
    await (edit.by === 'Laptop' ? laptop : phone).call('edit', edit)
    await sleep(PAUSE_MS)
  }
  const statuses = await Promise.all([laptop.call('status'), phone.call('status')])
  table([
    OFFLINE_COLUMNS,
    offlineRow(laptop, loads[0], statuses[0]),
    offlineRow(phone, loads[1], statuses[1])
  ])
}

const OFFLINE_COLUMNS = [
  '',
  'cities',
  'loaded in',
  'per second',
  'edits',
  'blocks in its log',
  'keys it sees'
]

function offlineRow({ name }: RemoteDevice, load: Load, { log, keys }: Status): string[] {
  const speed = (load.entries / load.ms) * 1000
  const edits = offlineEdits.filter((edit) => edit.by === name).length
  const numbers = [edits, log.blocks, keys].map(count)
  return [name, count(load.entries), ms(load.ms), count(speed), ...numbers]
}

async function meet({ laptop, phone, rendezvous }: Cast): Promise<void> {
  heading('2. They meet: both stores are opened again, now with a network')
  const [ofLaptop, ofPhone] = await Promise.all([laptop.call('status'), phone.call('status')])
  const meetings = await Promise.all([
    laptop.call('meet', rendezvous, ofPhone.log),
    phone.call('meet', rendezvous, ofLaptop.log)
  ])
  line(`Found each other in ${ms(Math.max(...meetings.map((each) => each.findMs)))}.`)
  line(`Had each other's writes ${ms(Math.max(...meetings.map((each) => each.catchUpMs)))} later.`)
  await compareViews({ laptop, phone })
}

/** Not by a count or by trust: the whole view of each, as text, byte by byte. */
async function compareViews({ laptop, phone }: Pick<Cast, 'laptop' | 'phone'>): Promise<void> {
  const devices = [laptop, phone]
  const views = await Promise.all(devices.map((device) => device.call('export')))
  const statuses = await Promise.all(devices.map((device) => device.call('status')))
  devices.forEach(({ name }, i) => {
    const view = views[i] ?? ''
    const hash = createHash('sha256').update(view).digest('hex').slice(0, 16)
    const bytes = Buffer.byteLength(view)
    const keys = statuses[i]?.keys ?? 0
    line(`${name.padEnd(6)} sees ${keys} keys; exported: ${count(bytes)} bytes, sha256 ${hash}`)
  })
  if (views[0] !== views[1]) throw new Error('The two devices see different databases.')
  line('The two exports are equal, byte by byte.')
}

async function showConflicts({ laptop }: Cast): Promise<void> {
  heading('3. Conflicts: nothing that was written is lost without a word')
  const rows = await laptop.call('conflicts')
  const [same, different] = split(rows)
  line(
    `${rows.length} keys were written by both: ${same.length} with the same value, ${different.length} with different values:`
  )
  console.log()
  conflictTable(different)
}

/** Those where both wrote the same value, and the rest. */
function split(rows: readonly ConflictRow[]): [ConflictRow[], ConflictRow[]] {
  const isSame = ({ won, lost }: ConflictRow) => isDeepStrictEqual(won.value, lost.value)
  return [rows.filter(isSame), rows.filter((row) => !isSame(row))]
}

async function settleOne({ laptop, phone }: Cast): Promise<void> {
  heading('4. To settle a conflict, write the key again')
  const before = await phone.call('look', MUMBAI)
  await laptop.call('put', MUMBAI, AGREED)
  const { log } = await laptop.call('status')
  await phone.call('receive', log)
  line(`Laptop puts ${MUMBAI}: ${summary(AGREED)}`)
  for (const device of [laptop, phone]) {
    const { value, conflicts } = await device.call('look', MUMBAI)
    if (conflicts > 0) throw new Error(`The conflict is not settled on the ${device.name}.`)
    line(
      `${device.name.padEnd(6)} sees ${summary(value)}; conflicts: ${before.conflicts} before, 0 now`
    )
  }
}

async function goLive({ laptop, phone }: Cast): Promise<void> {
  heading('5. Live: a put on the Laptop, until the watch on the Phone shows it')
  await phone.call('startWatching', 'notes/')
  const times: number[] = []
  for (let i = 1; i <= LIVE_PUTS; i++) {
    const [seen, put] = await Promise.all([
      phone.call('nextChange'),
      laptop.call('put', `notes/live-${i}`, { text: `hello ${i}` })
    ])
    times.push(seen.at - put.at)
  }
  line(`${LIVE_PUTS} puts, one after the other: ${times.map(ms).join(', ')}`)
  await compareViews({ laptop, phone })
}
