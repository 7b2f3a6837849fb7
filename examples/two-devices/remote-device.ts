/** A device as the main process has it: an operating system process of its own, and a line to it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { DeviceName } from './cities.ts'
import { settle, type Call, type DeviceCalls, type Waiting } from './protocol.ts'

/** A device closes in well under a second; one that does not is stuck. */
const STOP_MS = 5000

/** More than any call waits for by itself: silence for so long means a process that hangs. */
const ANSWER_MS = 60_000

export class RemoteDevice {
  readonly name: DeviceName
  readonly pid: number
  /** Rejects if the process ends before it was told to. */
  readonly died: Promise<never>
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown[]>
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0
  #isStopping = false

  constructor(name: DeviceName, folder: string) {
    this.name = name
    this.#child = fork(new URL('device.ts', import.meta.url), [name, folder])
    this.pid = this.#child.pid ?? 0
    this.#child.on('message', (message) => settle(this.#waiting, message))
    this.#exited = once(this.#child, 'exit')
    this.died = this.#watchOver()
    this.died.catch(() => {}) // whoever runs the session races it
  }

  /** Asks the device to do something. Never settles if the process dies: `died` tells. */
  call<N extends keyof DeviceCalls>(
    name: N,
    ...args: Parameters<DeviceCalls[N]>
  ): ReturnType<DeviceCalls[N]>
  call(name: keyof DeviceCalls, ...args: readonly unknown[]): Promise<unknown> {
    const call: Call = { id: this.#calls++, name, args }
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(new Error(`The ${this.name} ${error.message}.`))
      const late = new Error(`gave no answer to "${name}" for ${ANSWER_MS / 1000} seconds`)
      const timer = setTimeout(fail, ANSWER_MS, late).unref()
      this.#waiting.set(call.id, { resolve, reject: fail, timer })
      this.#child.send(call, () => {}) // a line that is cut is seen as the end of the process
    })
  }

  /** Lets the device close its store, or ends it at once if it does not. */
  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#child.connected) this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    await this.#exited.catch(() => {}) // `died` says why
    clearTimeout(timer)
  }

  async #watchOver(): Promise<never> {
    await this.#exited
    if (this.#isStopping) return new Promise(() => {})
    const { exitCode, signalCode } = this.#child
    const how = signalCode === null ? `exit code ${exitCode}` : `killed by ${signalCode}`
    throw new Error(`The process of the ${this.name} ended before its work was done (${how}).`)
  }
}
