/** `identity`: the person whose devices these are; `lock`, `unlock`, `passphrase`: who can use the keys of this one. */
import { writeFile } from 'node:fs/promises'
import { Option, type Command } from 'commander'
import { isManyhandsError } from '../../errors.ts'
import type { DevicePort, PlainOutcome } from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { onNetwork, withNetwork, type NetworkFlags } from '../network.ts'
import { count, seconds } from '../numbers.ts'
import { shown, table } from '../output.ts'
import { passphraseIn, type Run } from '../run.ts'
import { defineLinking, exitOf, outcomeLines } from './own-devices.ts'

export function identityCommands(program: Command, execute: Execute): void {
  const identity = program
    .command('identity')
    .description('whose devices these are: the phrase, its shares, other devices, coming back')
  const define = definer(identity)
  defineShowing(define, execute)
  defineKeeping(define, execute)
  defineLinking(define, execute)
  defineDevices(define, execute)
  defineRecovery(define, execute)
  defineLocks(definer(program), execute)
}

function defineShowing(define: Define, execute: Execute): void {
  define('show', 'who this is', ['manyhands identity show']).action((_: object, command) =>
    execute(command, async (run) => {
      const info = await (await run.open()).call('identity/info', {})
      await run.output.result(info, () =>
        table([
          ['identity', info.id],
          ['phrase', info.hasPhrase ? 'on this device' : 'not on this device']
        ])
      )
    })
  )

  define('create', 'make the store of this device, and show the phrase to write down', [
    'manyhands identity create --name Laptop'
  ])
    .option('--name <name>', 'what people call this device; remembered')
    .action((options: { readonly name?: string }, command) =>
      execute(command, async (run) => showPhrase(run, await run.open({ create: options })))
    )
}

async function showPhrase(run: Run, port: DevicePort): Promise<void> {
  const phrase = await port.call('identity/phrase', {})
  const { id } = await port.call('identity/info', {})
  await run.output.result({ identity: id, phrase }, () => phraseLines(phrase))
  run.output.note('Whoever has these words, is you. Write them down; then: identity verify')
}

function phraseLines(phrase: string): readonly string[] {
  const words = phrase.split(' ').map((word, i) => `${String(i + 1).padStart(2)}. ${word}`)
  const rows = words.slice(0, words.length / 3)
  return table(rows.map((word, i) => [word, words[i + 8] ?? '', words[i + 16] ?? '']))
}

interface KitOption {
  readonly kit?: string
}

const KIT = 'write a page to print, with QR codes, instead of showing it'

function defineKeeping(define: Define, execute: Execute): void {
  define('phrase', 'show the 24 words; or have this device forget them', [
    'manyhands identity phrase',
    'manyhands identity phrase --kit kit.html   # print it, then delete it',
    'manyhands identity phrase --forget --yes'
  ])
    .option('--kit <file>', KIT)
    .option('--forget', 'forget them here: whoever has this device has it only')
    .option('--yes', 'yes: they are written down')
    .action((options: KitOption & { readonly forget?: boolean; readonly yes?: boolean }, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        if (options.forget === true) return forget(run, port, options.yes === true)
        if (options.kit === undefined) return showPhrase(run, port)
        await writeKit(run, port, options.kit, await port.call('identity/phrase', {}))
      })
    )

  define('split', 'split the phrase into shares, of which some give it back', [
    'manyhands identity split --shares 5 --needed 3 --kit shares.html'
  ])
    .requiredOption('--shares <n>', 'so many shares', count)
    .requiredOption('--needed <m>', 'of which so many give the phrase back', count)
    .option('--kit <file>', KIT)
    .action((options: KitOption & { readonly shares: number; readonly needed: number }, command) =>
      execute(command, async (run) => {
        const { shares, needed, kit } = options
        const port = await run.open()
        const made = await port.call('identity/split', { shares, needed })
        if (kit === undefined) await run.output.result(made, () => made)
        else await writeKit(run, port, kit, made)
        run.output.note(`Give each to another person; any ${needed} of them are you.`)
      })
    )

  define('verify', 'check a phrase or shares, typed or from stdin, against this identity', [
    'manyhands identity verify'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      // First: a program that writes it here may need the store until then.
      const secret = await readSecret(run)
      const isRight = await (await run.open()).call('identity/verify', { secret })
      await run.output.result({ verified: isRight }, () => [
        isRight ? 'It is this identity’s.' : 'It is a sound one, of another identity.'
      ])
      return isRight ? EXIT.ok : EXIT.no
    })
  )
}

async function forget(run: Run, port: DevicePort, isYes: boolean): Promise<void> {
  const what = 'This forgets the phrase on this device: only who wrote it down has it then.'
  await run.confirm(isYes, what, 'manyhands identity phrase --forget --yes')
  await port.call('identity/forget', {})
  await run.output.result({ forgotten: true }, () => ['Forgotten.'])
}

/** Never over what is there, and for its owner's eyes. */
async function writeKit(
  run: Run,
  port: DevicePort,
  file: string,
  secret: string | readonly string[]
): Promise<void> {
  const { name } = await port.call('device/info', {})
  const page = await port.call('identity/kit', { name, secret })
  await writeFile(file, page, { mode: 0o600, flag: 'wx' })
  await run.output.result({ file }, () => [`Written to ${file}. Print it, then delete it.`])
}

function defineDevices(define: Define, execute: Execute): void {
  define('request', 'ask to become a device of somebody who has others; no secret', [
    'manyhands identity request   # give what it prints to `identity certify` there'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const request = await port.call('identity/request', {})
      const { id } = await port.call('device/info', {})
      await run.output.result({ request, device: id }, () => [request])
      run.output.note(`This device is ${id}: compare that with what the other one shows.`)
    })
  )

  define('certify <request>', 'say that another device is yours, too', [
    'manyhands identity certify mhr1…   # give what it prints to `identity accept` there'
  ]).action((request: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      const certified = await port.call('identity/certify', { request })
      await run.output.result(certified, () => [certified.answer])
      const { name, device } = certified
      run.output.note(
        `For ${shown(name)}, ${device}: give it on only if that device shows the same.`
      )
    })
  )

  define('accept <answer>', 'become a device of who gave the answer', [
    'manyhands identity accept mha1…'
  ]).action((answer: string, _: object, command) =>
    execute(command, async (run) => {
      const port = await run.open()
      await port.call('identity/accept', { answer })
      const { id } = await port.call('identity/info', {})
      await run.output.result({ identity: id }, () => [`A device of ${id} now.`])
    })
  )
}

interface RecoverOptions extends NetworkFlags {
  readonly keep?: readonly string[]
  readonly yes?: boolean
  readonly timeout: number
}

function defineRecovery(define: Define, execute: Execute): void {
  define('spaces', 'what it takes to come back to the spaces, beside the phrase; the kit has it', [
    'manyhands identity spaces > spaces.txt   # only the phrase opens it'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      const lists = await (await run.open()).call('identity/spaceLists', {})
      await run.output.result(lists, () => lists)
    })
  )

  const recover = define(
    'recover',
    'come back by the phrase or shares, typed or from stdin; lost devices end in all spaces',
    [
      'manyhands identity recover                                 # on a new device',
      'cat phrase.txt spaces.txt | manyhands identity recover --yes   # and back to all spaces'
    ]
  )
    .option('--keep <devices...>', 'other devices of yours that are not lost')
    .option('--yes', 'yes: your other devices lose their rights')
    .addOption(
      new Option('--timeout <seconds>', 'how long to look for a member of each space')
        .default(60)
        .argParser(seconds)
    )
  withNetwork(recover).action((options: RecoverOptions, command) =>
    execute(command, (run) => comeBack(run, options))
  )
}

async function comeBack(run: Run, options: RecoverOptions): Promise<number> {
  const { secret, spaces } = await readRecovery(run)
  const port = await run.open()
  const isAnywhere = spaces.length > 0 || (await port.call('spaces/list', {})).length > 0
  if (isAnywhere)
    await run.confirm(
      options.yes ?? false,
      'This takes away the rights of your other devices, but for those to keep.',
      'manyhands identity recover --yes'
    )
  await port.call('identity/recover', { secret, spaces })
  const { id } = await port.call('identity/info', {})
  const done = isAnywhere ? await recoverSpaces(run, port, options) : []
  await run.output.result({ identity: id, spaces: done }, () => [
    `This is ${id} now.`,
    ...outcomeLines(done, {
      recovered: 'lost devices have ended',
      unchanged: 'there was nothing to end'
    }),
    ...(isAnywhere ? [] : ['Next: join a space with its ticket, and recover once more.'])
  ])
  return exitOf(done)
}

function recoverSpaces(
  run: Run,
  port: DevicePort,
  { keep = [], timeout, ...flags }: RecoverOptions
): Promise<readonly PlainOutcome[]> {
  if (run.output.isTerminal) run.output.note('Looking for members of the spaces; Ctrl-C ends.')
  const params = { keep, timeout: Math.max(1, timeout * 1000) }
  return onNetwork(port, flags, () =>
    run.unlessInterrupted(port.call('device/recoverSpaces', params))
  )
}

/** Lists of spaces have a prefix of their own. */
async function readRecovery(run: Run) {
  const lines = await readLines(run)
  const isList = (line: string) => /^\s*mhl1/i.test(line)
  return { secret: secretOf(lines.filter((line) => !isList(line))), spaces: lines.filter(isList) }
}

async function readSecret(run: Run): Promise<string | readonly string[]> {
  return secretOf(await readLines(run))
}

function readLines(run: Run): Promise<readonly string[]> {
  return run.lines('The words, or each share on a line; then an empty line:\n')
}

/** Shares begin with their prefix; everything else is meant to be a phrase. */
function secretOf(lines: readonly string[]): string | readonly string[] {
  if (lines.length === 0) throw usage('No phrase and no share was given.')
  const isShares = lines.every((line) => /^\s*mhs/i.test(line))
  return isShares ? lines : lines.join(' ')
}

function defineLocks(define: Define, execute: Execute): void {
  define('lock', 'have the command that uses the store forget its keys, until `unlock`', [
    'manyhands lock'
  ]).action((_: object, command) =>
    execute(command, async (run) => {
      await lock(run)
      await run.output.result({ locked: true }, () => ['Locked.'])
    })
  )

  define('unlock', 'give it the passphrase again', ['manyhands unlock']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const passphrase = (await run.passphrase()) ?? (await run.hidden('Passphrase: '))
        const port = await run.open()
        if (!port.isRemote) throw usage('No other command uses the store: there is none to unlock.')
        await port.call('device/unlock', { passphrase })
        await run.output.result({ locked: false }, () => ['Unlocked.'])
      })
  )

  define('passphrase', 'set, change or remove the passphrase of this store', [
    'manyhands passphrase --new-file new.txt                            # set it',
    'manyhands passphrase --passphrase-file old.txt --new-file new.txt  # change it',
    'manyhands passphrase --passphrase-file old.txt --remove'
  ])
    .option('--new-file <file>', 'the new one; default: it is asked for')
    .option('--remove', 'leave the keys open to whoever has the folder')
    .action((options: { readonly newFile?: string; readonly remove?: boolean }, command) =>
      execute(command, async (run) => {
        const from = (await run.passphrase()) ?? null
        const port = await run.open()
        const to = options.remove === true ? null : await newPassphrase(run, options.newFile)
        await port.call('device/passphrase', { from, to })
        await run.output.result({ protected: to !== null }, () => [
          to === null ? 'The keys lie open now.' : 'The new passphrase protects the keys now.'
        ])
      })
    )
}

/** A store that nobody has open, and that has a passphrase, is locked. */
async function lock(run: Run): Promise<void> {
  try {
    const port = await run.open()
    if (!port.isRemote && (await run.passphrase()) === undefined)
      throw usage('This store has no passphrase.', 'Set one: manyhands passphrase')
    if (port.isRemote) await port.call('device/lock', {})
  } catch (error) {
    if (!isManyhandsError(error, 'PASSPHRASE_REQUIRED')) throw error
  }
}

async function newPassphrase(run: Run, file: string | undefined): Promise<string> {
  const given = file === undefined ? await run.hidden('New passphrase: ') : await passphraseIn(file)
  if (given === '') throw usage('The new passphrase is empty.', 'To have none: --remove')
  return given
}
