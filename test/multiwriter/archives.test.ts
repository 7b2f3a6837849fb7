/** An archive counts once somebody has shown that the log's own writer signed it. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { resolveMembership, type CoreStanding } from '../../acl/index.ts'
import { signedPrefix } from '../../core/index.ts'
import { openArchiveCore } from '../../core/archive.ts'
import { Archives } from '../../multiwriter/members/archives.ts'
import { hashText, keyOf, verifier } from '../../multiwriter/members/credentials.ts'
import { openLogStore } from '../support/tree.ts'

test('what shows another history, or nothing, of what a seal names is refused', async () => {
  const [writer, reader] = [await openLogStore(1), await openLogStore(2)]
  const log = await writer.own('data')
  await log.append(['a', 'b', 'c'].map((block) => b4a.from(block)))
  const core = keyOf(log.key)
  const forged = { core, length: 2, treeHash: 'ab'.repeat(32) }
  const true2 = { core, length: 2, treeHash: keyOf(await log.treeHash(2)) }
  const prefix = (await signedPrefix(log, 1)) ?? b4a.alloc(0)
  for (const head of [forged, true2]) {
    const sealed: CoreStanding = {
      ...head,
      use: 'data',
      identity: core,
      device: core,
      role: 'writer',
      prefixes: null,
      endedBy: 'rank',
      continues: null
    }
    const nobody = resolveMembership([], { space: core, verify: verifier, hash: hashText })
    const archives = new Archives({
      spaceLogs: {
        stored: (log) => reader.remote(log),
        archive: (_, log, pin) => openArchiveCore(reader.corestore, pin, log, null)
      },
      logs: {
        membership: { ...nobody, cores: new Map([[core, sealed]]) },
        holds: () => false,
        headOf: () => null,
        provedFork: () => null,
        addBranch: () => Promise.resolve()
      },
      timers: { after: () => () => {}, elapsed: () => 0 }
    })
    await archives.settle()
    assert.is(await archives.shown(head, b4a.alloc(200)), false)
    assert.is(await archives.shown(head, prefix), head === true2)
    assert.is(archives.cores('data').length, 1)
    assert.is(archives.sourceOf(core), null, 'its blocks are not here yet')
    await archives.close()
  }
  await writer.close()
  await reader.close()
})

test.run()
