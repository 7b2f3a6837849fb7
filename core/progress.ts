/** How long work says how far it is, and how it is told to stop: the same everywhere. */
export interface Progress {
  /** What is being done, for people: `checking logs`. One piece of work may do several things, one after the other. */
  readonly task: string
  /** So many are done. */
  readonly done: number
  /** Of so many, where that is known. */
  readonly total?: number
  readonly unit: 'entries' | 'blocks' | 'keys' | 'logs' | 'bytes'
}

export interface Work {
  /** Stops with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Called now and then. */
  readonly onprogress?: ((progress: Progress) => void) | undefined
}
