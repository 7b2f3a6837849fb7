/**
 * `npm start`: a collaborative editor on two devices, on this machine.
 *
 *     main.ts            reads the command line, prints the addresses, ends cleanly
 *     start.ts           two devices, the cable between them, the page that shows all
 *     remote-device.ts   a device as this process has it: started, and started again when it dies
 *     device-process.ts  one device: its store, its page, its end of the cable
 *     notebook.ts        documents, titles, people and sync state, as pages need them
 *     page-server.ts     serves a page to the person who sits here, and to nobody else
 *     page-session.ts    one page on its device
 *     protocol.ts        what they say to each other
 *     cable.ts           what can be cut
 *     bundle.ts, page/   the pages: Lit, CodeMirror, Yjs
 */
import { parseArgs } from 'node:util'
import { canOpenBrowser, openBrowser } from './open-browser.ts'
import { startEditor, type Editor } from './start.ts'

const USAGE = `Usage: npm start -- [options]

  --storage <folder>   keep both devices' stores there (default: temporary, removed at the end)
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
  const opening = startEditor({
    ...(options.storage === undefined ? {} : { storage: options.storage }),
    greets: true,
    ongone: ending.fail
  })
  try {
    const editor = await Promise.race([opening, ending.reached])
    if (editor === undefined) return
    tell(editor, performance.now() - begin, options.storage)
    const forget = options.open && canOpenBrowser() ? await openBrowser(editor.url) : null
    await ending.reached
    await forget?.()
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  } finally {
    await opening.then((editor) => editor.close()).catch(() => {}) // told above
  }
}

function readOptions(): { storage: string | undefined; open: boolean } | null {
  try {
    const { values } = parseArgs({
      allowNegative: true,
      options: {
        storage: { type: 'string' },
        open: { type: 'boolean', default: true },
        help: { type: 'boolean', default: false }
      }
    })
    if (values.storage === '') throw new TypeError('--storage expects a folder')
    if (!values.help) return { storage: values.storage, open: values.open }
    console.log(USAGE)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exitCode = 2
  }
  return null
}

function tell({ url, devices }: Editor, ms: number, storage: string | undefined): void {
  const lines = devices.map(({ name, url, pid }) => `  ${name}   ${url}   (process ${pid})`)
  console.log(`
Two devices, one notebook, nobody in charge. Ready after ${(ms / 1000).toFixed(1)} s.

  Both  ${url}
${lines.join('\n')}

Open "Both" to see them side by side: type on both sides, cut the cable, type on, heal it.
${storage === undefined ? 'Both stores are temporary (--storage <folder> keeps them)' : `Both stores are in ${storage}`}. Ctrl-C ends everything.
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
