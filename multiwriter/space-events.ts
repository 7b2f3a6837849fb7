/** What a space tells of. */
import type { ForkInfo } from './members/forks.ts'
import type { ExcludedEntry } from './members/excluded.ts'
import type { IndexProgress, IndexRebuild } from './local-index.ts'
import type { Refusal } from './refusals.ts'

export interface SpaceEvents {
  /** A device whose log this space reads from now on. */
  'writer-add': [writer: string]
  'peer-add': [peer: string]
  'peer-remove': [peer: string]
  /** Remote data was refused. */
  refused: [Refusal]
  /** A device's clock is ahead of ours by more than the allowed drift. Once per writer. */
  'clock-skew': [{ readonly writer: string; readonly aheadMs: number }]
  /** Who is in, with which rights, or which keys are here has changed. */
  members: []
  /** Logs count less far than they did, or in fewer places, and what of them was to be seen is not any more. */
  sealed: [Sealed]
  /** A log has two histories, as is known now: @see SpaceMembers.forks */
  forked: [ForkInfo]
  /** The local index reads a log in. */
  'index-progress': [IndexProgress]
  /** The local index was thrown away and is built again. */
  'index-rebuild': [IndexRebuild]
}

/** What left the view. */
export interface Sealed {
  readonly writers: readonly string[]
  /** Where something else shows now, or nothing: in the form of links' paths, with what showed. */
  readonly left: readonly ExcludedEntry[]
  /** Ids of the documents that something was taken out of, or would be if nobody had built on it. */
  readonly documents: readonly string[]
}
