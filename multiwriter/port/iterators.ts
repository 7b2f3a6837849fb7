/** Iterators that can be left while they wait. A generator could not: it hears of it only after its next item. */

const DONE = { done: true, value: undefined } as const

/** The items of an iterator that has to be opened first, each made into something else. */
export function late<T, U>(
  open: () => Promise<AsyncIterator<T>>,
  map: (item: T) => U
): AsyncIterableIterator<U> {
  let opened: Promise<AsyncIterator<T>> | null = null
  let isLeft = false
  return {
    async next() {
      if (isLeft) return DONE
      const result = await (await (opened ??= open())).next()
      return result.done === true ? DONE : { done: false, value: map(result.value) }
    },
    async return() {
      isLeft = true
      const iterator = await opened?.catch(() => null) // whoever asked for an item was told why
      await iterator?.return?.()
      return DONE
    },
    [Symbol.asyncIterator]() {
      return this
    }
  }
}

/** One item, then nothing more until it is left; that is when `release` is called. */
export function held<T>(item: T, release: () => Promise<void>): AsyncIterator<T> {
  const items = [item]
  let leave = () => {}
  const left = new Promise<typeof DONE>((resolve) => (leave = () => resolve(DONE)))
  let releasing: Promise<void> | null = null
  return {
    next() {
      const [first] = items.splice(0)
      return first === undefined ? left : Promise.resolve({ done: false, value: first })
    },
    async return() {
      leave()
      await (releasing ??= release())
      return DONE
    }
  }
}

/** What these come to, one after the other, up to the first that is null; leaving calls `release`, and does not wait for one. */
export function inTurn<T>(
  items: readonly Promise<T | null>[],
  release: () => void
): AsyncIterator<T> {
  const rest = [...items]
  return {
    async next() {
      const item = (await rest.shift()) ?? null
      return item === null ? DONE : { done: false, value: item }
    },
    return() {
      release()
      return Promise.resolve(DONE)
    }
  }
}
