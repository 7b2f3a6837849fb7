/** Stores in temporary folders, for tests of what only a folder has. */
import { join } from 'node:path'
import { test } from 'uvu'
import { openStore, type StoreOptions } from '../../core/native/index.ts'
import type { DeviceStore } from '../../core/store.ts'
import { tempFolder } from './devices.ts'
import { numbered, SALT } from './store.ts'

/** Runs with the path of a store that is not there yet. */
export function inFolder(title: string, body: (store: string) => Promise<void>): void {
  test(title, () => withFolder(body))
}

export async function withFolder<T>(body: (store: string) => Promise<T>): Promise<T> {
  const folder = await tempFolder()
  try {
    return await body(join(folder.path, 'store'))
  } finally {
    await folder.remove()
  }
}

export async function withStore<T>(
  path: string,
  body: (store: DeviceStore) => Promise<T>,
  options: StoreOptions = {}
): Promise<T> {
  const store = await openStore(path, options)
  try {
    return await body(store)
  } finally {
    await store.close()
  }
}

/** Appends so many numbered puts, one by one, in a run of its own. */
export function appendTo(path: string, from: number, count: number): Promise<void> {
  return withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    for (let i = 0; i < count; i++) await log.append(numbered(from + i, 1))
  })
}

/** Why nothing may be appended to the data log, or null. */
export function suspicion(path: string): Promise<string | null> {
  return withStore(path, async (store) => {
    const { lost } = await store.ownLog('data', SALT, null)
    return lost ?? store.rolledBack
  })
}
