/** Trees of two histories of one log are compared by what stands in them, not by where. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TreeContext } from '../../core/tree/context.ts'
import { TreeDiff } from '../../core/tree/diff.ts'
import { TreeSnapshot } from '../../core/tree/snapshot.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { numbered, put } from '../support/store.ts'
import { openLogStore } from '../support/tree.ts'

async function compareHistories(isLeftInMemory: boolean): Promise<void> {
  const stores = [await openLogStore(5), await openLogStore(5)]
  const trees: TreeSnapshot[] = []
  for (const [i, store] of stores.entries()) {
    const core = await store.own('data')
    const writer = new TreeWriter(core)
    await writer.append(numbered(0, 400))
    const from = await writer.append(numbered(400, 20))
    await writer.append([put('00000007', `history ${i}`)])
    await writer.append([put(`only ${i}`)])
    const context = new TreeContext(core, { branch: i === 0 ? null : { from } })
    trees.push(new TreeSnapshot(context, core.length))
  }
  const [left, right] = trees
  if (left === undefined || right === undefined) return assert.unreachable()
  assert.is(left.length, right.length)
  if (isLeftInMemory) await left.get(b4a.from('00000007'))
  const diff = new TreeDiff(left, right)
  const changes = await diff.nextBatch(1000)
  diff.close()
  const told = changes.map(({ key, left: before, right: after }) =>
    [key, before?.value, after?.value].map((bytes) => (bytes ? b4a.toString(bytes) : null))
  )
  assert.equal(told, [
    ['00000007', 'history 0', 'history 1'],
    ['only 0', 'only 0', null],
    ['only 1', null, 'only 1']
  ])
  for (const store of stores) await store.close()
}

test('a difference of two histories of equal length has all that differs behind where they part', () =>
  compareHistories(false))

test('the keys of one history are not taken for those that stand at the same places in the other', () =>
  compareHistories(true))

test.run()
