import type Hypercore from 'hypercore'

/**
 * Hypercore closes every session of a log whose writer signed two histories, right after it has told of it, those included that are
 * opened meanwhile. This one opens a moment later.
 */
export function sessionAfterConflict(core: Hypercore): Hypercore {
  return core.session({ preload: Promise.resolve({}) })
}
