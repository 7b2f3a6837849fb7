/**
 * The contract of DeviceStore, for every door: a folder today, a browser's storage later. It knows nothing of where a store
 * lives; what only a folder has (a lock, files, boots) is tested in test/core.
 */
import b4a from 'b4a'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeviceStore, SpaceRecord } from '../../core/store.ts'
import { MemoryPipe } from '../support/memory-pipe.ts'
import { failure, keysOf, numbered, put, SALT } from '../support/store.ts'

export interface StorageUnderTest {
  /** Opens one and the same store, again and again; never twice at once. */
  open(): Promise<DeviceStore>
  /** Removes it. */
  remove(): Promise<void>
}

const RECORD: SpaceRecord = {
  address: b4a.alloc(32, 1),
  name: 'Family',
  open: true,
  sparse: false,
  encrypted: false,
  writers: [b4a.alloc(32, 2), b4a.alloc(32, 3)],
  acl: [b4a.alloc(32, 6)]
}

const SPACE_SECRETS = {
  address: b4a.alloc(32, 1),
  membershipKey: b4a.alloc(32, 4),
  salt: b4a.alloc(32, 5),
  later: [b4a.alloc(32, 6)],
  epochs: [b4a.alloc(32, 7)]
}

/** @param make a place where no store is yet */
export function testStorage(name: string, make: () => Promise<StorageUnderTest>): void {
  const test = suite(`storage contract: ${name}`)

  /** One law, on a new store. */
  function law(title: string, body: (open: () => Promise<DeviceStore>) => Promise<void>): void {
    test(title, async () => {
      const storage = await make()
      const opened: DeviceStore[] = []
      try {
        await body(async () => {
          const store = await storage.open()
          opened.push(store)
          return store
        })
      } finally {
        for (const store of opened) await store.close()
        await storage.remove()
      }
    })
  }

  law('a new store has a key of its own, no spaces, and may be written', async (open) => {
    const store = await open()
    assert.is(store.keyPair.publicKey.length, 32)
    assert.is(store.secrets.seed.length, 32)
    assert.is.not(b4a.toString(store.secrets.seed, 'hex'), '00'.repeat(32))
    assert.equal([store.secrets.spaces, store.spaces, store.rolledBack], [[], [], null])
  })

  law('keys, secrets and spaces are the same after reopening', async (open) => {
    const first = await open()
    await first.saveSecrets({ ...first.secrets, spaces: [SPACE_SECRETS] })
    await first.saveSpaces([RECORD])
    assert.equal([first.secrets.spaces, first.spaces], [[SPACE_SECRETS], [RECORD]])
    await first.close()

    const again = await open()
    assert.equal(plain(again.keyPair.publicKey), plain(first.keyPair.publicKey))
    assert.equal(plain(again.secrets.seed), plain(first.secrets.seed))
    assert.equal(again.secrets.spaces.map(fields), [fields(SPACE_SECRETS)])
    assert.equal(again.spaces.map(fields), [fields(RECORD)])
  })

  law('saves issued together are done one after the other: the last stands', async (open) => {
    const first = await open()
    const names = Array.from({ length: 20 }, (_, i) => `space ${i}`)
    const saves = names.map((spaceName) => first.saveSpaces([{ ...RECORD, name: spaceName }]))
    await Promise.all(saves)
    await first.close()
    assert.equal(
      (await open()).spaces.map((space) => space.name),
      ['space 19']
    )
  })

  law('what was appended is there after reopening, and appending goes on', async (open) => {
    const first = await open()
    const log = await first.ownLog('data', SALT, null)
    assert.is(log.core.length, 0)
    assert.is(await log.append([put('b'), put('a')]), log.core.length)
    await log.append([put('c')])
    const { length, fork, key } = log.core
    await first.close()

    const again = await (await open()).ownLog('data', SALT, null)
    assert.equal([again.core.length, again.core.fork], [length, fork])
    assert.equal(plain(again.core.key), plain(key))
    await again.append([put('d')])
    assert.equal(await keysOf(again), ['a', 'b', 'c', 'd'])
  })

  law('a log closed and opened again in one run is the same log', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    await log.append([put('a')])
    await log.close()
    const again = await store.ownLog('data', SALT, null)
    await again.append([put('b')])
    assert.equal(await keysOf(again), ['a', 'b'])
  })

  law('purpose and salt name a log: other ones are other logs', async (open) => {
    const store = await open()
    const logs = [
      await store.ownLog('data', SALT, null),
      await store.ownLog('acl', SALT, null),
      await store.ownLog('data', b4a.alloc(32, 8), null)
    ]
    assert.is(new Set(logs.map((log) => plain(log.core.key))).size, 3)
    await Promise.all(logs.map((log, i) => log.append([put(`log ${i}`)])))
    for (const [i, log] of logs.entries()) assert.equal(await keysOf(log), [`log ${i}`])
  })

  law('a batch is one append, however large', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    let appends = 0
    log.core.on('append', () => appends++)
    await log.append(numbered(0, 2000))
    assert.is(appends, 1)
    assert.is((await keysOf(log)).length, 2000)
  })

  law('a closed log refuses to append, and the others go on', async (open) => {
    const store = await open()
    const [one, other] = [
      await store.ownLog('one', SALT, null),
      await store.ownLog('other', SALT, null)
    ]
    await one.close()
    await one.close()
    await failure('BEE_CLOSED', () => one.append([put('a')]))
    await other.append([put('b')])
    assert.equal(await keysOf(other), ['b'])
  })

  law('a log closed while it appends finishes the append', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    const appending = log.append([put('a')])
    await log.close()
    await appending
    assert.equal(await keysOf(await store.ownLog('data', SALT, null)), ['a'])
  })

  law('somebody else’s log can be read, and not be written', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    await log.append([put('a')])
    const core = await store.remoteLog(log.core.key, null)
    assert.is(core.length, log.core.length)
    const stranger = await store.remoteLog(b4a.alloc(32, 9), null)
    assert.is(stranger.length, 0)
    const outcome = stranger.append(b4a.from('x')).then(
      () => 'appended',
      () => 'refused'
    )
    assert.is(await outcome, 'refused')
    await core.close()
    await log.append([put('b')])
  })

  law('no log follows a truncation, asked for or not', async (open) => {
    const store = await open()
    const core = await store.remoteLog(b4a.alloc(32, 9), null)
    assert.is(core.core.replicator.allowFork, false)
  })

  law('close is idempotent, whatever runs meanwhile', async (open) => {
    const store = await open()
    await Promise.all([store.close(), store.close(), store[Symbol.asyncDispose]()])
    await store.close()
    const again = await open()
    await again[Symbol.asyncDispose]()
    await again.close()
  })

  law('`await using` closes it', async (open) => {
    const store = await open()
    await store[Symbol.asyncDispose]()
    await failure('DEVICE_CLOSED', () => store.ownLog('data', SALT, null))
  })

  law('after close every method rejects with DEVICE_CLOSED, and nothing was done', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    await store.close()
    const calls = [
      () => store.ownLog('data', SALT, null),
      () => store.remoteLog(b4a.alloc(32, 9), null),
      () => store.checkLog(log),
      () => store.bytes(),
      () => store.compact(),
      () => store.saveSpaces([RECORD]),
      () => store.saveName('late'),
      () => store.clearLog(b4a.alloc(32, 9)),
      () => store.dropIndex(b4a.alloc(32, 9)),
      async () => store.backup({ passphrase: null }),
      () => store.saveSecrets({ ...store.secrets, spaces: [SPACE_SECRETS] }),
      () => log.append([put('late')])
    ]
    for (const call of calls) await failure('DEVICE_CLOSED', call)
    await log.close()

    const again = await open()
    assert.equal([again.spaces, again.secrets.spaces], [[], []])
    assert.equal(await keysOf(await again.ownLog('data', SALT, null)), [])
  })

  law('compacting keeps everything, and wins back what was cleared', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    for (let i = 0; i < 4; i++) await log.append(numbered(500 * i, 500, 500))
    await store.compact()
    const full = await store.bytes()
    assert.equal((await keysOf(log)).length, 2000)
    assert.is(await store.checkLog(log), null)
    await log.core.clear(0, log.core.length - 1)
    await store.compact()
    assert.ok((await store.bytes()) < full / 4, `${await store.bytes()} of ${full}`)
  })

  law('close waits for what was issued before it', async (open) => {
    const first = await open()
    const log = await first.ownLog('data', SALT, null)
    const issued = [log.append(numbered(0, 500)), first.saveSpaces([RECORD])]
    await first.close()
    await Promise.all(issued)

    const again = await open()
    assert.is(again.spaces.length, 1)
    assert.is(again.rolledBack, null)
    assert.is((await keysOf(await again.ownLog('data', SALT, null))).length, 500)
  })

  law('a name is kept, and what is cleared is gone but can come again', async (open) => {
    const store = await open()
    assert.is(store.name, null)
    await store.saveName('Laptop')
    const log = await store.ownLog('data', SALT, null)
    await log.append(numbered(0, 10))
    const { key } = log.core
    await log.close()
    await store.clearLog(key)
    const core = await store.remoteLog(key, null)
    assert.not(await core.has(0))
    await core.close()
    await store.dropIndex(RECORD.address) // there is none
    await store.close()
    const again = await open()
    assert.is(again.name, 'Laptop')
    assert.is(again.rolledBack, null)
  })

  law('opening a log while the store closes gives the log or DEVICE_CLOSED', async (open) => {
    const store = await open()
    const opening = store.ownLog('data', SALT, null).then(
      () => 'opened',
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error)
    )
    await store.close()
    assert.ok(['opened', 'DEVICE_CLOSED'].includes(String(await opening)))
  })

  law('a log reaches another store by replication, byte for byte', async (open) => {
    const store = await open()
    const log = await store.ownLog('data', SALT, null)
    await log.append(numbered(0, 300))
    const pipe = await MemoryPipe.open()
    try {
      const copy = await pipe.receive(log.core)
      assert.is(copy.length, log.core.length)
      assert.equal(plain(await copy.treeHash()), plain(await log.core.treeHash()))
    } finally {
      await pipe.close()
    }
  })

  test.run()
}

function plain(bytes: Uint8Array): string {
  return b4a.toString(bytes, 'hex')
}

/** Comparable, whatever kind of byte array a door returns. */
function fields(record: object): string {
  return JSON.stringify(record, (_, value: unknown) =>
    value instanceof Uint8Array
      ? plain(value)
      : isJsonBuffer(value)
        ? plain(b4a.from(value.data))
        : value
  )
}

/** Node's Buffer turns itself into this before the replacer sees it. */
function isJsonBuffer(value: unknown): value is { readonly data: number[] } {
  return typeof value === 'object' && value !== null && 'data' in value && 'type' in value
}
