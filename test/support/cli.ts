/**
 * The command: `run` in this process, which is what most laws need and costs little; `start` as a user runs it, in a process
 * of its own, from a bundle that is made when a test file first asks for it; `shell` from a shell, but answered by this process.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Duplex, PassThrough, Readable } from 'node:stream'
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

/** Hands a command to the process that started the shell, and says what that answers. */
const ASK = `#!/bin/sh
call=$(mktemp -d "$HOME/call-XXXXXX")
printf '%s\\0' "$@" > "$call/args"
cat > "$call/stdin"
echo "$call" >&3
read -r code <&3
cat "$call/stdout"
cat "$call/stderr" >&2
exit "$code"
`

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

  private constructor(temp: TempFolder) {
    this.temp = temp
  }

  static async make(): Promise<Manyhands> {
    return new Manyhands(await tempFolder())
  }

  /** The command in one file, made once: from sources it starts in a second, from there in a fifth of it. */
  get #main(): string {
    const place = this.path('package')
    const main = join(place, 'cli', 'main.mjs')
    if (existsSync(main)) return main
    mkdirSync(place)
    copyFileSync(join(ROOT, 'package.json'), join(place, 'package.json'))
    symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'))
    const esbuild = join(ROOT, 'node_modules', '.bin', 'esbuild')
    execFileSync(esbuild, [join(ROOT, 'cli', 'main.ts'), ...BUNDLE, `--outfile=${main}`])
    return main
  }

  path(name: string): string {
    return join(this.temp.path, name)
  }

  /** @param stdin null: nothing comes, and it stays open */
  start(args: readonly string[], stdin?: string | null): Started {
    const child = spawn(process.execPath, [this.#main, ...args], { env: this.#env })
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
      env: { ...this.#env, ...env },
      home: () => this.#env.HOME,
      onsignal: (listener) => (interrupt === undefined ? () => {} : after(interrupt, listener)),
      exit: () => {}
    })
    stdout.end()
    stderr.end()
    if (onstdout !== undefined) return { code, stdout: written, stderr: await text(stderr) }
    return { code, stdout: await text(stdout), stderr: await text(stderr) }
  }

  /**
   * Runs a script in a shell that knows the command. Each call of it is answered by this process, one after the other, which stands in the
   * same folder meanwhile; to start a process for each would take most of a long script's time.
   * @returns what it printed, both streams in one
   */
  async shell(script: string, cwd: string): Promise<string> {
    const env = this.#inPath('asking', ASK)
    const child = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'inherit', 'pipe']
    })
    const [, stdout, , calls] = child.stdio
    if (!(stdout instanceof Readable) || !(calls instanceof Duplex)) throw new Error('No pipes')
    const before = process.cwd()
    process.chdir(cwd)
    createInterface(calls).on('line', (call) => {
      void this.#answer(call).then((code) => calls.write(`${code}\n`))
    })
    try {
      return await text(stdout)
    } finally {
      process.chdir(before)
    }
  }

  async #answer(call: string): Promise<number | null> {
    const read = (name: string) => readFileSync(join(call, name), 'utf8')
    const args = read('args').split('\0').slice(0, -1)
    const { code, stdout, stderr } = await this.runWith({ stdin: read('stdin') }, args)
    writeFileSync(join(call, 'stdout'), stdout)
    writeFileSync(join(call, 'stderr'), stderr)
    return code
  }

  /** For a shell in which `manyhands` is the command as a user has it. */
  env(): Record<string, string> {
    return this.#inPath('bin', `#!/bin/sh\nexec ${process.execPath} ${this.#main} "$@"\n`)
  }

  #inPath(folder: string, program: string): Record<string, string> {
    const file = join(this.path(folder), 'manyhands')
    mkdirSync(this.path(folder), { recursive: true })
    writeFileSync(file, program)
    chmodSync(file, 0o755)
    return { ...this.#env, PATH: `${this.path(folder)}:${this.#env.PATH}` }
  }

  /** Nothing of the machine's own settings. */
  get #env(): { readonly PATH: string; readonly HOME: string } {
    return { PATH: process.env.PATH ?? '', HOME: this.temp.path }
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
