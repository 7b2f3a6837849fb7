/** How a command is defined and run. */
import type { Command } from 'commander'
import type { Run } from './run.ts'

/** What a command does; its exit code, 0 if none. */
export type Action = (run: Run) => Promise<number | void>

/** Defines one command. */
export type Define = (
  signature: string,
  description: string,
  examples: readonly string[]
) => Command

/** Runs what a command does. */
export type Execute = (command: Command, action: Action) => Promise<void>

/** Defines commands of a parent; each has examples in its help. */
export function definer(parent: Command): Define {
  return (signature, description, examples) =>
    parent
      .command(signature)
      .description(description)
      .addHelpText('after', `\nExamples:\n${examples.map((each) => `  $ ${each}`).join('\n')}`)
}
