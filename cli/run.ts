/** One run of one command: its options, its session, its output, and what Ctrl-C does. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Work } from '../core/index.ts'
import { isManyhandsError } from '../errors.ts'
import type { DevicePort, Where } from '../multiwriter/index.ts'
import { CliError, EXIT, usage } from './exit.ts'
import type { Host } from './host.ts'
import { counted } from './numbers.ts'
import type { Output } from './output.ts'
import { openSession, type Session, type SessionOptions } from './session.ts'

/** What every command takes. */
export interface GlobalOptions {
  readonly store?: string
  readonly space?: string
  readonly sub?: readonly string[]
  readonly json?: boolean
  readonly wait: number
  readonly passphraseFile?: string
}

export class Run {
  readonly options: GlobalOptions
  readonly output: Output
  readonly host: Host
  /** Said when the command is interrupted: what was done by then. */
  onInterrupt: (() => string) | null = null
  #session: Session | null = null
  readonly #abort = new AbortController()

  constructor(options: GlobalOptions, output: Output, host: Host) {
    this.options = options
    this.output = output
    this.host = host
  }

  get storage(): string {
    const { MANYHANDS_STORE: fromEnvironment } = this.host.env
    return resolve(this.options.store ?? (fromEnvironment || join(this.host.home(), '.manyhands')))
  }

  get isInterrupted(): boolean {
    return this.signal.aborted
  }

  /** Aborts at Ctrl-C. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** What may wait for ever, for a person or another program: it rejects at Ctrl-C. */
  unlessInterrupted<T>(task: Promise<T>): Promise<T> {
    const { signal } = this
    return new Promise((resolve, reject) => {
      const onabort = () => reject(new Error('Interrupted'))
      signal.addEventListener('abort', onabort)
      if (signal.aborted) onabort()
      task.then(resolve, reject).finally(() => signal.removeEventListener('abort', onabort))
    })
  }

  /** What takes long ends at Ctrl-C, and after a second shows how far it is. */
  async long<T>(task: (work: Work) => Promise<T>): Promise<T> {
    const bar = this.output.progress()
    try {
      return await task({ signal: this.signal, onprogress: (progress) => bar.show(progress) })
    } finally {
      bar.stop()
    }
  }

  /** The device, whoever owns its store. */
  async open(options: Pick<SessionOptions, 'serve' | 'create'> = {}): Promise<DevicePort> {
    const passphrase = await this.passphrase()
    const session = await openSession({
      storage: this.storage,
      wait: this.options.wait * 1000,
      ...(passphrase === undefined ? {} : { passphrase }),
      ...options
    })
    this.#session = session
    if (this.isInterrupted) await session.close()
    return session.port
  }

  /** From the file or the environment; never from the command line, which others can see. */
  async passphrase(): Promise<string | undefined> {
    const { passphraseFile } = this.options
    if (passphraseFile === undefined) return this.host.env.MANYHANDS_PASSPHRASE || undefined
    return passphraseIn(passphraseFile)
  }

  /** The space that is meant. */
  async space(port: DevicePort): Promise<string> {
    const spaces = await port.call('spaces/list', {})
    const { space: wanted } = this.options
    if (spaces.length === 0) {
      const next = 'Make one: manyhands space create NAME   or come into one: manyhands join LINK'
      throw new CliError(EXIT.unknown, 'SPACE_UNKNOWN', 'This device is in no space yet.', next)
    }
    const named = spaces.filter(
      ({ address, name }) => wanted === undefined || address === wanted || name === wanted
    )
    const [only] = named
    if (only !== undefined && named.length === 1) return only.address
    const list = (named.length === 0 ? spaces : named).map(
      ({ name, address }) => `  ${name}  ${address}`
    )
    if (named.length === 0) {
      const message = `There is no space ${JSON.stringify(wanted)}. There are:\n${list.join('\n')}`
      throw new CliError(EXIT.unknown, 'SPACE_UNKNOWN', message)
    }
    throw usage(`Which space? --space NAME or ADDRESS:\n${list.join('\n')}`)
  }

  /** The database that is meant. */
  async where(port: DevicePort): Promise<Where> {
    const space = await this.space(port)
    const { sub } = this.options
    return sub === undefined ? { space } : { space, sub }
  }

  /**
   * What goes on until Ctrl-C outlives the owner of the store: it begins again, as the owner, or through the next one. Once it has
   * begun, it does not end because short commands keep the store among themselves: it waits until there is a gap.
   * @param ontakeover called each time that an owner has ended
   */
  async lasting<T>(task: () => Promise<T>, ontakeover: () => void = () => {}): Promise<T> {
    let hasBegun = false
    for (;;) {
      try {
        return await task()
      } catch (error) {
        const isClosed = isManyhandsError(error, 'DEVICE_CLOSED')
        const isLocked = hasBegun && isManyhandsError(error, 'STORE_LOCKED')
        if (!(isClosed || isLocked) || this.isInterrupted) throw error
        hasBegun = true
        await this.finish()
        if (isClosed) ontakeover()
      }
    }
  }

  /**
   * Before what cannot be taken back: asks a person at a terminal, and wants a `--yes` from everybody else.
   * @param how the command that does not ask
   */
  async confirm(isYes: boolean, what: string, how: string): Promise<void> {
    if (isYes) return
    const next = `If you want that: ${how}`
    if (this.host.stderr.isTTY !== true) throw usage(what, next)
    const answer = await this.unlessInterrupted(this.#ask(`${what} Go on? [y/N] `))
    if (!/^y(es)?$/i.test(answer.trim())) throw usage('Nothing was done.', next)
  }

  /** A line that a person types without showing it, or that another program gives. */
  async hidden(question: string): Promise<string> {
    const { stdin, stderr } = this.host
    if (stderr.isTTY !== true) return (await text(stdin)).replace(/\r?\n$/, '')
    stderr.write(question)
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
    const lines = createInterface({ input: stdin, output: nowhere, terminal: true })
    const typed = new Promise<string>((resolve) => {
      lines.once('close', () => resolve(''))
      lines.once('line', resolve)
    }).finally(() => lines.close())
    const answer = await this.unlessInterrupted(typed)
    stderr.write('\n')
    return answer
  }

  /** All lines that another program gives, or a person up to an empty one. */
  async lines(question: string): Promise<readonly string[]> {
    const { stdin, stderr } = this.host
    if (stderr.isTTY !== true) return linesIn(await text(stdin))
    stderr.write(question)
    const typed: string[] = []
    const lines = createInterface({ input: stdin, output: stderr })
    const end = new Promise<void>((resolve) => lines.once('close', resolve))
    lines.on('line', (line) => {
      if (line.trim() === '') lines.close()
      else typed.push(line)
    })
    await this.unlessInterrupted(end).finally(() => lines.close())
    return typed
  }

  /** What ends without an answer says nothing. */
  #ask(question: string): Promise<string> {
    const { stdin, stderr } = this.host
    const lines = createInterface({ input: stdin, output: stderr })
    return new Promise<string>((resolve) => {
      lines.once('close', () => resolve(''))
      lines.question(question, resolve)
    }).finally(() => lines.close())
  }

  /** Lets the commands that work through this one finish, then closes. Those that go on for ever find the next owner. */
  async finish(): Promise<void> {
    const session = this.#session
    const passing = session?.guests.passing ?? 0
    if (session !== null && passing > 0 && !this.isInterrupted) {
      const them = passing === 1 ? 'it' : 'them'
      this.output.note(
        `Waiting for ${counted(passing, 'other command')} to finish; Ctrl-C ends ${them}.`
      )
      await session.drain()
    }
    await session?.close()
  }

  /** Ctrl-C: what is under way ends, what is written stays. */
  interrupt(): void {
    this.#abort.abort()
    // What fails because of it is shown by nobody: the command ends anyway.
    this.#session?.close().catch(() => {})
  }
}

/** What a file says without the end of its line. */
export async function passphraseIn(file: string): Promise<string> {
  const passphrase = (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  if (passphrase === '') throw usage(`The file ${file} is empty.`)
  return passphrase
}

function linesIn(typed: string): readonly string[] {
  return typed.split(/\r?\n/).filter((line) => line.trim() !== '')
}
