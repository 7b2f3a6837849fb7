/** A program of test/support in a process of its own, which prints one line per event. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from './devices.ts'
import { programArguments } from './typescript.ts'

export interface ChildOptions {
  /** A user to run as; root only. */
  readonly uid?: number
  /** What the program is run by, for instance strace. */
  readonly prefix?: readonly string[]
}

export class Child {
  readonly lines: string[] = []
  readonly #process: ChildProcess
  #errors = ''
  #acks = 0
  readonly #ending: Promise<{ readonly code: number | null; readonly signal: string | null }>

  /** @param program a file of test/support; `task` is its one argument, as JSON */
  constructor(program: string, task: object, { uid, prefix = [] }: ChildOptions = {}) {
    const file = fileURLToPath(new URL(program, import.meta.url))
    const run = programArguments(file)
    const command = [...prefix, process.execPath, ...run, JSON.stringify(task)]
    this.#process = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid })
    })
    const { stdout, stderr } = this.#process
    stderr?.on('data', (bytes: Buffer) => (this.#errors += bytes.toString()))
    if (stdout !== null) createInterface(stdout).on('line', (line) => this.#hear(line))
    this.#ending = new Promise((resolve, reject) => {
      this.#process.on('error', reject)
      this.#process.on('close', (code, signal) => resolve({ code, signal }))
    })
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  #hear(line: string): void {
    this.lines.push(line)
    if (line.startsWith('ack')) this.#acks++
  }

  get isOver(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** How many lines say that something was acknowledged. */
  get acks(): number {
    return this.#acks
  }

  /** What it wrote to its error stream. */
  get errors(): string {
    return this.#errors
  }

  /** Waits for a line that starts so, and returns the rest of it. */
  async line(start: string, timeout = 30_000): Promise<string> {
    const find = () => this.lines.find((line) => line.startsWith(start))
    await until(() => find() !== undefined || this.isOver, { timeout })
    if (find() === undefined) await this.#ending // the last lines may still be in the pipe
    const line = find()
    if (line === undefined) throw new Error(`The child ended without "${start}": ${this.#errors}`)
    return line.slice(start.length).trim()
  }

  /** Ends it as a crash does, and waits for its last lines. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ending
  }

  /** Waits until it ends by itself; kills it after `timeout`. */
  async end(
    timeout = 30_000
  ): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), timeout)
    const end = await this.#ending
    clearTimeout(timer)
    return end
  }
}
