/**
 * `npm start`: a collaborative editor on two devices, on this machine; or on one more, which comes by an invite.
 *
 *     main.ts            reads the command line, prints the addresses, ends cleanly
 *     start.ts           two devices, the cable between them, the page that shows all
 *     remote-device.ts   a device as this process has it: started, and started again when it dies
 *     device-process.ts  one device: its store, its page, its end of the cable
 *     device-desk.ts     that device as its pages have it: locked, in no notebook yet, or open
 *     pairings.ts        a link for another device of the same person, and who has come by it
 *     neighbours.ts      how the first device and guests meet, which no cable joins
 *     notebook.ts        documents, titles, people and sync state, as pages need them
 *     page-server.ts     serves a page to the person who sits here, and to nobody else
 *     page-session.ts    one page on its device; door-session.ts while it is locked or in no notebook
 *     protocol.ts        what they say to each other
 *     cable.ts           what can be cut
 *     bundle.ts, page/   the pages: Lit, CodeMirror, Yjs
 */
import { parseArgs } from 'node:util'
import { canOpenBrowser, openBrowser } from './open-browser.ts'
import type { RemoteDevice } from './remote-device.ts'
import { startEditor, startGuest, type Editor } from './start.ts'

const USAGE = `Usage: npm start -- [options]

  --guest              one more device instead of two: its page asks for a link, or for the words of who comes back
  --join <link>        one more device, which comes by this invite, or as another device of who made the link
  --name <name>        what the guest is called (default: Guest)
  --storage <folder>   keep the stores there (default: temporary, removed at the end)
  --no-open            print the addresses, do not open a browser
  --two-devices        two devices without pages: edit offline, meet, agree (a text session)
  --help`

/** As a shell counts it: 128 and the signal's number. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

async function main(): Promise<void> {
  const begin = performance.now()
  const options = readOptions()
  if (options === null) return
  const ending = untilEnd()
  const opening = start(options, ending.fail)
  try {
    const started = await Promise.race([opening, ending.reached])
    if (started === undefined) return
    tell(started, performance.now() - begin, options.storage)
    const forget = options.open && canOpenBrowser() ? await openBrowser(started.url) : null
    await ending.reached
    await forget?.()
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  } finally {
    await opening.then(({ close }) => close()).catch(() => {}) // told above
  }
}

interface Options {
  readonly storage: string | undefined
  readonly open: boolean
  /** Null for the two. */
  readonly guest: { readonly name: string; readonly link: string | null } | null
}

interface Started {
  /** What is opened. */
  readonly url: string
  /** What is said of it, and what to do. */
  readonly title: string
  readonly lines: readonly string[]
  readonly advice: string
  readonly close: () => Promise<void>
}

async function start(
  { storage, guest }: Options,
  ongone: (error: Error) => void
): Promise<Started> {
  const kept = storage === undefined ? {} : { storage }
  if (guest === null) return twoStarted(await startEditor({ ...kept, greets: true, ongone }))
  const { device, close } = await startGuest({ ...kept, ...guest, ongone })
  const advice = guest.link === null ? GUEST_ADVICE : 'Open it to see how far it is.'
  return { url: device.url, title: 'One more device.', lines: [lineOf(device)], advice, close }
}

const GUEST_ADVICE =
  'Open it, and give it the link that "People" makes in another editor on this machine.'

function twoStarted({ url, devices, close }: Editor): Started {
  return {
    url,
    title: 'Two devices, one notebook, nobody in charge.',
    lines: [`  Both  ${url}`, ...devices.map(lineOf)],
    advice:
      'Open "Both" to see them side by side: type on both sides, cut the cable, type on, heal it.',
    close
  }
}

function lineOf({ name, url, pid }: RemoteDevice): string {
  return `  ${name}   ${url}   (process ${pid})`
}

function readOptions(): Options | null {
  try {
    const { values } = parseArgs({
      allowNegative: true,
      options: {
        storage: { type: 'string' },
        open: { type: 'boolean', default: true },
        guest: { type: 'boolean', default: false },
        join: { type: 'string' },
        name: { type: 'string' },
        help: { type: 'boolean', default: false }
      }
    })
    const { storage, open, join, name } = values
    if (storage === '') throw new TypeError('--storage expects a folder')
    if (join === '') throw new TypeError('--join expects a link')
    const isGuest = values.guest || join !== undefined
    if (name !== undefined && !isGuest) throw new TypeError('--name is for a guest')
    if (name?.trim() === '') throw new TypeError('--name expects a name')
    if (!values.help)
      return {
        storage,
        open,
        guest: isGuest ? { name: name ?? 'Guest', link: join ?? null } : null
      }
    console.log(USAGE)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exitCode = 2
  }
  return null
}

function tell({ title, lines, advice }: Started, ms: number, storage: string | undefined): void {
  const kept =
    storage === undefined
      ? 'Stores are temporary (--storage <folder> keeps them)'
      : `Stores are in ${storage}`
  console.log(`
${title} Ready after ${(ms / 1000).toFixed(1)} s.

${lines.join('\n')}

${advice}
${kept}. Ctrl-C ends everything.
`)
}

/** Ends at a signal, when nobody reads our output any more, or when a device is gone for good. */
function untilEnd(): { reached: Promise<undefined>; fail: (error: Error) => void } {
  let fail: (error: Error) => void = () => {}
  const reached = new Promise<undefined>((resolve, reject) => {
    fail = reject
    for (const [signal, code] of Object.entries(EXIT_CODES)) {
      process.on(signal, () => {
        process.exitCode = code
        resolve(undefined)
      })
    }
    process.stdout.on('error', () => resolve(undefined))
  })
  reached.catch(() => {}) // also when it comes while nobody waits
  return { reached, fail }
}

if (process.argv.includes('--two-devices')) {
  process.argv = process.argv.filter((argument) => argument !== '--two-devices')
  // By name, because the arrows between folders are about code that is built upon.
  await import(new URL('../examples/two-devices/main.ts', import.meta.url).href)
} else await main()
