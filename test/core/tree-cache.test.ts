/** The nodes in memory: what is used stays, what a write replaced goes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TreeNodePointer } from 'hyperbee2/lib/tree.js'
import { TreeCache } from '../../core/tree/cache.ts'

/** As much of a pointer as the cache looks at. */
function pointer(seq: number, offset = 0, retained = 0): TreeNodePointer {
  const fake = { seq, offset, retained, value: {}, unmark() {} }
  return fake as unknown as TreeNodePointer
}

test('cache: a node that is used twice is still found by its id', () => {
  const cache = new TreeCache(2)
  const node = pointer(1, 2)
  cache.bump(node)
  cache.bump(pointer(3))
  cache.bump(node)
  assert.is(cache.get(pointer(1, 2)), node)
})

test('cache: the node not used for longest goes first, and gives its memory back', () => {
  const cache = new TreeCache(2)
  const [one, two, three] = [pointer(1), pointer(2), pointer(3)]
  for (const each of [one, two, one, three]) cache.bump(each)
  cache.gc()
  assert.is(cache.get(pointer(2)), null)
  assert.is(two.value, null)
  assert.is(cache.get(pointer(1)), one)
  assert.is(cache.get(pointer(3)), three)
})

test('cache: what the running write has in hand stays until it ends', () => {
  const cache = new TreeCache(1)
  const held = pointer(1, 0, 1)
  cache.bump(held)
  cache.bump(pointer(2))
  cache.gc()
  assert.is(cache.get(pointer(1)), held)
  cache.flush()
  assert.is(cache.get(pointer(1)), null)
})

test('cache: a node that a write replaced makes room, and older trees can read it on', () => {
  const cache = new TreeCache(8)
  const old = pointer(1)
  cache.bump(old)
  cache.dirty.push(old)
  cache.dirty.pop()
  cache.bump(pointer(2))
  cache.flush()
  assert.is(cache.get(pointer(1)), null)
  assert.is.not(old.value, null)
  assert.is.not(cache.get(pointer(2)), null)
})

test('cache: who reads an older tree does not bring back what was replaced', () => {
  const cache = new TreeCache(8)
  const old = pointer(1)
  cache.bump(old)
  cache.dirty.push(old)
  cache.dirty.pop()
  cache.flush()
  cache.bump(old)
  assert.is(cache.get(pointer(1)), null)
})

test('cache: nodes of one block are told apart by their offsets', () => {
  const cache = new TreeCache(8)
  const [one, two] = [pointer(1, 0), pointer(1, 1)]
  cache.bump(one)
  cache.bump(two)
  assert.is(cache.get(pointer(1, 0)), one)
  assert.is(cache.get(pointer(1, 1)), two)
})

test.run()
