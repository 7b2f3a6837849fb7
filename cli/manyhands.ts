/** From arguments to an exit code: what `manyhands` does, in this process or any other. */
import { CommanderError, type Command } from 'commander'
import type { Action } from './define.ts'
import { EXIT, failureOf, PipeClosed, type Failure } from './exit.ts'
import type { Host } from './host.ts'
import { Output } from './output.ts'
import { makeProgram } from './program.ts'
import { Run, type GlobalOptions } from './run.ts'

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
    // Commander has said what was wrong, or shown the help that was asked for.
    return error.exitCode === 0 || error.code === 'commander.help' ? EXIT.ok : EXIT.usage
  }
  return exit
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
  output.note(
    `${output.noteStyle('red', 'manyhands:')} ${message} ${output.noteStyle('dim', `(${code})`)}`
  )
  if (next !== null) output.note(next)
}

/** The first signal closes cleanly, a second ends at once. */
function catchSignals(run: Run, host: Host): () => void {
  return host.onsignal(() => {
    if (run.isInterrupted) host.exit(EXIT.interrupted)
    run.interrupt()
  })
}
