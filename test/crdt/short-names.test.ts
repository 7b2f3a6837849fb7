import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { shortPath } from '../../crdt/short-names.ts'

function pathOf(name: string): readonly string[] | null {
  const bytes = b4a.from(`<${name}>`)
  return shortPath(bytes, 1, bytes.byteLength - 2)
}

test('short names: each has its own path, however many take each other’s places', () => {
  const names = Array.from({ length: 3000 }, (_, i) => `field${i * 7919}`)
  for (const name of [...names, ...names.reverse(), '', 'constructor', 'a'.repeat(24)]) {
    assert.equal(pathOf(name), [name])
  }
})

test('short names: one name has one path, which nobody can change', () => {
  const path = pathOf('phone')
  assert.is(pathOf('phone'), path)
  assert.ok(Object.isFrozen(path))
})

test('short names: what is long, of other letters or named __proto__ is left to be read with care', () => {
  for (const name of ['a'.repeat(25), 'ä', 'städte', '__proto__']) assert.is(pathOf(name), null)
})

test.run()
