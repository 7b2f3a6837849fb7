/** When a device may append to its own logs, and goes on under new ones: the boot marker, the high-water file, copies. */
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeviceStore } from '../../core/store.ts'
import { clearBlocks } from '../../core/tree/clear-blocks.ts'
import { openOwnLogs, type OwnLogs } from '../../multiwriter/own-logs.ts'
import { Child } from '../support/child.ts'
import { until } from '../support/devices.ts'
import { appendTo, inFolder, suspicion, withStore } from '../support/folder.ts'
import { MemoryPipe } from '../support/memory-pipe.ts'
import { keysOf, numbered, put, SALT } from '../support/store.ts'

const SPACE = b4a.alloc(32, 1)

/** A store in one space, whose data log is the one that `SALT` gives. */
async function withSpace(path: string): Promise<void> {
  await withStore(path, (store) =>
    store.saveSecrets({
      ...store.secrets,
      spaces: [{ address: SPACE, membershipKey: SPACE, salt: SALT, later: [], epochs: [] }]
    })
  )
}

function logsOf(store: DeviceStore): Promise<OwnLogs> {
  const [secrets] = store.secrets.spaces
  assert.ok(secrets)
  return openOwnLogs({
    store,
    logs: { own: (use, salt) => store.ownLog(use, salt, null) },
    secrets: () => store.secrets.spaces[0] ?? secrets,
    succeed: (why) => store.succeed(SPACE, why)
  })
}

/** Writing goes on in a new log, in which it is then found, and the old one is never written again. @returns its key */
async function assertGoesOn(path: string, keys: number): Promise<string> {
  const written = await withStore(path, async (store) => {
    const old = await store.ownLog('data', SALT, null)
    const { length } = old.core
    const { data } = await logsOf(store)
    assert.type(store.rolledBack, 'string')
    assert.is((await keysOf(old)).length, keys)
    await data.append([put('x')])
    assert.is(old.core.length, length)
    return data.core.key
  })
  await withStore(path, async (store) => {
    const { data } = await logsOf(store)
    assert.is(store.rolledBack, null)
    assert.equal([data.core.key, await keysOf(data)], [written, ['x']])
  })
  return b4a.toString(written, 'hex')
}

const RUNNING = 'running'

/** As a crash leaves the store: everything written, nothing closed. */
async function crash(
  path: string,
  options: { durability?: string; from?: number } = {}
): Promise<void> {
  const child = new Child('store-process.ts', { folder: path, appends: 3, hold: true, ...options })
  await child.line('log')
  await child.line(`ack ${(options.from ?? 0) + 2}`)
  // The mark comes a moment after what it marks is acknowledged.
  await until(async () => (await readdir(path)).includes('high-water.json'))
  await child.kill()
}

/** As if the machine had been started again since. */
async function reboot(path: string): Promise<void> {
  const run = JSON.parse(await readFile(join(path, RUNNING), 'utf8')) as object
  await writeFile(join(path, RUNNING), JSON.stringify({ ...run, boot: 'another' }))
}

inFolder('marker: there while the store is open, gone after a clean close', async (path) => {
  await withStore(path, async () => assert.ok((await readdir(path)).includes(RUNNING)))
  assert.not.ok((await readdir(path)).includes(RUNNING))
})

inFolder(
  'marker: a process that died in this boot lost nothing, so writing goes on',
  async (path) => {
    await crash(path)
    assert.ok((await readdir(path)).includes(RUNNING))
    await appendTo(path, 3, 1)
    assert.not.ok((await readdir(path)).includes(RUNNING))
  }
)

inFolder(
  'marker: after another boot the old logs are never written again, and new ones are',
  async (path) => {
    await withSpace(path)
    await crash(path)
    await reboot(path)
    await assertGoesOn(path, 3)
  }
)

inFolder('marker: with durability disk another boot lost nothing', async (path) => {
  await crash(path, { durability: 'disk' })
  await reboot(path)
  await appendTo(path, 3, 1)
  assert.is(await suspicion(path), null)
})

inFolder('marker: what counts is how the last run wrote, not how this one will', async (path) => {
  await crash(path)
  await reboot(path)
  const rolledBack = await withStore(path, async (store) => store.rolledBack, {
    durability: 'disk'
  })
  assert.type(rolledBack, 'string')
  assert.is(await suspicion(path), null)
})

inFolder('marker: one that cannot be read is of another boot', async (path) => {
  await withSpace(path)
  await crash(path)
  const logs = new Set<string>()
  for (const text of ['', '{"bo', 'null', '[]', '{}']) {
    await writeFile(join(path, RUNNING), text)
    logs.add(await assertGoesOn(path, 3))
  }
  assert.is(logs.size, 5)
})

/** Puts an older state of the stack's files in place of the present one, inodes and times kept: a restored snapshot. */
async function restoreLogs(path: string, body: () => Promise<void>): Promise<void> {
  const db = join(path, 'logs', 'db')
  await cp(db, `${db}-old`, { recursive: true, preserveTimestamps: true })
  await body()
  await rm(db, { recursive: true })
  await rename(`${db}-old`, db)
}

inFolder(
  'high water: a log that came back shorter is never written again, and a new one is',
  async (path) => {
    await withSpace(path)
    await appendTo(path, 0, 3)
    await restoreLogs(path, () => appendTo(path, 3, 3))
    await assertGoesOn(path, 3)
    await withStore(path, async (store) => {
      const old = await store.ownLog('data', SALT, null)
      const refused = await old.append([put('y')]).catch((error: unknown) => error)
      assert.match(String(refused), /would fork the log/)
    })
  }
)

inFolder(
  'high water: the last append before a clean close is marked, also in a log closed before',
  async (path) => {
    await appendTo(path, 0, 1)
    await restoreLogs(path, () =>
      withStore(path, async (store) => {
        const log = await store.ownLog('data', SALT, null)
        for (let i = 1; i < 4; i++) await log.append(numbered(i, 1))
        await log.close()
      })
    )
    await withStore(path, async (store) => {
      const { lost } = await store.ownLog('data', SALT, null)
      assert.match(lost ?? '', 'has 1 blocks, but had 4')
    })
  }
)

inFolder('high water: every log is marked, not only the first that was written', async (path) => {
  await appendTo(path, 0, 1)
  await restoreLogs(path, () =>
    withStore(path, async (store) => {
      const logs = [await store.ownLog('data', SALT, null), await store.ownLog('other', SALT, null)]
      for (const log of logs) await log.append([put('x')])
    })
  )
  await withStore(path, async (store) => {
    const { lost } = await store.ownLog('other', SALT, null)
    assert.match(lost ?? '', 'has 0 blocks, but had 1')
  })
})

inFolder(
  'high water: a log with other contents of the same length is never written again',
  async (path) => {
    await withSpace(path)
    await appendTo(path, 0, 3)
    await restoreLogs(path, async () => {})
    const file = join(path, 'high-water.json')
    const marks = await readFile(file, 'utf8')
    await writeFile(
      file,
      marks
        .replace(/"treeHash": "./, '"treeHash": "x')
        .replace('"x', marks.includes('"treeHash": "0') ? '"1' : '"0')
    )
    await assertGoesOn(path, 3)
  }
)

inFolder('high water: a store that lost its whole log goes on under a new one', async (path) => {
  await withSpace(path)
  await crash(path)
  const db = join(path, 'logs', 'db')
  for (const name of await readdir(db)) if (name.endsWith('.log')) await rm(join(db, name))
  await assertGoesOn(path, 0)
})

inFolder(
  'high water: a tail whose length is known again but not its blocks is lost',
  async (path) => {
    await appendTo(path, 0, 3)
    const peer = await MemoryPipe.open()
    try {
      await restoreLogs(path, async () => {
        await appendTo(path, 3, 4)
        await withStore(path, async (store) => {
          await peer.receive((await store.ownLog('data', SALT, null)).core)
          peer.cut()
        })
      })
      // As somebody's log, so that nothing but its length comes.
      await withStore(path, async (store) => {
        const log = await store.ownLog('data', SALT, null)
        const { key } = log.core
        await log.close()
        const core = await store.remoteLog(key, null)
        await peer.offer(core, 7)
      })
      assert.match((await suspicion(path)) ?? '', 'lacks blocks')
    } finally {
      await peer.close()
    }
  }
)

inFolder('high water: a last block that is missing keeps no close waiting', async (path) => {
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    for (let i = 0; i < 3; i++) await log.append(numbered(i, 1))
    await log.core.clear(log.core.length - 1, log.core.length)
  })
  assert.match((await suspicion(path)) ?? '', 'lacks blocks')
})

inFolder('high water: a last block that was cleared keeps no opening waiting', async (path) => {
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    for (let i = 0; i < 3; i++) await log.append(numbered(i, 1))
    const { length } = log.core
    await log.beforeClear([{ start: length - 1, end: length }])
    await log.core.clear(length - 1, length)
  })
  assert.is(await suspicion(path), null)
})

inFolder(
  'high water: logs that are cleared at the same time are each known to lack it',
  async (path) => {
    const salts = [1, 2, 3].map((byte) => b4a.alloc(32, byte))
    await withStore(path, async (store) => {
      const logs = await Promise.all(salts.map((salt) => store.ownLog('data', salt, null)))
      await Promise.all(logs.map((log) => log.append(numbered(0, 1))))
      await Promise.all(logs.map((log) => log.append(numbered(1, 1))))
      await Promise.all(
        logs.map(async (log) => {
          await log.beforeClear([{ start: 0, end: 1 }])
          await clearBlocks(log.core, 0, 1)
        })
      )
    })
    await withStore(path, async (store) => {
      for (const salt of salts) await store.ownLog('data', salt, null)
      assert.is(store.rolledBack, null)
    })
  }
)

inFolder('a copy writes other logs than the original, and than another copy', async (path) => {
  await withSpace(path)
  await appendTo(path, 0, 3)
  const logs = new Set<string>()
  for (const copy of [`${path}-copy`, `${path}-other`]) {
    await cp(path, copy, { recursive: true, preserveTimestamps: true })
    logs.add(await assertGoesOn(copy, 3))
  }
  await cp(`${path}-copy`, `${path}-third`, { recursive: true, preserveTimestamps: true })
  logs.add(await assertGoesOn(`${path}-third`, 3))
  assert.is(logs.size, 3)
  await appendTo(path, 3, 1)
})

inFolder('a store that was renamed writes on', async (path) => {
  await appendTo(path, 0, 1)
  await rename(path, `${path}-renamed`)
  await appendTo(`${path}-renamed`, 1, 1)
})

test.run()
