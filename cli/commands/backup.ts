/** `backup` and `restore --from`: a device's spaces in one archive, and a new device out of it. */
import { open, readFile, rename, rm } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { restoreBackup } from '../../core/native/index.ts'
import type { DevicePort } from '../../multiwriter/index.ts'
import type { Define, Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { openFile } from '../files.ts'
import { undone, UNDO_INTERRUPTED } from './history.ts'
import { counted } from '../numbers.ts'
import { rangeOf, withRange, type RangeOptions } from '../options.ts'
import { shown } from '../output.ts'
import type { Run } from '../run.ts'

interface BackupOptions {
  readonly keyFile?: string
  readonly plainKeys?: boolean
}

interface RestoreOptions extends RangeOptions {
  readonly from?: string
  readonly keyFile?: string
}

export function backupCommands(define: Define, execute: Execute): void {
  define('backup <file>', 'write all spaces and their keys into one archive; - is stdout', [
    'manyhands backup family.tar --key-file passphrase.txt',
    'manyhands backup - | ssh host "cat > family.tar"',
    'tar tvf family.tar                              # it is an ordinary tar archive'
  ])
    .option(
      '--key-file <file>',
      'a passphrase for the keys (default: $MANYHANDS_BACKUP_PASSPHRASE)'
    )
    .option('--plain-keys', 'leave the keys open to whoever has the archive')
    .action((file: string, options: BackupOptions, command) =>
      execute(command, (run) => backup(run, file, options))
    )

  withRange(
    define(
      'restore [version] [prefix]',
      'give keys their old values; or make a device of a backup',
      [
        'manyhands restore "$BEFORE" contacts/           # as new entries: history stays',
        'manyhands restore --from family.tar --key-file passphrase.txt --store ./new',
        'ssh host cat family.tar | manyhands restore --from -'
      ]
    )
  )
    .option('--from <file>', 'the archive that backup wrote')
    .option('--key-file <file>', "the backup's passphrase (default: $MANYHANDS_BACKUP_PASSPHRASE)")
    .action((version, prefix, options: RestoreOptions, command) =>
      execute(command, (run) =>
        version === undefined
          ? restore(run, options)
          : restoreValues(run, String(version), prefix as string | undefined, options)
      )
    )
}

/** Old values as new entries. */
async function restoreValues(
  run: Run,
  version: string,
  prefix: string | undefined,
  options: RestoreOptions
): Promise<number> {
  if (options.from !== undefined) throw usage('Give a version or --from, not both.')
  const port = await run.open()
  const where = await run.where(port)
  const params = { ...where, version, ...rangeOf(prefix, options) }
  run.onInterrupt = () => UNDO_INTERRUPTED
  const report = await run.long((work) => port.call('space/restore', params, work))
  await run.output.result(report, () => [undone(report)])
  return report.skipped > 0 ? EXIT.no : EXIT.ok
}

async function backup(run: Run, file: string, options: BackupOptions): Promise<number> {
  const passphrase = await backupPassphrase(run, options.keyFile)
  if (passphrase === null && options.plainKeys !== true) {
    throw usage(
      'Who has the keys of a space can read and write it: a backup wraps them.',
      'Give a passphrase (--key-file FILE or $MANYHANDS_BACKUP_PASSPHRASE), or insist: --plain-keys'
    )
  }
  const port = await run.open({ serve: true })
  const chunks = piecesOf(run, port, passphrase)
  const bytes = file === '-' ? await toStdout(run, chunks) : await toFile(run, file, chunks)
  if (run.isInterrupted) return EXIT.interrupted
  if (passphrase === null) {
    run.output.note(
      run.output.noteStyle('red', 'The keys in this archive are open: keep it like a password.')
    )
  }
  if (file === '-') return EXIT.ok
  await run.output.result({ file, bytes }, () => [
    `${bytes.toLocaleString('en')} bytes written to ${file}.`
  ])
  return EXIT.ok
}

/** The archive; shows how far it is. */
async function* piecesOf(run: Run, port: DevicePort, passphrase: string | null) {
  const bar = run.output.progress()
  try {
    for await (const { chunk, progress } of port.stream('backup', { passphrase })) {
      if (progress !== null) bar.show(progress)
      yield chunk
    }
  } finally {
    bar.stop()
  }
}

async function toStdout(run: Run, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of chunks) {
    await run.output.write(chunk)
    bytes += chunk.byteLength
  }
  return bytes
}

/** Whole or not at all: an archive that was cut off must not look like one. */
async function toFile(run: Run, file: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const part = `${file}.part`
  const out = await open(part, 'w', 0o600)
  let bytes = 0
  run.onInterrupt = () => 'Interrupted: no backup was written.'
  try {
    for await (const chunk of chunks) {
      await out.write(chunk)
      bytes += chunk.byteLength
      if (run.isInterrupted) break
    }
    await out.sync()
  } catch (error) {
    await out.close()
    await rm(part, { force: true })
    throw error
  }
  await out.close()
  if (run.isInterrupted) await rm(part, { force: true })
  else await rename(part, file)
  return bytes
}

async function restore(run: Run, { from, keyFile }: RestoreOptions): Promise<number> {
  if (from === undefined)
    throw usage('Give a version, or the FILE of a backup: --from FILE (- for stdin).')
  const passphrase = await run.passphrase()
  const { stream, bytes } =
    from === '-' ? { stream: run.host.stdin, bytes: 0 } : await openFile(from)
  const size = bytes === 0 ? {} : { total: bytes }
  const bar = run.output.progress()
  const report = await restoreBackup(run.storage, interruptible(run, stream), {
    passphrase: passphrase ?? null,
    backupPassphrase: await backupPassphrase(run, keyFile),
    onprogress: (done) => bar.show({ task: 'restoring', done, ...size, unit: 'bytes' })
  }).finally(() => bar.stop())
  const { device, created, isSamePerson, spaces, logs, blocks } = report
  await run.output.result({ ...report, store: run.storage }, () => [
    `Restored ${counted(spaces, 'space')}, ${counted(logs, 'log')}, ${counted(blocks, 'block')} into ${run.storage}`,
    `The backup was made by ${shown(device ?? 'a device')} at ${created}.`,
    'This is a new device: what the old one wrote is here to read, and what you write is yours.',
    isSamePerson
      ? 'It is a device of the same person, and is let in as such.'
      : 'It begins as another person: only a backup under a passphrase can do more.',
    'Next: manyhands sync'
  ])
  return EXIT.ok
}

/** Ctrl-C ends the source, and what was restored so far is thrown away. */
async function* interruptible(run: Run, stream: Readable): AsyncGenerator<Buffer> {
  run.onInterrupt = () => 'Interrupted: nothing was restored.'
  addAbortSignal(run.signal, stream)
  yield* stream
  run.onInterrupt = null
}

async function backupPassphrase(run: Run, keyFile: string | undefined): Promise<string | null> {
  if (keyFile === undefined) return run.host.env.MANYHANDS_BACKUP_PASSPHRASE || null
  const text = (await readFile(keyFile, 'utf8')).replace(/\r?\n$/, '')
  if (text === '') throw usage(`The file ${keyFile} is empty.`)
  return text
}
