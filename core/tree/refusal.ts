/** Why a core's tree is not believed, from which length on. */
export type TreeRefusalReason =
  /** A block is not a hyperbee2 block, or refers to what is not there. */
  | 'malformed-block'
  /** A block is too short to be an encrypted one. */
  | 'encryption-malformed'
  /** It is encrypted in a way that this version does not know. */
  | 'encryption-unsupported'
  /** It was changed, or encrypted for another place, log or space, or with another key than the one it names. */
  | 'encryption-forged'
  /** It is encrypted with a key that is not here: nothing is wrong with it, and it is read when the key has come. */
  | 'no-epoch-key'
  /** A block's batch marks contradict each other. */
  | 'malformed-batch'
  /** A pointer leads into a core that is not this writer's. */
  | 'foreign-core'
  /** A node points at itself or at something later: reading it would never end. */
  | 'forward-pointer'
  /** A node's number of children does not fit its number of keys, or it is larger than any writer makes them. */
  | 'malformed-node'
  /** The tree is deeper than MAX_TREE_DEPTH. */
  | 'too-deep'
  /** Keys do not rise from entry to entry. */
  | 'unsorted'
  /** The tree leads to a block that its writer has declared as cleared. */
  | 'cleared'
  /** The writer signed two histories: its log stays as it was here, and grows no more. */
  | 'conflict'

/** Thrown by tree reading on bytes that no honest writer makes; caught by the view, which then reads the core only below `seq`. */
export class TreeRefusal extends Error {
  readonly reason: TreeRefusalReason
  /** The block that shows it. */
  readonly seq: number

  constructor(reason: TreeRefusalReason, seq: number, cause?: unknown) {
    super(`Tree refused at block ${seq}: ${reason}`, { cause })
    this.name = 'TreeRefusal'
    this.reason = reason
    this.seq = seq
  }
}

/** Not a refusal of anything: what it met can be read once a key has come. */
export function isWaitingForKey(error: unknown): error is TreeRefusal {
  return error instanceof TreeRefusal && error.reason === 'no-epoch-key'
}
