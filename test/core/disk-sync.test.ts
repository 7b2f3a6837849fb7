/** Durability 'disk': a put resolves after an fdatasync of the log it was written to, and those who wait share one. */
import { open, readlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import Corestore from 'corestore'
import CorestoreStorage from 'hypercore-storage'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { DiskSync } from '../../core/native/disk-sync.ts'
import { until } from '../support/devices.ts'
import { appendTo, inFolder, withFolder, withStore } from '../support/folder.ts'
import { failure, keysOf, numbered, put, SALT } from '../support/store.ts'

/** Stands between Node's file handles and the disk while `body` runs. */
interface SlowDisk {
  /** The files that were synced, in order, or are being. */
  readonly synced: string[]
  /** While set, a sync waits for it, or fails with it. */
  gate: Promise<void> | null
}

async function withSlowDisk<T>(body: (disk: SlowDisk) => Promise<T>): Promise<T> {
  const probe = await open(import.meta.filename)
  const prototype = Object.getPrototypeOf(probe) as {
    datasync: (this: FileHandle) => Promise<void>
  }
  await probe.close()
  const disk: SlowDisk = { synced: [], gate: null }
  const { datasync } = prototype
  prototype.datasync = async function (this: FileHandle) {
    disk.synced.push(await readlink(`/proc/self/fd/${this.fd}`))
    await disk.gate
    await datasync.call(this)
  }
  try {
    return await body(disk)
  } finally {
    prototype.datasync = datasync
  }
}

interface Gate {
  readonly promise: Promise<void>
  readonly release: () => void
  readonly fail: (error: Error) => void
}

function gate(): Gate {
  let [release, fail]: [() => void, (error: Error) => void] = [() => {}, () => {}]
  const promise = new Promise<void>((resolve, reject) => ([release, fail] = [resolve, reject]))
  promise.catch(() => {}) // shown to those who wait at the gate
  return { promise, release, fail }
}

/** A DiskSync over the storage of a real store. */
async function withDiskSync(
  body: (sync: DiskSync, disk: SlowDisk, folder: string) => Promise<void>
): Promise<void> {
  await withFolder(async (path) => {
    const storage = new CorestoreStorage(join(path, 'logs'), { walRecoveryMode: 0 })
    const corestore = new Corestore(storage)
    await corestore.ready()
    try {
      await withSlowDisk((disk) =>
        body(new DiskSync(storage, join(path, 'logs', 'db')), disk, join(path, 'logs', 'db'))
      )
    } finally {
      await corestore.close()
    }
  })
}

/** What can be seen of it elsewhere is the promise only. */
const linux: typeof inFolder = process.platform === 'linux' ? inFolder : (title) => test.skip(title)

linux('a put waits for the fdatasync of the write-ahead log, and for nothing longer', (path) =>
  withSlowDisk((disk) =>
    withStore(
      path,
      async (store) => {
        const log = await store.ownLog('data', SALT, null)
        const { promise, release } = gate()
        disk.synced.length = 0
        disk.gate = promise
        let isAcknowledged = false
        const appending = log.append([put('a')]).then(() => (isAcknowledged = true))
        await until(() => disk.synced.length === 1)
        // In the log already, and readable: only the word of the disk is missing.
        assert.equal(await keysOf(log), ['a'])
        assert.not.ok(isAcknowledged)
        release()
        await appending
        assert.match(disk.synced[0] ?? '', /\/store\/logs\/db\/\d+\.log$/)
      },
      { durability: 'disk' }
    )
  )
)

linux('a record is on the disk before it is acknowledged, also where writes need not be', (path) =>
  withSlowDisk((disk) =>
    withStore(path, async (store) => {
      const log = await store.ownLog('acl', SALT, null)
      disk.synced.length = 0
      await log.append([put('a')])
      assert.is(disk.synced.length, 0)
      await log.appendBlock(new Uint8Array(1))
      assert.match(disk.synced[0] ?? '', /\/store\/logs\/db\/\d+\.log$/)
    })
  )
)

linux('close waits for a put that waits for the disk', (path) =>
  withSlowDisk((disk) =>
    withStore(
      path,
      async (store) => {
        const log = await store.ownLog('data', SALT, null)
        const { promise, release } = gate()
        disk.synced.length = 0
        disk.gate = promise
        const events: string[] = []
        const appending = log.append([put('a')]).then(() => events.push('acknowledged'))
        await until(() => disk.synced.length === 1)
        const closing = store.close().then(() => events.push('closed'))
        // A close that does not wait is done long before this.
        await until(() => events.length > 0, { timeout: 300 }).catch(() => {})
        release()
        await Promise.all([appending, closing])
        assert.equal(events, ['acknowledged', 'closed'])
      },
      { durability: 'disk' }
    )
  )
)

linux('every put has a sync of its own when they are issued one by one', (path) =>
  withSlowDisk((disk) =>
    withStore(
      path,
      async (store) => {
        const log = await store.ownLog('data', SALT, null)
        disk.synced.length = 0
        for (let i = 0; i < 5; i++) await log.append(numbered(i, 1))
        assert.is(disk.synced.length, 5)
      },
      { durability: 'disk' }
    )
  )
)

linux('logs that are appended to at the same time share syncs', (path) =>
  withSlowDisk((disk) =>
    withStore(
      path,
      async (store) => {
        const names = Array.from({ length: 20 }, (_, i) => `log ${i}`)
        const logs = await Promise.all(names.map((name) => store.ownLog(name, SALT, null)))
        const { promise, release } = gate()
        disk.synced.length = 0
        disk.gate = promise
        const appending = Promise.all(logs.map((log) => log.append([put('a')])))
        await until(() => logs.every((log) => log.core.length === 1))
        release()
        await appending
        assert.ok(disk.synced.length <= 3, `${disk.synced.length} syncs`)
      },
      { durability: 'disk' }
    )
  )
)

linux('durability os syncs no log', (path) =>
  withSlowDisk(async (disk) => {
    await appendTo(path, 0, 1)
    disk.synced.length = 0
    await appendTo(path, 1, 5)
    assert.equal(disk.synced, [])
  })
)

linux('a sync that fails acknowledges nothing, now and later', (path) =>
  withSlowDisk(async (disk) => {
    await withStore(
      path,
      async (store) => {
        const log = await store.ownLog('data', SALT, null)
        const { promise, fail } = gate()
        disk.gate = promise
        fail(new Error('EIO: i/o error, fdatasync'))
        const first = await failure('STORE_FAILED', () => log.append([put('a')]), {
          hasCause: true
        })
        // The kernel reports a failed write once: a later sync that works proves nothing.
        disk.gate = null
        const second = await failure('STORE_FAILED', () => log.append([put('b')]))
        assert.is(first, second)
      },
      { durability: 'disk' }
    )
    await appendTo(path, 0, 1)
  })
)

linux('what a sync that failed left in memory is not acknowledged when it is put again', (path) =>
  withSlowDisk(async (disk) => {
    const device = await openDevice({ storage: path, durability: 'disk' })
    const { db } = await device.createSpace()
    await db.put('a', { b: 1 })
    const failing = gate()
    failing.fail(new Error('The disk is gone'))
    disk.gate = failing.promise
    for (let i = 0; i < 2; i++) await failure('STORE_FAILED', () => db.put('a', { b: 2 }))
    await failure('STORE_FAILED', () => db.put('a', { b: 2 }, { cas: () => true }))
    disk.gate = null
    await device.close()
  })
)

test('sync: all who come while one runs share the next', () =>
  withDiskSync(async (sync, disk) => {
    const { promise, release } = gate()
    await sync.sync()
    disk.synced.length = 0
    disk.gate = promise
    const first = sync.sync()
    await until(() => disk.synced.length === 1)
    const others = Array.from({ length: 50 }, () => sync.sync())
    let areDone = false
    const all = Promise.all(others).then(() => (areDone = true))
    release()
    await first
    assert.not.ok(areDone, 'the running one began before they came')
    await all
    assert.is(disk.synced.length, 2)
  }))

test('sync: one that fails fails for those who shared it, and the next tries again', () =>
  withDiskSync(async (sync, disk) => {
    const { promise, fail } = gate()
    disk.gate = promise
    const first = sync.sync().then(
      () => 'done',
      () => 'failed'
    )
    await until(() => disk.synced.length > 0)
    const second = sync.sync()
    disk.gate = null
    fail(new Error('EIO'))
    assert.is(await first, 'failed')
    await second
  }))

/** A storage that says of itself what the current log is. */
function storageAt(current: () => string): CorestoreStorage {
  return { rocks: { currentWalFile: async () => ({ path: `/${current()}` }) } } as CorestoreStorage
}

test('sync: logs that were begun and left since the last sync are synced too', () =>
  withDiskSync(async (_, disk, folder) => {
    let current = '900001.log'
    const sync = new DiskSync(
      storageAt(() => current),
      folder
    )
    for (const name of ['900001.log', '900002.log', '900003.log']) {
      await (await open(join(folder, name), 'w')).close()
    }
    await sync.sync()
    disk.synced.length = 0
    current = '900003.log'
    await sync.sync()
    const names = disk.synced.map((path) => path.slice(-10))
    assert.equal(names, ['900001.log', '900002.log', '900003.log'])
    disk.synced.length = 0
    await sync.sync()
    assert.is(disk.synced.length, 1)
  }))

test('sync: a log that is not there is an error, unless a newer one took its place', () =>
  withDiskSync(async (_, _disk, folder) => {
    const missing = new DiskSync(
      storageAt(() => '900001.log'),
      folder
    )
    const outcome = await missing.sync().then(
      () => 'done',
      () => 'failed'
    )
    assert.is(outcome, 'failed')
    let asked = 900_000
    const replaced = new DiskSync(
      storageAt(() => `${++asked}.log`),
      folder
    )
    await replaced.sync()
  }))

test.run()
