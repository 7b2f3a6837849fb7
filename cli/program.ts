/** All commands, with what they have in common: options, help with examples, the way they are run. */
import { Command, Option } from 'commander'
import { readFileSync } from 'node:fs'
import { anchorCommands } from './commands/anchors.ts'
import { backupCommands } from './commands/backup.ts'
import { dataCommands } from './commands/data.ts'
import { deviceCommands } from './commands/device.ts'
import { historyCommands } from './commands/history.ts'
import { identityCommands } from './commands/identity.ts'
import { inviteCommands } from './commands/invites.ts'
import { membersCommands } from './commands/members.ts'
import { spaceCommands } from './commands/space.ts'
import { syncCommand } from './commands/sync.ts'
import { transferCommands } from './commands/transfer.ts'
import { upkeepCommands } from './commands/upkeep.ts'
import { definer, type Execute } from './define.ts'
import { usage } from './exit.ts'
import type { Host } from './host.ts'
import { collect, seconds } from './numbers.ts'

const INTRO = `Many devices, one database. No server in charge.

Start:  manyhands init --name Laptop
        manyhands space create Family
        manyhands put contacts/ann '{"phone":"1"}'
        manyhands invite create              shows a link
        manyhands sync                       meets your other devices
There:  manyhands init --name Phone
        manyhands join LINK --name Family
        manyhands sync`

/** Where nobody says how wide the reader is. */
const HELP_WIDTH = 80

export function makeProgram(execute: Execute, { stdout, stderr }: Host): Command {
  const program = new Command('manyhands')
    .description(INTRO)
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      // What was called wrongly is told like every other failure, in JSON too.
      outputError: () => {},
      getOutHelpWidth: () => stdout.columns ?? HELP_WIDTH,
      getErrHelpWidth: () => stderr.columns ?? HELP_WIDTH
    })
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .option('--store <dir>', 'the folder of the store (default: $MANYHANDS_STORE or ~/.manyhands)')
    .option('--space <name>', 'name or address of the space (default: the only one)')
    .option('--sub <name>', 'a sub-database; repeat it for one inside another', collect)
    .option('--json', 'print JSON: one document, or one line for each item')
    .addOption(
      new Option('--wait <seconds>', 'how long to wait for a command that uses the store')
        .default(5)
        .argParser(seconds)
    )
    .option('--passphrase-file <file>', "the store's passphrase (default: $MANYHANDS_PASSPHRASE)")
  const define = definer(program)
  deviceCommands(program, execute)
  identityCommands(program, execute)
  spaceCommands(program, execute)
  inviteCommands(program, execute)
  membersCommands(program, execute)
  dataCommands(define, execute)
  historyCommands(define, execute)
  transferCommands(define, execute)
  syncCommand(define, execute)
  backupCommands(define, execute)
  upkeepCommands(define, execute)
  anchorCommands(program, execute)
  return program
}

/** From the package, which lies above these files, built or not. */
function packageVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(place, import.meta.url), 'utf8')
      const { version } = JSON.parse(text) as { readonly version: string }
      return version
    } catch {
      // the other place
    }
  }
  throw usage('The installation is damaged: package.json is missing.')
}
