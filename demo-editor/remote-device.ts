/**
 * A device of the demo as the main process has it. One that dies is started again, at the same address and with the same token,
 * so that its pages find it; one that dies at once, again and again, is given up.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Beginning } from './device-desk.ts'
import type { Files } from './page-server.ts'

const PROGRAM = fileURLToPath(new URL('device-process.ts', import.meta.url))
const TYPESCRIPT = new URL('../scripts/typescript.mjs', import.meta.url).href

/** Before a device that died is started again: long enough to see that it is away. */
const RESTART_MS = 1000

/** A device that lives shorter than this has not really started. */
const SHORT_LIFE_MS = 5000
const MAX_SHORT_LIVES = 3

/** Closing waits for appends under way; a process that takes longer hangs. */
const CLOSE_MS = 10_000

export interface CableEnd {
  readonly port: number
  /** The side of the handshake that it takes. */
  readonly initiator: boolean
}

/** What a device process is to be; its first message. */
export interface DeviceTask {
  readonly name: string
  readonly hue: number
  readonly storage: string
  /** Where its store has no notebook. */
  readonly beginning: Beginning
  /** It is ready once that is over; else at once, and its page tells how far it is. */
  readonly isAwaited: boolean
  /** Whether it is to make an invite, when it starts for the first time. */
  readonly invites: boolean
  /** Whether a notebook that it makes begins with a page of greeting. */
  readonly greets: boolean
  /** Its end of the cable; null for none. */
  readonly cable: CableEnd | null
  /** The folder where it meets other editors; null for who is not to be met there. */
  readonly neighbourhood: string | null
  /** Its page: where, for whom, what. */
  readonly port: number
  readonly token: string
  readonly framedBy: readonly string[]
  readonly files: Files
}

export type FromDevice =
  | {
      readonly type: 'ready'
      readonly link: string | null
      readonly port: number
      readonly url: string
    }
  | { readonly type: 'failed'; readonly message: string }

/** What of it is told from outside, and may take a while: the process starts meanwhile. */
export type TaskGiven = Omit<DeviceTask, 'name' | 'port' | 'token'>

export class RemoteDevice {
  readonly name: string
  readonly #given: Promise<TaskGiven>
  readonly #token = randomBytes(24).toString('base64url')
  readonly #ongone: (error: Error) => void
  #child: ChildProcess | null = null
  #port = 0
  #ready: { readonly link: string | null; readonly url: string } = { link: null, url: '' }
  #shortLives = 0
  #timer: NodeJS.Timeout | undefined
  #isClosing = false

  /** @param ongone the device died and cannot be started again */
  static async start(
    name: string,
    given: Promise<TaskGiven>,
    ongone: (error: Error) => void
  ): Promise<RemoteDevice> {
    const device = new RemoteDevice(name, given, ongone)
    await device.#start()
    return device
  }

  private constructor(name: string, given: Promise<TaskGiven>, ongone: (error: Error) => void) {
    this.name = name
    this.#given = given
    this.#ongone = ongone
  }

  /** Its page. */
  get url(): string {
    return this.#ready.url
  }

  /** An invite, where it was to make one. */
  get link(): string | null {
    return this.#ready.link
  }

  /** Of its process; null while it is not running. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#timer)
    const child = this.#child
    if (child === null) return
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
    if (child.connected) child.send('close')
    await exited
    clearTimeout(timer)
  }

  async #start(): Promise<void> {
    const born = Date.now()
    const child = fork(PROGRAM, { execArgv: ['--import', TYPESCRIPT] })
    this.#child = child
    const started = this.#hear(child)
    child.on('exit', (code, signal) => {
      this.#child = null
      if (!this.#isClosing && this.url !== '') this.#died(born, `${signal ?? `exit code ${code}`}`)
    })
    try {
      await Promise.race([this.#tell(child), started])
      await started
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  async #tell(child: ChildProcess): Promise<void> {
    const given = await this.#given
    const task: DeviceTask = { ...given, name: this.name, port: this.#port, token: this.#token }
    if (child.connected) child.send(task)
  }

  #hear(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`${this.name} ended before it had started`)))
      child.on('message', (message: FromDevice) => {
        if (message.type === 'failed') {
          reject(new Error(`${this.name} could not start: ${message.message}`))
          return
        }
        this.#port = message.port
        this.#ready = message
        resolve()
      })
    })
  }

  #died(born: number, how: string): void {
    this.#shortLives = Date.now() - born < SHORT_LIFE_MS ? this.#shortLives + 1 : 0
    if (this.#shortLives >= MAX_SHORT_LIVES) {
      this.#ongone(new Error(`${this.name} dies again and again (${how})`))
      return
    }
    this.#timer = setTimeout(() => {
      this.#start().catch(() => {}) // its 'exit' tells
    }, RESTART_MS)
  }
}
