/** What the package shows: its entries' names, and every error's text. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as api from '../index.ts'
import * as clock from '../clock/index.ts'
import * as core from '../core/index.ts'
import * as crdt from '../crdt/index.ts'
import { checkOptions, ERROR_CODES, invalid, isManyhandsError, ManyhandsError } from '../errors.ts'
import * as multiwriter from '../multiwriter/index.ts'
import { rejectsWith } from './support/rejects.ts'

const names = (entry: object) => Object.keys(entry).sort()

test('manyhands: exports these names, so that a change of the surface is a choice', () => {
  assert.equal(names(api), [
    'MAX_KEY_BYTES',
    'ManyhandsError',
    'MemoryNetwork',
    'explanationToText',
    'isManyhandsError',
    'openDevice',
    'openIndexStore',
    'openMultiBee',
    'readShare',
    'stampToText',
    'swarm'
  ])
})

test('manyhands/multiwriter: exports these names', () => {
  assert.equal(names(multiwriter), [
    'Device',
    'MAX_KEY_BYTES',
    'MultiBee',
    'PortHost',
    'SharedNetwork',
    'Space',
    'WriterList',
    'epochCrypto',
    'explanationToText',
    'iterate',
    'localPort',
    'mergeSorted',
    'openMultiBee',
    'readShare',
    'remotePort'
  ])
})

test('every entry of the package exports something, and nothing by default', () => {
  for (const entry of [api, clock, core, crdt, multiwriter]) {
    assert.ok(names(entry).length > 0)
    assert.not.ok(names(entry).includes('default'))
  }
})

test('an error has a name, a code, a next step and its cause', () => {
  const cause = new Error('below')
  const error = new ManyhandsError('STORE_FULL', 'The disk is full', { cause })
  assert.is(error.name, 'ManyhandsError')
  assert.is(error.code, 'STORE_FULL')
  assert.is(error.cause, cause)
  assert.ok(error instanceof Error)
  assert.ok(isManyhandsError(error))
  assert.ok(isManyhandsError(error, 'STORE_FULL'))
  assert.not.ok(isManyhandsError(error, 'STORE_LOCKED'))
  for (const other of [cause, null, 'STORE_FULL', { code: 'STORE_FULL' }]) {
    assert.not.ok(isManyhandsError(other))
  }
})

test('every code has a next step that reads as a sentence', () => {
  for (const code of ERROR_CODES) {
    const { next } = new ManyhandsError(code, 'x')
    assert.match(next, /^[A-Z].{15,}[.]$/s, `${code}: ${next}`)
    assert.match(code, /^[A-Z]+(_[A-Z]+)+$/)
  }
})

test('a message names the argument, what was expected and what came, whatever came', async () => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const cases: [unknown, string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [1n, '1'],
    ['text', '"text"'],
    ['x'.repeat(50), `"${'x'.repeat(40)}…"`],
    [Symbol('s'), 'Symbol(s)'],
    [() => 1, 'a function'],
    [[1], 'an array'],
    [{}, 'an object'],
    [new Uint8Array(1), 'an object (Uint8Array)'],
    [revoked.proxy, 'an object']
  ]
  for (const [got, shown] of cases) {
    const error = await rejectsWith('INVALID_ARGUMENT', () => invalid('thing', 'a thing', got))
    assert.is(error.message, `"thing" expected a thing, got ${shown}`)
  }
})

test('options: an unknown one is named with those that are known', async () => {
  const error = await rejectsWith('INVALID_ARGUMENT', () =>
    checkOptions('openSpace', { nmae: 'x' }, ['name', 'sparse'])
  )
  assert.is(error.message, 'openSpace has no option "nmae"; known are name, sparse')
  checkOptions('openSpace', { name: 'x' }, ['name', 'sparse'])
  checkOptions('openSpace', Object.create(null), ['name'])
})

test.run()
