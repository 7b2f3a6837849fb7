/**
 * A real session of two people in one text (`npm run example -- real-session`): 26,078 edits, recorded with all that was concurrent in
 * them, are typed again on two devices, go through logs, network and views, and come out as the recorded text: on both, after a
 * restart, and on a third device that joins later. `--first 1000` replays only the beginning, `--engine automerge` in
 * an Automerge document instead of a Yjs one.
 *
 *     main.ts      what happens, chapter by chapter
 *     session.ts   the recording: who typed what, and what of the other's was on the screen
 *     screen.ts    what one person sees
 *     sheets.ts    the text, by Yjs and by Automerge
 *     replay.ts    the two persons at their two devices
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { count, heading, line, ms } from '../shared/print.ts'
import { tell, type TwoDevices } from '../shared/two-devices.ts'
import { meet, Replay } from './replay.ts'
import { replayInMemory } from './screen.ts'
import { countConcurrent, readSession } from './session.ts'
import { LIBRARIES, type Library } from './sheets.ts'

const { first, library } = argumentsOf()
const session = await readSession(first)
const { edits } = session
/** Of a beginning the recording does not tell the text: that is told by the library alone. */
const text = session.endContent ?? replayInMemory(library, edits)
const WHAT = session.endContent === null ? `as ${library.name} alone` : 'as recorded'

await tell('two people, one text, a real session', async (two) => {
  introduce()
  await type(two)
  await restart(two)
  await joinLate(two)
})

/** Bad arguments end the process. */
function argumentsOf(): { readonly first: number; readonly library: Library } {
  try {
    const options = {
      first: { type: 'string' },
      engine: { type: 'string', default: 'yjs' }
    } as const
    const { values } = parseArgs({ options })
    const first = Number(values.first ?? Infinity)
    if (!(first > 0 && (first === Infinity || Number.isSafeInteger(first))))
      throw new Error(`"--first" expected a number of edits, got ${values.first}.`)
    const { engine } = values
    if (engine === 'yjs' || engine === 'automerge') return { first, library: LIBRARIES[engine] }
    throw new Error(`"--engine" expected yjs or automerge, got ${engine}.`)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    console.error(
      'Usage: npm run example -- real-session [--first <edits>] [--engine <yjs|automerge>]'
    )
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
  const documents = [await library.open(two.laptop), await library.open(two.phone)] as const
  const replay = new Replay(library, documents)
  const begin = performance.now()
  await replay.run(edits)
  const time = performance.now() - begin
  line(`Typed in ${ms(time)}: ${count((edits.length / time) * 1000)} edits per second.`)
  check('Laptop, on the screen', replay.screens[0].content)
  check('Laptop, its document', documents[0].content)
  check('Phone, on the screen', replay.screens[1].content)
  check('Phone, its document', documents[1].content)
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
    const document = await library.open(space)
    check(`${name}, opened in ${ms(performance.now() - begin)}`, document.content)
    await document.close()
  }
}

async function joinLate(two: TwoDevices): Promise<void> {
  heading('3. A third device joins, with nothing but the ticket')
  const first = await library.open(two.laptop)
  await two.meet()
  const begin = performance.now()
  const late = await library.open(await two.join('Tablet'))
  await meet([first, late])
  check(`Tablet, complete in ${ms(performance.now() - begin)}`, late.content)
}

/** @throws Error unless it is what the two wrote */
function check(where: string, content: string): void {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16)
  if (content !== text) throw new Error(`${where}: another text, sha256 ${hash}`)
  line(`${where.padEnd(28)} ${count(content.length)} characters, sha256 ${hash}: ${WHAT}`)
}
