/** What an append asks of the store, and what is known again when the store is opened. */
import { once } from 'node:events'
import Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { OwnLog } from '../../core/store.ts'
import { inFolder, withStore } from '../support/folder.ts'
import { put, SALT } from '../support/store.ts'

/** Counts what is written to the disk for a log. */
function countWrites({ core }: OwnLog): { readonly count: number } {
  const { storage } = core.core.state
  const write = storage.write.bind(storage)
  const writes = { count: 0 }
  storage.write = () => {
    writes.count++
    return write()
  }
  return writes
}

inFolder(
  'an append is one write, and a reopened log is known to be here without a gap',
  async (path) => {
    await withStore(path, async (store) => {
      const log = await store.ownLog('data', SALT, null)
      const writes = countWrites(log)
      for (let i = 0; i < 5; i++) await log.append([put(`key ${i}`)])
      assert.is(writes.count, 5)
    })
    await withStore(path, async (store) => {
      const { core } = await store.ownLog('data', SALT, null)
      assert.is(core.length, 5)
      assert.is(core.contiguousLength, 5)
    })
  }
)

inFolder('what others were known to have is known again when the store is opened', async (path) => {
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    await log.append([put('a')])
    await withStore(`${path}-peer`, async (peer) => {
      const copy = await peer.remoteLog(log.core.key, null)
      const [one, other] = [streamOf(true), streamOf(false)]
      one.pipe(other).pipe(one)
      log.core.replicate(one)
      copy.replicate(other)
      const grown = once(log.core, 'remote-contiguous-length')
      await copy.get(0)
      await grown
      one.destroy()
      other.destroy()
    })
    await log.append([put('b')])
    await log.append([put('c')])
  })
  await withStore(path, async (store) => {
    const { core } = await store.ownLog('data', SALT, null)
    assert.is(core.contiguousLength, 3)
    assert.is(core.remoteContiguousLength, 1)
  })
})

inFolder('what a peer tells while an append is under way is stored with it', async (path) => {
  await withStore(path, async (store) => {
    const log = await store.ownLog('data', SALT, null)
    await log.append([put('a')])
    const { core } = log.core
    const { storage } = core.state
    const write = storage.write.bind(storage)
    let isFirst = true
    storage.write = () => {
      const batch = write()
      const flush = batch.flush.bind(batch)
      batch.flush = async () => {
        if (isFirst) core.updateRemoteContiguousLength(1)
        isFirst = false
        return flush()
      }
      return batch
    }
    await log.append([put('b')])
    assert.not(isFirst)
  })
  await withStore(path, async (store) => {
    const { core } = await store.ownLog('data', SALT, null)
    assert.is(core.remoteContiguousLength, 1)
  })
})

function streamOf(isInitiator: boolean) {
  return Hypercore.createProtocolStream(isInitiator)
}

test.run()
