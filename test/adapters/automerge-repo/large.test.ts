/** Large documents, and more than can wait. */
import type { PeerId } from '@automerge/automerge-repo'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../support/devices.ts'
import { end, inStep, lines, sites, type Notes } from '../../support/repos.ts'

test('a document of 5 MB goes from repo to repo, and through the space', async () => {
  const { site, close } = await sites()
  const a = await site('a')
  const bytes = new Uint8Array(5_000_000)
  for (let at = 0; at < bytes.byteLength; at += 50_000)
    crypto.getRandomValues(bytes.subarray(at, at + 50_000))
  const handle = a.repo.create<Notes>({ lines: ['large'], bytes })
  const b = await site('b')
  const found = await b.repo.find<Notes>(handle.url)
  await until(() => found.doc().bytes?.byteLength === bytes.byteLength, { timeout: 30_000 })
  assert.is(Buffer.compare(found.doc().bytes ?? new Uint8Array(), bytes), 0)
  await Promise.all([a, b].map(({ repo }) => repo.flush()))
  await inStep(a.space, b.space)
  await Promise.all([a, b].map(end))
  const again = await site('b', false)
  const stored = (await again.repo.find<Notes>(handle.url)).doc().bytes
  assert.is(Buffer.compare(stored ?? new Uint8Array(), bytes), 0)
  await end(again)
  await close()
})

test('an adapter that sends more than can wait begins anew, with everybody', async () => {
  const { site, close } = await sites()
  const [a, b] = [await site('a'), await site('b')]
  await until(() => a.repo.peers.length === 1 && b.repo.peers.length === 1)
  const events: string[] = []
  b.network.on('peer-disconnected', () => events.push('gone'))
  b.network.on('peer-candidate', () => events.push('there'))
  const data = new Uint8Array(60 * 1024 * 1024)
  const [senderId, targetId] = ['a-repo' as PeerId, 'b-repo' as PeerId]
  for (let i = 0; i < 5; i++) a.network.send({ type: 'of-no-repo', senderId, targetId, data })
  await until(() => events.length === 2)
  assert.equal(events, ['gone', 'there'])
  const handle = a.repo.create<Notes>({ lines: ['x'] })
  assert.equal(lines(await b.repo.find<Notes>(handle.url)), ['x'])
  await Promise.all([a, b].map(end))
  await close()
})

test.run()
