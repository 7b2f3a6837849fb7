/** Two devices in one process that is killed at random moments, again and again, while it makes their logs smaller. */
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { Child } from './child.ts'
import { connect, tempFolder, until } from './devices.ts'
import { textOf } from './documents.ts'
import { greatest } from './greatest.ts'
import { seededRandom } from './random.ts'

export interface UpkeepKillPlan {
  readonly rounds: number
  /** The process is killed after at most so many acknowledgements, and those under way. */
  readonly maxAcks: number
  readonly seed: number
}

const KEYS = 12

/** What was acknowledged. */
interface Acknowledged {
  /** Length of the text. */
  text: number
  /** By device, the greatest number of each key. */
  readonly a: Map<string, number>
  readonly b: Map<string, number>
}

export async function killWhileSmaller({ rounds, maxAcks, seed }: UpkeepKillPlan): Promise<void> {
  const random = seededRandom(seed)
  const temp = await tempFolder()
  const folders = [join(temp.path, 'a'), join(temp.path, 'b')] as const
  const space = await makeSpace(folders)
  const acknowledged: Acknowledged = { text: 0, a: new Map(), b: new Map() }
  let from = 1
  for (let round = 0; round < rounds; round++) {
    const when = `seed ${seed}, round ${round}`
    const child = new Child('upkeep-process.ts', { folders, space, keys: KEYS, from })
    const acks = 1 + random.below(maxAcks)
    await until(() => child.acks >= acks || child.isOver, { timeout: 60_000 })
    assert.not.ok(child.isOver, `${when}: ${child.errors}`)
    await child.kill()
    from = 1 + Math.max(from, remember(child, acknowledged))
    await check(folders, space, { acknowledged, path: join(temp.path, `new ${round}`), when })
  }
  assert.ok(acknowledged.text > 0 && acknowledged.a.size > 0 && acknowledged.b.size > 0)
  await temp.remove()
}

async function makeSpace([first, second]: readonly [string, string]): Promise<string> {
  const [a, b] = [await openDevice({ storage: first }), await openDevice({ storage: second })]
  const space = await a.createSpace({ open: true })
  const same = await b.openSpace(space.ticket)
  const cut = connect(space, same)
  await until(() => space.writers().length === 2 && same.writers().length === 2)
  cut()
  await a.close()
  await b.close()
  return space.address
}

/** @returns the greatest number */
function remember({ lines }: Child, acknowledged: Acknowledged): number {
  let last = 0
  for (const line of lines) {
    const [what, who = '', key = '', number = ''] = line.split(' ')
    if (what !== 'ack') continue
    if (who === 'doc') acknowledged.text = Math.max(acknowledged.text, Number(key))
    else {
      last = Math.max(last, Number(number))
      const numbers = who === 'a' ? acknowledged.a : acknowledged.b
      numbers.set(key, Math.max(numbers.get(key) ?? 0, Number(number)))
    }
  }
  return last
}

async function check(
  [first, second]: readonly [string, string],
  address: string,
  { acknowledged, path, when }: { acknowledged: Acknowledged; path: string; when: string }
): Promise<void> {
  const [a, b] = [await openDevice({ storage: first }), await openDevice({ storage: second })]
  const c = await openDevice({ storage: path })
  try {
    const [one, other] = [await a.openSpace(address), await b.openSpace(address)]
    await checkNumbers(one, acknowledged.a, `${when}: a alone`)
    await checkNumbers(other, acknowledged.b, `${when}: b alone`)
    await checkText(one, acknowledged.text, when)
    await one.db.put('alive', when)
    await other.db.put('alive', when)
    const none = await c.openSpace(one.ticket)
    connect(one, other)
    connect(one, none)
    connect(other, none)
    await until(async () => (await exportOf(one)) === (await exportOf(none)), { timeout: 30_000 })
    await until(async () => (await exportOf(one)) === (await exportOf(other)), { timeout: 30_000 })
    for (const numbers of [acknowledged.a, acknowledged.b])
      await checkNumbers(none, numbers, `${when}: a peer that had nothing`)
    await until(async () => (await textIn(none)) === (await textIn(one)))
    assert.equal(await one.check().then((found) => found.map(({ message }) => message)), [], when)
  } finally {
    for (const device of [a, b, c]) await device.close()
  }
}

async function checkNumbers(
  { db }: Space,
  numbers: ReadonlyMap<string, number>,
  when: string
): Promise<void> {
  for (const [key, number] of numbers) {
    const shown = greatest(await db.get(key.replace('-', ' ')))
    assert.ok(shown >= number, `${when}: ${key} is ${shown}, not ${number}`)
  }
}

async function checkText(space: Space, length: number, when: string): Promise<void> {
  const text = await textIn(space)
  assert.ok(text.length >= length, `${when}: the text has ${text.length} letters, not ${length}`)
}

async function textIn({ documents }: Space): Promise<string> {
  const live = await documents.open('d')
  const text = textOf(live)
  await live.close()
  return text
}

async function exportOf({ db }: Space): Promise<string> {
  const rows: string[] = []
  for await (const { key, value } of db.createReadStream()) rows.push(JSON.stringify([key, value]))
  return rows.join('\n')
}
