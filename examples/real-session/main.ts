/**
 * A real session of two people in one text (`npm run example -- real-session`): 26,078 edits, recorded with all that was concurrent in
 * them, are typed again on two devices, go through logs, network and views, and come out as the recorded text: on both, after a
 * restart, and on a third device that joins later. `--first 1000` replays only the beginning.
 *
 *     main.ts      what happens, chapter by chapter
 *     session.ts   the recording: who typed what, and what of the other's was on the screen
 *     screen.ts    what one person sees
 *     replay.ts    the two persons at their two devices
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { count, heading, line, ms } from '../shared/print.ts'
import { tell, type TwoDevices } from '../shared/two-devices.ts'
import { meet, openText, Replay, textOf } from './replay.ts'
import { replayInMemory } from './screen.ts'
import { countConcurrent, readSession } from './session.ts'

const session = await readSession(firstOf())
const { edits } = session
/** Of a beginning the recording does not tell the text: that is told by Yjs alone. */
const text = session.endContent ?? replayInMemory(edits)
const WHAT = session.endContent === null ? 'as Yjs alone' : 'as recorded'

await tell('two people, one text, a real session', async (two) => {
  introduce()
  await type(two)
  await restart(two)
  await joinLate(two)
})

/** Bad arguments end the process. */
function firstOf(): number {
  try {
    const { values } = parseArgs({ options: { first: { type: 'string' } } })
    const first = Number(values.first ?? Infinity)
    if (first > 0 && (first === Infinity || Number.isSafeInteger(first))) return first
    throw new Error(`"--first" expected a number of edits, got ${values.first}.`)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    console.error('Usage: npm run example -- real-session [--first <edits>]')
    process.exit(2)
  }
}

function introduce(): void {
  line('Recorded by Joseph Gentle (github.com/josephg/editing-traces, CC BY 4.0).')
  const [all, concurrent] = [edits.length, countConcurrent(edits)].map(count)
  line(`${all} edits, ${concurrent} of them typed while something of the other's was under way.`)
}

async function type(two: TwoDevices): Promise<void> {
  heading('1. Each types on a device of its own')
  await two.meet()
  const documents = [await openText(two.laptop), await openText(two.phone)] as const
  const replay = new Replay(documents)
  const begin = performance.now()
  await replay.run(edits)
  const time = performance.now() - begin
  line(`Typed in ${ms(time)}: ${count((edits.length / time) * 1000)} edits per second.`)
  check('Laptop, on the screen', replay.screens[0].content)
  check('Laptop, its document', textOf(documents[0]))
  check('Phone, on the screen', replay.screens[1].content)
  check('Phone, its document', textOf(documents[1]))
  for (const document of documents) await document.close()
}

async function restart(two: TwoDevices): Promise<void> {
  heading('2. Both are closed and opened again, without a network')
  two.part()
  await two.restart()
  for (const [name, space] of [
    ['Laptop', two.laptop],
    ['Phone', two.phone]
  ] as const) {
    const begin = performance.now()
    const document = await openText(space)
    check(`${name}, opened in ${ms(performance.now() - begin)}`, textOf(document))
    await document.close()
  }
}

async function joinLate(two: TwoDevices): Promise<void> {
  heading('3. A third device joins, with nothing but the ticket')
  const first = await openText(two.laptop)
  await two.meet()
  const begin = performance.now()
  const late = await openText(await two.join('Tablet'))
  await meet([first, late])
  check(`Tablet, complete in ${ms(performance.now() - begin)}`, textOf(late))
}

/** @throws Error unless it is what the two wrote */
function check(where: string, content: string): void {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16)
  if (content !== text) throw new Error(`${where}: another text, sha256 ${hash}`)
  line(`${where.padEnd(28)} ${count(content.length)} characters, sha256 ${hash}: ${WHAT}`)
}
