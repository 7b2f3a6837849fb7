/** What a command has of the world around it: this process's streams, environment and signals, or what a test gives instead. */
import { homedir } from 'node:os'
import type { Readable, Writable } from 'node:stream'

/** A stream of a person or a program. */
export type Sink = Writable & {
  readonly isTTY?: boolean
  /** Of a terminal. */
  readonly columns?: number | undefined
}

export interface Host {
  readonly stdin: Readable
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
  /** The user's folder. */
  home(): string
  /** Calls back at Ctrl-C and whatever else asks the command to end; returns how to stop that. */
  onsignal(listener: () => void): () => void
  /** Ends at once, whatever is under way. */
  exit(code: number): void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export const processHost: Host = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  home: homedir,
  onsignal(listener) {
    for (const signal of SIGNALS) process.on(signal, listener)
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener)
    }
  },
  exit: (code) => process.exit(code)
}
