/** From arguments to an exit code: what `manyhands` does, in this process or any other. */
import { CommanderError, type Command } from 'commander'
import type { Action } from './define.ts'
import { EXIT, failureOf, PipeClosed, usage, type Failure } from './exit.ts'
import type { Host } from './host.ts'
import { Output } from './output.ts'
import { makeProgram } from './program.ts'
import { Run, type GlobalOptions } from './run.ts'

const HELP = 'Help: manyhands --help, or manyhands help COMMAND'

/** Runs one command. @returns its exit code (docs/CLI.md, "Exit codes") */
export async function manyhands(args: readonly string[], host: Host): Promise<number> {
  let exit: number = EXIT.ok
  const program = makeProgram(async (command, action) => {
    exit = await execute(command, action, host)
  }, host)
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Commander has shown the help that was asked for.
    if (error.exitCode === 0 || error.code === 'commander.help') return EXIT.ok
    const failure = usage(error.message.replace(/^error: /, ''), HELP)
    tell(new Output(wantsJson(args), host), failure)
    return failure.exit
  }
  return exit
}

/** As far as can be told of arguments that could not be parsed. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? args.length : end).includes('--json')
}

async function execute(command: Command, action: Action, host: Host): Promise<number> {
  const options: GlobalOptions = command.optsWithGlobals()
  const output = new Output(options.json === true, host)
  const run = new Run(options, output, host)
  const release = catchSignals(run, host)
  let exit: number = EXIT.ok
  try {
    exit = (await action(run)) ?? EXIT.ok
  } catch (error) {
    exit = ending(run, error)
  }
  try {
    await run.finish()
  } catch (error) {
    if (exit === EXIT.ok) exit = ending(run, error)
  }
  release()
  await output.flush()
  if (!run.isInterrupted) return exit
  const done = run.onInterrupt?.()
  if (done !== undefined) output.note(done)
  return EXIT.interrupted
}

function ending(run: Run, error: unknown): number {
  if (error instanceof PipeClosed) return EXIT.ok
  if (run.isInterrupted) return EXIT.interrupted
  const failure = failureOf(error)
  tell(run.output, failure)
  return failure.exit
}

function tell(output: Output, { code, message, next }: Failure): void {
  if (output.json) {
    output.note(JSON.stringify({ error: { code, message, next } }))
    return
  }
  const [first, ...more] = message.split('\n')
  output.note(
    `${output.noteStyle('red', 'manyhands:')} ${first} ${output.noteStyle('dim', `(${code})`)}`
  )
  for (const line of more) output.note(line)
  if (next !== null) output.note(next)
}

/** The first signal closes cleanly, a second ends at once. */
function catchSignals(run: Run, host: Host): () => void {
  return host.onsignal(() => {
    if (run.isInterrupted) host.exit(EXIT.interrupted)
    run.interrupt()
  })
}
