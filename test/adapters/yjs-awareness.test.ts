import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { bindAwareness, type AwarenessBinding } from '../../adapters/yjs/awareness.ts'
import { encodeValue, type Value } from '../../crdt/index.ts'
import { PresenceNet, said, signerOf, type SimDevice } from '../support/presence.ts'

interface Editor {
  readonly device: SimDevice
  readonly awareness: Awareness
  readonly binding: AwarenessBinding
  readonly id: number
}

function editor(net: PresenceNet, name: string): Editor {
  const device = net.add(name)
  const awareness = new Awareness(new Y.Doc())
  const binding = bindAwareness(awareness, device.hub.topic('doc'))
  return { device, awareness, binding, id: awareness.clientID }
}

function close(...editors: readonly Editor[]): void {
  for (const { device, awareness } of editors) {
    awareness.destroy()
    device.hub.close()
  }
}

function pair() {
  const net = new PresenceNet()
  const [a, b] = [editor(net, 'a'), editor(net, 'b')]
  const link = net.connect(a.device, b.device)
  net.pass(200)
  return { net, a, b, link }
}

/** What a member says by hand in the name of a device of its own. */
function mallory(net: PresenceNet, to: Editor) {
  const signer = signerOf('mallory')
  to.device.writers.add(signer.core)
  const stranger = net.stranger(to.device, 'mallory')
  let seq = 0
  return (value: Value) => {
    const payload = value === null ? null : encodeValue(value)
    stranger.tell(said(signer, seq++, { kind: 'state', topic: 'doc', payload }))
  }
}

function refusals({ binding }: Editor): string {
  return binding.refused.map(({ reason, count }) => `${reason} ${count}`).join()
}

test('cursors and names of each are shown to the other, with the binding as origin', () => {
  const { net, a, b } = pair()
  const origins: unknown[] = []
  b.awareness.on('change', (_: unknown, origin: unknown) => origins.push(origin))
  a.awareness.setLocalStateField('user', { name: 'Ann' })
  b.awareness.setLocalStateField('user', { name: 'Bob' })
  net.pass(200)
  assert.equal(b.awareness.getStates().get(a.id), { user: { name: 'Ann' } })
  assert.equal(a.awareness.getStates().get(b.id), { user: { name: 'Bob' } })
  a.awareness.setLocalStateField('cursor', 7)
  net.pass(200)
  assert.equal(b.awareness.getStates().get(a.id), { user: { name: 'Ann' }, cursor: 7 })
  assert.equal(new Set(origins), new Set([b.binding, 'local']))
  a.awareness.setLocalState(null)
  net.pass(200)
  assert.not(b.awareness.getStates().has(a.id))
  close(a, b)
})

test('states are removed on disconnect and come back on reconnect, though nobody said anything new', () => {
  const { net, a, b, link } = pair()
  a.awareness.setLocalState({ name: 'Ann' })
  net.pass(200)
  link.cut()
  assert.not(b.awareness.getStates().has(a.id))
  net.pass(60_000)
  net.connect(a.device, b.device)
  net.pass(200)
  assert.equal(b.awareness.getStates().get(a.id), { name: 'Ann' })
  close(a, b)
})

test('a state that is only renewed is renewed there, so that the awareness does not time it out', () => {
  const { net, a, b } = pair()
  a.awareness.setLocalState({ name: 'Ann' })
  net.pass(200)
  const before = b.awareness.meta.get(a.id)?.clock ?? 0
  a.awareness.setLocalState(a.awareness.getLocalState())
  net.pass(200)
  assert.is(b.awareness.meta.get(a.id)?.clock, before + 1)
  close(a, b)
})

test('a device shows the pages it serves as well, each under its own id', () => {
  const { net, a, b } = pair()
  a.awareness.states.set(77, { page: 1 })
  a.awareness.meta.set(77, { clock: 3, lastUpdated: Date.now() })
  a.awareness.emit('update', [{ added: [77], updated: [], removed: [] }, 'a page'])
  net.pass(200)
  assert.equal(b.awareness.getStates().get(77), { page: 1 })
  a.awareness.states.delete(77)
  a.awareness.emit('update', [{ added: [], updated: [], removed: [77] }, 'a page'])
  net.pass(200)
  assert.not(b.awareness.getStates().has(77))
  assert.ok(b.awareness.getStates().has(a.id))
  close(a, b)
})

test('no device can take the client id of another, nor ours, nor remove their states', () => {
  const { net, a, b } = pair()
  a.awareness.setLocalState({ name: 'Ann' })
  b.awareness.setLocalState({ name: 'Bob' })
  net.pass(200)
  const tell = mallory(net, b)
  tell({ [a.id]: [99, '{"name":"forged"}'], [b.id]: [99, '{"name":"forged"}'], 5: [1, '{}'] })
  assert.equal(b.awareness.getStates().get(a.id), { name: 'Ann' })
  assert.equal(b.awareness.getStates().get(b.id), { name: 'Bob' })
  assert.equal(b.awareness.getStates().get(5), {}, 'its own is shown')
  assert.is(refusals(b), 'taken 2')
  tell(null)
  assert.equal(new Set(b.awareness.getStates().keys()), new Set([a.id, b.id]))
  a.awareness.setLocalState(null)
  net.pass(200)
  tell({ [a.id]: [100, '{"name":"forged"}'] })
  assert.not(b.awareness.getStates().has(a.id), 'an id stays its owner’s')
  close(a, b)
})

test('an id that another announced before a page of ours uses it is ours', () => {
  const { net, a, b } = pair()
  const tell = mallory(net, b)
  tell({ 77: [1, '{"name":"squatter"}'] })
  assert.ok(b.awareness.getStates().has(77))
  b.awareness.states.set(77, { page: 1 })
  b.awareness.emit('update', [{ added: [], updated: [77], removed: [] }, 'a page'])
  tell({ 77: [2, '{"name":"squatter"}'] })
  assert.equal(b.awareness.getStates().get(77), { page: 1 })
  assert.is(refusals(b), 'taken 1')
  net.pass(200)
  assert.equal(a.awareness.getStates().get(77), { page: 1 })
  close(a, b)
})

test('what no binding said is refused and counted, and the last good states stay', () => {
  const { net, a, b } = pair()
  const tell = mallory(net, b)
  tell({ 5: [1, '{"name":"M"}'] })
  const bad: Value[] = [
    1,
    'x',
    [],
    { x: [1, '{}'] },
    { '05': [1, '{}'] },
    { '-1': [1, '{}'] },
    { 5: [1] },
    { 5: ['1', '{}'] },
    { 5: [1, 'no json'] },
    { 5: [1, 'null'] },
    { 5: [1, '[]'] },
    { '9007199254740993': [1, '{}'] }
  ]
  for (const value of bad) tell(value)
  assert.is(refusals(b), `malformed ${bad.length - 1}`, 'an empty list says nothing')
  tell({ 6: [1, '{"__proto__":{"polluted":1}}'] })
  assert.is(Object.hasOwn(Object.prototype, 'polluted'), false)
  close(a, b)
})

test('endless client ids are bounded, and forgotten by the awareness too', () => {
  const { net, a, b } = pair()
  const tell = mallory(net, b)
  for (let round = 0; round < 10; round++) {
    const ids = Array.from({ length: 100 }, (_, i) => 1000 * (round + 1) + i)
    tell(Object.fromEntries(ids.map((id) => [String(id), [1, '{}']])))
    net.pass(100)
  }
  assert.is(refusals(b), 'too-many 10')
  assert.ok(b.awareness.meta.size <= 258 + 64, `${b.awareness.meta.size} ids`)
  assert.is(b.awareness.getStates().size, 64 + 2)
  close(a, b)
})

test('a state that is too large is not said, and counted; the former one stays', () => {
  const { net, a, b } = pair()
  a.awareness.setLocalState({ name: 'Ann' })
  net.pass(200)
  a.awareness.setLocalState({ name: 'x'.repeat(20_000) })
  net.pass(200)
  assert.equal(b.awareness.getStates().get(a.id), { name: 'Ann' })
  assert.is(refusals(a), 'too-large 1')
  close(a, b)
})

test('the binding ends with the awareness, with the space, and by itself: what it showed is gone, twice does no harm', () => {
  for (const how of ['binding', 'awareness', 'space'] as const) {
    const { net, a, b } = pair()
    a.awareness.setLocalState({ name: 'Ann' })
    b.awareness.setLocalState({ name: 'Bob' })
    net.pass(200)
    if (how === 'binding') a.binding.destroy()
    if (how === 'awareness') a.awareness.destroy()
    if (how === 'space') a.device.hub.close()
    a.binding.destroy()
    net.pass(200)
    assert.not(a.awareness.getStates().has(b.id))
    assert.not(b.awareness.getStates().has(a.id))
    a.awareness.setLocalState({ name: 'nobody listens' })
    net.pass(200)
    assert.not(b.awareness.getStates().has(a.id))
    close(a, b)
  }
})

test.run()
