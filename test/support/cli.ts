/**
 * The command: `run` in this process, which is what most laws need and costs little; `start` as a user runs it, in a process
 * of its own, from a bundle that is made once for each test file.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { manyhands } from '../../cli/manyhands.ts'
import { tempFolder, type TempFolder } from './devices.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** These find their compiled parts beside themselves. */
const NATIVE = [
  'classic-level',
  'fs-native-extensions',
  'rocksdb-native',
  'sodium-native',
  'udx-native'
]

const BUNDLE = [
  '--bundle',
  '--platform=node',
  '--format=esm',
  '--log-level=error',
  // What is CommonJS among the dependencies asks for `require`.
  `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`,
  ...NATIVE.map((name) => `--external:${name}`)
]

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Given {
  readonly stdin?: string
  readonly terminal?: number
  readonly env?: Readonly<Record<string, string>>
  /** Ctrl-C comes after so many turns of the event loop; default never. */
  readonly interrupt?: number
  /** Called with all that was written so far. */
  readonly onstdout?: (written: string) => void
}

export interface Started {
  readonly process: ChildProcess
  stdout(): string
  stderr(): string
  readonly ended: Promise<Ended>
}

export class Manyhands {
  readonly temp: TempFolder
  /** The folder that `manyhands` stands in, for a PATH. */
  readonly bin: string
  readonly #main: string

  private constructor(temp: TempFolder) {
    this.temp = temp
    this.bin = join(temp.path, 'bin')
    this.#main = join(temp.path, 'package', 'cli', 'main.mjs')
  }

  static async make(): Promise<Manyhands> {
    const made = new Manyhands(await tempFolder())
    const place = join(made.temp.path, 'package')
    mkdirSync(join(place, 'cli'), { recursive: true })
    copyFileSync(join(ROOT, 'package.json'), join(place, 'package.json'))
    symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'))
    // From sources a command starts in a second, from one file in a fifth of it.
    const esbuild = join(ROOT, 'node_modules', '.bin', 'esbuild')
    const entry = join(ROOT, 'cli', 'main.ts')
    execFileSync(esbuild, [entry, ...BUNDLE, `--outfile=${made.#main}`])
    mkdirSync(made.bin)
    writeFileSync(
      join(made.bin, 'manyhands'),
      `#!/bin/sh\nexec ${process.execPath} ${made.#main} "$@"\n`
    )
    chmodSync(join(made.bin, 'manyhands'), 0o755)
    return made
  }

  path(name: string): string {
    return join(this.temp.path, name)
  }

  /** @param stdin null: nothing comes, and it stays open */
  start(args: readonly string[], stdin?: string | null): Started {
    const child = spawn(process.execPath, [this.#main, ...args], { env: this.env() })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.stdin.on('error', () => {}) // a command that ends early reads no further
    if (stdin !== null) child.stdin.end(stdin)
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (code) => resolve({ code, stdout, stderr }))
    )
    return { process: child, stdout: () => stdout, stderr: () => stderr, ended }
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.runWith({}, args)
  }

  /** @param terminal so many columns wide, for all three streams; default none */
  async runWith(
    { stdin = '', terminal, env = {}, interrupt, onstdout }: Given,
    args: readonly string[]
  ): Promise<Ended> {
    const isTTY = terminal !== undefined
    const columns = terminal
    const out = () => Object.assign(new PassThrough({ highWaterMark: 2 ** 30 }), { isTTY, columns })
    const [stdout, stderr] = [out(), out()]
    let written = ''
    if (onstdout !== undefined)
      stdout.on('data', (chunk: Buffer) => onstdout((written += chunk.toString())))
    const code = await manyhands(args, {
      stdin: Readable.from([Buffer.from(stdin)], { objectMode: false }),
      stdout,
      stderr,
      env: { ...this.env(), ...env },
      onsignal: (listener) => (interrupt === undefined ? () => {} : after(interrupt, listener)),
      exit: () => {}
    })
    stdout.end()
    stderr.end()
    if (onstdout !== undefined) return { code, stdout: written, stderr: await text(stderr) }
    return { code, stdout: await text(stdout), stderr: await text(stderr) }
  }

  /** Nothing of the machine's own settings. */
  env(): Record<string, string> {
    return { PATH: `${this.bin}:${process.env.PATH ?? ''}`, HOME: this.temp.path }
  }

  remove(): Promise<void> {
    return this.temp.remove()
  }
}

/** Calls after so many turns of the event loop; returns how to stop that. */
function after(turns: number, call: () => void): () => void {
  let left = turns
  let timer = setImmediate(function turn() {
    if (left-- > 0) timer = setImmediate(turn)
    else call()
  })
  return () => clearImmediate(timer)
}
