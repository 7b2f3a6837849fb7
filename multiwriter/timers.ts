/** Time as it passes, not as a wall clock tells it: a clock that is set must not make anybody leave. */
export interface Timers {
  /** Milliseconds since some moment; never goes back. */
  elapsed(): number
  /** Calls `task` once, after `ms`. Keeps no process alive. @returns how to call it off */
  after(ms: number, task: () => void): () => void
  /** Resolves after `ms`. Keeps the process alive: somebody waits for what comes of it. */
  wait(ms: number): Promise<void>
  /** Calls `task` once everything else that is ready has had its turn. */
  soon(task: () => void): void
}
