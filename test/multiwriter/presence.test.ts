import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeValue, type Value } from '../../crdt/index.ts'
import { isManyhandsError } from '../../errors.ts'
import type { PresenceChange } from '../../multiwriter/index.ts'
import {
  PresenceNet,
  repeated,
  said,
  sealerWith,
  sessionOf,
  signerOf,
  SimKeys,
  type SimDevice
} from '../support/presence.ts'

const HEARTBEAT = 10_000
const SILENCE = 30_000

function seen(device: SimDevice, topic = 't'): Record<string, Value> {
  return Object.fromEntries(device.hub.topic(topic).states())
}

function changesOf(device: SimDevice, topic = 't'): PresenceChange[] {
  const changes: PresenceChange[] = []
  device.hub.topic(topic).on('change', (change) => changes.push(change))
  return changes
}

function count(device: SimDevice, reason: string): number {
  const refused = device.hub.stats().refused.filter((each) => each.reason === reason)
  return refused.reduce((sum, each) => sum + each.count, 0)
}

function pair() {
  const net = new PresenceNet()
  const [a, b] = [net.add('a'), net.add('b')]
  return { net, a, b, link: net.connect(a, b) }
}

function chain() {
  const net = new PresenceNet()
  const [a, b, c] = [net.add('a'), net.add('b'), net.add('c')]
  const links = [net.connect(a, b), net.connect(b, c)] as const
  return { net, a, b, c, links }
}

function state(value: Value, topic = 't') {
  return { kind: 'state', topic, payload: encodeValue(value) } as const
}

test('what a device says, the others see, with an event for each change', () => {
  const { net, a, b } = pair()
  const changes = changesOf(b)
  const topic = a.hub.topic('t')
  for (const value of [{ name: 'Ann' }, { name: 'Ann', at: 3 }, null]) {
    topic.set(value)
    net.pass(100)
  }
  const [added, updated, removed] = changes
  assert.is(changes.length, 3)
  assert.equal(added, { added: [a.writer], updated: [], removed: [] })
  assert.equal(updated, { added: [], updated: [a.writer], removed: [] })
  assert.equal(removed, { added: [], updated: [], removed: [a.writer] })
  topic.set({ at: 4 })
  net.pass(100)
  assert.equal(seen(b), { [a.writer]: { at: 4 } })
  assert.equal(seen(a), {}, 'states are those of others')
  assert.equal(seen(b, 'other'), {})
})

test('devices that are connected through others only see each other', () => {
  const { net, a, b, c } = chain()
  a.hub.topic('t').set('from a')
  c.hub.topic('t').set('from c')
  net.pass(100)
  assert.equal(seen(c), { [a.writer]: 'from a' })
  assert.equal(seen(a), { [c.writer]: 'from c' })
  assert.equal(seen(b), { [a.writer]: 'from a', [c.writer]: 'from c' })
})

test('a message goes over each connection at most once each way, in circles too', () => {
  const net = new PresenceNet()
  const devices = ['a', 'b', 'c', 'd'].map((name) => net.add(name))
  devices.forEach((one, i) => devices.slice(i + 1).forEach((other) => net.connect(one, other)))
  net.settle()
  devices[0]?.hub.topic('t').set(1)
  const messages = net.settle()
  assert.ok(messages <= 12, `${messages} messages on 6 connections`)
  for (const device of devices.slice(1)) assert.is(Object.keys(seen(device)).length, 1)
})

test('a newcomer learns at once who is there, of devices beyond its peer too', () => {
  const { net, a, b, c } = chain()
  a.hub.topic('t').set('a')
  b.hub.topic('t').set('b')
  net.pass(5000)
  const late = net.add('late')
  net.connect(late, c)
  net.settle()
  assert.equal(seen(late), { [a.writer]: 'a', [b.writer]: 'b' })
})

test('of what is set faster than 20 times a second, the last is sent', () => {
  const { net, a, b } = pair()
  const changes = changesOf(b)
  for (let i = 0; i < 100; i++) {
    a.hub.topic('t').set(i)
    net.pass(10)
  }
  net.pass(100)
  assert.ok(changes.length >= 18 && changes.length <= 22, `${changes.length} in a second`)
  assert.equal(seen(b), { [a.writer]: 99 })
  assert.is(count(b, 'flood'), 0)
})

test('many topics take turns', () => {
  const { net, a, b } = pair()
  for (let round = 0; round < 30; round++) {
    for (let i = 0; i < 5; i++) a.hub.topic(`t${i}`).set(round)
    net.pass(50)
  }
  net.pass(300)
  for (let i = 0; i < 5; i++) assert.equal(seen(b, `t${i}`), { [a.writer]: 29 })
})

test('any number of topics can be listened to; what is said stands in 64 of them', () => {
  const { net, a, b } = pair()
  const topics = Array.from({ length: 1000 }, (_, i) => a.hub.topic(`t${i}`))
  for (const topic of topics.slice(0, 64)) topic.set('here')
  const isTooMuch = (error: unknown) => isManyhandsError(error, 'PRESENCE_TOO_LARGE')
  assert.throws(() => topics[64]?.set('here'), isTooMuch)
  topics[0]?.set(null)
  topics[64]?.set('here')
  net.pass(10_000)
  assert.equal(seen(b, 't0'), {})
  assert.equal(seen(b, 't63'), { [a.writer]: 'here' })
  assert.equal(seen(b, 't64'), { [a.writer]: 'here' })
})

test('what was said and taken back is told to those who are there, however much follows it', () => {
  const { net, a, b } = pair()
  const first = a.hub.topic('first')
  first.set('here')
  net.pass(100)
  a.hub.topic('second').set('here') // so that the next message has to wait
  first.close()
  for (let i = 0; i < 200; i++) {
    const topic = a.hub.topic(`t${i}`)
    topic.set('here')
    topic.close()
  }
  net.pass(1000)
  assert.equal(seen(b, 'first'), {})
})

test('a topic is named by any name of the database, and a prefix', () => {
  const { net, a, b } = pair()
  const name = `documents/${'€'.repeat(85)}`
  a.hub.topic(name).set('here')
  a.hub.topic('x'.repeat(512)).set('here')
  net.pass(200)
  assert.equal(seen(b, name), { [a.writer]: 'here' })
  assert.equal(seen(b, 'x'.repeat(512)), { [a.writer]: 'here' })
  assert.throws(() => a.hub.topic('x'.repeat(513)))
})

test('a device that says nothing sends nothing and sets no timer', () => {
  const { net, a, b } = pair()
  a.hub.topic('t')
  assert.is(net.pass(60_000), 0)
  assert.is(a.timers.pending + b.timers.pending, 0)
})

test('heartbeats keep quiet devices there', () => {
  const { net, a, b, c } = chain()
  a.hub.topic('t').set('still here')
  net.pass(100)
  const changes = changesOf(c)
  const messages = net.pass(10 * SILENCE)
  assert.is(changes.length, 0)
  assert.equal(seen(c), { [a.writer]: 'still here' })
  assert.ok(messages <= 2 * 31, `${messages} heartbeats over two connections`)
  assert.is(count(b, 'flood'), 0)
})

test('whoever is not heard of for 30 seconds is gone, and back with its next heartbeat', () => {
  const { net, a, b } = pair()
  a.hub.topic('t').set('x')
  net.pass(100)
  const changes = changesOf(b)
  net.pass(SILENCE - 1000, [b])
  assert.is(changes.length, 0)
  net.pass(2000, [b])
  assert.equal(changes, [{ added: [], updated: [], removed: [a.writer] }])
  assert.equal(seen(b), {})
  net.pass(HEARTBEAT, [a])
  assert.equal(seen(b), { [a.writer]: 'x' })
})

test('a connection that is cut takes with it whoever was heard over it only', () => {
  const { net, a, b, c, links } = chain()
  for (const device of [a, b, c]) device.hub.topic('t').set(1)
  net.pass(100)
  links[0].cut()
  assert.equal(seen(a), {}, 'b and c')
  assert.equal(Object.keys(seen(b)), [c.writer])
  net.settle()
  assert.equal(Object.keys(seen(c)), [b.writer], 'told by b that a is lost')
})

test('in a circle, whoever falls silent without a word is gone after one heartbeat', () => {
  const { net, a, b, c, links } = chain()
  const third = net.connect(a, c)
  a.hub.topic('t').set(1)
  net.pass(HEARTBEAT)
  links[0].cut()
  third.cut()
  net.pass(HEARTBEAT + 2100, [b, c])
  assert.equal([seen(b), seen(c)], [{}, {}])
})

test('one of two ways is cut: the device stays', () => {
  const { net, a, b, c, links } = chain()
  net.connect(a, c)
  a.hub.topic('t').set(1)
  net.pass(HEARTBEAT)
  const changes = changesOf(b)
  links[0].cut()
  net.pass(2 * SILENCE)
  assert.is(changes.length, 0)
  assert.equal(seen(b), { [a.writer]: 1 })
  assert.equal(seen(c), { [a.writer]: 1 })
})

test('whoever comes back is there again at once, with what it says now', () => {
  for (const away of [1000, 5 * SILENCE]) {
    const { net, a, b, link } = pair()
    a.hub.topic('t').set('before')
    a.hub.topic('same').set('same')
    a.hub.topic('gone').set('before')
    net.pass(100)
    link.cut()
    assert.equal(seen(b), {})
    a.hub.topic('t').set('after')
    a.hub.topic('gone').set(null)
    net.pass(away)
    net.connect(a, b)
    net.pass(100)
    assert.equal(seen(b), { [a.writer]: 'after' })
    assert.equal(seen(b, 'gone'), {})
    assert.equal(seen(b, 'same'), { [a.writer]: 'same' })
  }
})

test('a device beyond a connection that was cut for a moment is back at once', () => {
  const { net, a, c, b, links } = chain()
  a.hub.topic('t').set('x')
  net.pass(100)
  links[1].cut()
  assert.equal(seen(c), {})
  net.connect(b, c)
  net.settle()
  assert.equal(seen(c), { [a.writer]: 'x' })
})

test('who came while a device was away is told of it when it is back, through others too', () => {
  for (const away of [1000, 5 * SILENCE]) {
    const { net, a, b, link } = pair()
    a.hub.topic('t').set('x')
    a.hub.topic('other').set('y')
    net.pass(200)
    link.cut()
    const late = net.add('late')
    net.connect(late, b)
    net.pass(away)
    net.connect(a, b)
    net.pass(200)
    assert.equal(seen(b), { [a.writer]: 'x' })
    assert.equal(seen(late), { [a.writer]: 'x' }, `away for ${away} ms`)
    assert.equal(seen(late, 'other'), { [a.writer]: 'y' })
  }
})

test('a device that closes is gone everywhere at once, and no timer is left', () => {
  const { net, a, b, c } = chain()
  net.connect(a, c)
  for (const device of [a, b, c]) device.hub.topic('t').set(1)
  net.pass(HEARTBEAT)
  const topic = a.hub.topic('t')
  a.hub.close()
  a.hub.close()
  assert.is(a.timers.pending, 0)
  net.settle()
  assert.equal(Object.keys(seen(b)), [c.writer])
  assert.equal(Object.keys(seen(c)), [b.writer])
  assert.throws(
    () => a.hub.topic('t'),
    (error: unknown) => isManyhandsError(error, 'SPACE_CLOSED')
  )
  assert.throws(
    () => topic.set(1),
    (error: unknown) => isManyhandsError(error, 'TOPIC_CLOSED')
  )
  b.hub.close()
  c.hub.close()
  assert.is(b.timers.pending + c.timers.pending, 0)
})

test('closing a topic takes back what was said in it', () => {
  const { net, a, b } = pair()
  const topic = a.hub.topic('t')
  topic.set(1)
  net.pass(100)
  topic.close()
  topic.close()
  net.pass(100)
  assert.equal(seen(b), {})
  assert.is.not(a.hub.topic('t'), topic)
})

test('a member cannot speak in the name of another, nor use up what another may say', () => {
  const { net, a, b } = pair()
  const mallory = net.stranger(b)
  const forger = { ...signerOf('stranger'), publicKey: signerOf('a').publicKey }
  for (let i = 0; i < 1000; i++) {
    mallory.tell(said(forger, 1000 + i, state('forged'), { session: sessionOf(9999) }))
  }
  assert.is(count(b, 'forged'), 1000)
  assert.is(b.hub.stats().refused[0]?.from.length, 52, 'the sender is named')
  a.hub.topic('t').set('true')
  net.pass(100)
  assert.equal(seen(b), { [a.writer]: 'true' })
  assert.is(count(b, 'flood'), 0)
})

test('what was recorded of a device cannot be played again: not while it is there, nor when it has left, nor with less', () => {
  const { net, a, b, link } = pair()
  const changes = changesOf(b)
  const topic = a.hub.topic('t')
  for (const value of [1, 2, 3]) {
    topic.set(value)
    net.pass(HEARTBEAT)
  }
  const recorded = [...link.a.sent]
  const mallory = net.stranger(b)
  for (const bytes of recorded) mallory.tell(bytes)
  assert.is(changes.length, 3)
  a.hub.close()
  net.settle()
  assert.equal(seen(b), {})
  for (const bytes of [...recorded, ...link.a.sent]) mallory.tell(bytes)
  assert.equal(seen(b), {})
})

test('what was held back until its device had left is not heard any more', () => {
  const { net, b } = pair()
  const ann = signerOf('a')
  const mallory = net.stranger(b)
  mallory.tell(said(ann, 0, state('first')))
  mallory.tell(said(ann, 9, { kind: 'leave' }))
  mallory.tell(said(ann, 5, state('held back', 'other')))
  assert.is(b.hub.stats().heard, 2)
})

test('only who has passed on what a device said counts as a way to it', () => {
  const { net, b } = pair()
  const [ann, mallory] = [net.stranger(b, 'a'), net.stranger(b)]
  const real = said(signerOf('a'), 0, state(1))
  ann.tell(real)
  const forger = { ...signerOf('stranger'), publicKey: signerOf('a').publicKey }
  mallory.tell(said(forger, 0, state(1)))
  ann.leave()
  assert.equal(seen(b), {})
  mallory.tell(real)
  assert.is(Object.keys(seen(b)).length, 1)
})

test('nobody is told what was heard from itself', () => {
  const { net, b } = pair()
  const ann = net.stranger(b, 'a')
  ann.tell(said(signerOf('a'), 0, state(1)))
  ann.tell(b4a.from([0]))
  assert.is(ann.sent.length, 0)
  const bob = net.stranger(b)
  assert.is(bob.sent.length, 1)
})

test('what is played again after a device is gone shows it no longer than it would have been shown anyway', () => {
  const { net, a, b, link } = pair()
  a.hub.topic('t').set(1)
  net.pass(HEARTBEAT)
  const mallory = net.stranger(b)
  link.cut()
  assert.equal(seen(b), {})
  for (let second = 0; second < 40; second++) {
    for (const bytes of link.a.sent) mallory.tell(bytes)
    net.pass(1000, [b])
  }
  assert.equal(seen(b), {})
})

test('messages of an earlier session, and of another space, are refused', () => {
  const { net, b } = pair()
  const ann = signerOf('a')
  const mallory = net.stranger(b)
  mallory.tell(said(ann, 0, state('new'), { session: sessionOf(2000) }))
  mallory.tell(said(ann, 99, state('old'), { session: sessionOf(1000) }))
  assert.is(count(b, 'replayed'), 1)
  const elsewhere = sealerWith({ address: b4a.alloc(32, 9) })
  mallory.tell(said(ann, 99, state('elsewhere'), { session: sessionOf(3000), sealer: elsewhere }))
  assert.is(count(b, 'forged'), 1)
  const keyless = sealerWith({ membershipKey: b4a.alloc(32, 6) })
  mallory.tell(said(ann, 99, state('keyless'), { session: sessionOf(3000), sealer: keyless }))
  assert.is(count(b, 'malformed'), 1)
  assert.equal(Object.values(seen(b)), ['new'])
})

test('a device whose clock was set back learns that it was heard before, and is heard again', () => {
  const net = new PresenceNet()
  const b = net.add('b')
  const early = net.add('a', { now: 5_000_000 })
  const first = net.connect(early, b)
  early.hub.topic('t').set('first')
  net.pass(100)
  first.cut()
  const again = net.add('a', { now: 1000 })
  net.connect(again, b)
  again.hub.topic('t').set('second')
  net.pass(1000)
  assert.equal(seen(b), { [again.writer]: 'second' })
})

test('two copies of one store do not outdo each other for ever', () => {
  const net = new PresenceNet()
  const [b, one, two] = [net.add('b'), net.add('a', { now: 1000 }), net.add('a', { now: 2000 })]
  for (const copy of [one, two]) {
    net.connect(copy, b)
    copy.hub.topic('t').set(copy === one ? 1 : 2)
  }
  net.pass(1000)
  const messages = net.pass(60_000)
  assert.ok(messages < 500, `${messages} messages in a minute`)
})

test('what one device floods is dropped and counted, and costs the others nothing', () => {
  const { net, a, b } = pair()
  const ann = signerOf('loud')
  b.writers.add(ann.core)
  const mallory = net.stranger(b, 'loud')
  for (let i = 0; i < 1000; i++) mallory.tell(said(ann, i, state(i)))
  assert.ok(b.hub.stats().heard <= 130)
  assert.ok(count(b, 'flood') >= 870)
  assert.ok(b.refused.includes('flood'))
  a.hub.topic('t').set('calm')
  net.pass(1000)
  assert.is(seen(b)[a.writer], 'calm')
  mallory.tell(said(ann, 2000, state('later')))
  assert.ok(Object.values(seen(b)).includes('later'), 'after a second it may speak again')
})

test('a connection that floods is not listened to beyond its allowance', () => {
  const { net, b } = pair()
  const mallory = net.stranger(b)
  for (let i = 0; i < 6000; i++) mallory.tell(b4a.from([9]))
  assert.is(count(b, 'flood') + count(b, 'unsupported'), 6000)
  assert.ok(count(b, 'unsupported') <= 4100)
})

test('asking who is there again and again is not answered again and again', () => {
  const { net, a, b } = pair()
  a.hub.topic('t').set('x'.repeat(1000))
  net.pass(100)
  const mallory = net.stranger(b)
  for (let i = 0; i < 1000; i++) mallory.tell(b4a.from([0]))
  assert.ok(mallory.sent.length <= 40, `${mallory.sent.length} answers`)
})

test('what is too large, malformed or of a newer version is refused', () => {
  const { net, b } = pair()
  const ann = signerOf('a')
  const mallory = net.stranger(b)
  mallory.tell(said(ann, 0, { kind: 'state', topic: 't', payload: b4a.alloc(17_000) }))
  mallory.tell(said(ann, 1, { kind: 'state', topic: 't'.repeat(513), payload: encodeValue(1) }))
  assert.is(count(b, 'oversized') + count(b, 'malformed'), 2)
  mallory.tell(said(ann, 2, { kind: 'state', topic: '', payload: encodeValue(1) }))
  mallory.tell(said(ann, 3, { kind: 'state', topic: 't', payload: b4a.from([0xff]) }))
  mallory.tell(said(ann, 4, { kind: 'state', topic: 't', payload: encodeValue(null) }))
  assert.is(count(b, 'oversized') + count(b, 'malformed'), 5)
  mallory.tell(b4a.alloc(0))
  mallory.tell(b4a.from([2, 1]))
  mallory.tell(b4a.from([0, 0]))
  assert.is(count(b, 'oversized') + count(b, 'malformed'), 8)
  mallory.tell(b4a.from([77]))
  assert.is(count(b, 'unsupported'), 1)
  assert.equal(seen(b), {})
})

test('no bytes make a hub throw, or show anything that was not said', () => {
  const { net, a, b, link } = pair()
  a.hub.topic('t').set('true')
  net.pass(100)
  const mallory = net.stranger(b)
  const real = link.a.sent[0] ?? b4a.alloc(0)
  assert.ok(real.byteLength > 100)
  const mutated = fc.tuple(fc.nat(real.byteLength - 1), fc.integer({ min: 1, max: 255 }))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      if (bytes instanceof Uint8Array) return mallory.tell(bytes)
      const copy = b4a.from(real)
      copy[bytes[0]] = (copy[bytes[0]] ?? 0) ^ bytes[1]
      mallory.tell(copy)
    }),
    { numRuns: 500 }
  )
  assert.equal(seen(b), { [a.writer]: 'true' })
})

test('only writers whose logs count are heard and passed on, from when they count to when they are sealed', () => {
  const net = new PresenceNet()
  const [b, c] = [net.add('b'), net.add('c')]
  net.connect(b, c)
  const a = net.add('a', { knows: false })
  a.writers.add(b.core)
  net.connect(a, b)
  a.hub.topic('t').set('x')
  net.pass(100)
  assert.equal(seen(b), {})
  assert.ok(count(b, 'unknown-writer') > 0)
  c.writers.add(a.core)
  net.pass(200)
  assert.equal(seen(c), {}, 'b passes on nobody that it does not know')
  b.writers.add(a.core)
  net.pass(200)
  assert.equal(seen(b), { [a.writer]: 'x' })
  assert.equal(seen(c), { [a.writer]: 'x' })
  b.writers.seal(a.core, 0)
  assert.equal(seen(b), {})
})

test('a peer that is slow to take gets what holds last, and costs no queue', () => {
  const { net, a, b, link } = pair()
  link.a.isFull = true
  for (let i = 0; i < 40; i++) {
    a.hub.topic('t').set(i)
    net.pass(60)
  }
  assert.is(link.a.sent.length, 1)
  link.a.isFull = false
  a.hub.drained(link.a)
  net.settle()
  assert.equal(seen(b), { [a.writer]: 39 })
  assert.ok(link.a.sent.length <= 3)
})

test('what others may make us keep is bounded: withdrawn topics go first, then the oldest, and that is counted', () => {
  const { net, b } = pair()
  const ann = signerOf('a')
  const mallory = net.stranger(b)
  mallory.tell(said(ann, 0, state('kept', 'kept')))
  mallory.tell(said(ann, 1, { kind: 'state', topic: 'withdrawn', payload: null }))
  for (let i = 0; i < 63; i++) mallory.tell(said(ann, 2 + i, state(i, `topic ${i}`)))
  assert.is(b.hub.stats().evicted, 1)
  assert.is(Object.keys(seen(b, 'kept')).length, 1)
  mallory.tell(said(ann, 99, state('one more', 'one more')))
  assert.is(b.hub.stats().evicted, 2)
  assert.is(Object.keys(seen(b, 'kept')).length, 0)
  mallory.tell(said(ann, 0, state('kept', 'kept')))
  assert.is(b.hub.stats().evicted, 2, 'what was dropped does not come back by being said again')
  net.pass(10_000)
  for (let i = 0; i < 12; i++)
    mallory.tell(said(ann, 100 + i, state('x'.repeat(16_000), `big ${i}`)))
  assert.ok(b.hub.stats().evicted >= 6)
})

test('no more than 256 devices are kept; those that are gone make room first', () => {
  const net = new PresenceNet()
  const b = net.add('b')
  const mallory = net.stranger(b)
  for (let i = 0; i < 260; i++) {
    const one = signerOf(`device ${i}`)
    b.writers.add(one.core)
    mallory.tell(said(one, 0, state(i)))
    if (i === 100) mallory.tell(said(one, 1, { kind: 'leave' }))
  }
  assert.is(Object.keys(seen(b)).length, 256)
  assert.is(b.hub.stats().evicted, 4)
  assert.is(b.hub.stats().devices, 256)
})

test('what cannot be said is an error at once, and nothing is said', () => {
  const { net, a, b } = pair()
  const topic = a.hub.topic('t')
  topic.set('before')
  const is =
    (code: 'PRESENCE_TOO_LARGE' | 'VALUE_INVALID' | 'INVALID_ARGUMENT') => (error: unknown) =>
      isManyhandsError(error, code)
  assert.throws(() => topic.set('x'.repeat(17_000)), is('PRESENCE_TOO_LARGE'))
  assert.throws(() => topic.set(NaN), is('VALUE_INVALID'))
  // @ts-expect-error: nothing is said by null
  assert.throws(() => topic.set(undefined), is('VALUE_INVALID'))
  for (const name of ['', 'x'.repeat(513), '\ud800', 7, null]) {
    // @ts-expect-error: some are no strings
    assert.throws(() => a.hub.topic(name), is('INVALID_ARGUMENT'))
  }
  for (let i = 0; i < 7; i++) a.hub.topic(`topic ${i}`).set('x'.repeat(16_000))
  assert.throws(() => {
    for (let i = 7; i < 9; i++) a.hub.topic(`topic ${i}`).set('x'.repeat(16_000))
  }, is('PRESENCE_TOO_LARGE'))
  net.pass(5000)
  assert.equal(seen(b), { [a.writer]: 'before' })
  assert.is(topic.value, 'before')
})

test('who has no key passes on what others say, checks whose it is and whether it is new, and shows nothing of it', () => {
  const net = new PresenceNet()
  const [a, mirror, c] = [net.add('a'), net.add('mirror', { keys: new SimKeys() }), net.add('c')]
  net.connect(a, mirror)
  net.connect(mirror, c)
  for (const value of ['first', 'last']) {
    a.hub.topic('t').set(value)
    net.pass(HEARTBEAT)
  }
  assert.equal(seen(c), { [a.writer]: 'last' })
  assert.equal(seen(mirror), {})
  assert.is(mirror.hub.stats().sealed, 1, 'one topic')
  const mallory = net.stranger(mirror)
  const forger = { ...signerOf('stranger'), publicKey: signerOf('a').publicKey }
  mallory.tell(said(forger, 1000, state('forged'), { session: sessionOf(9999) }))
  mallory.tell(said(signerOf('a'), 0, state('old'), { session: sessionOf(1) }))
  assert.is(count(mirror, 'forged'), 1)
  assert.is(count(mirror, 'replayed'), 1)
  const late = net.add('late')
  net.connect(late, mirror)
  net.settle()
  assert.equal(seen(late), { [a.writer]: 'last' }, 'told of by the mirror, who could not read it')
  a.hub.topic('t').set(null)
  net.pass(100)
  assert.equal([seen(c), seen(late)], [{}, {}])
  a.hub.close()
  net.settle()
  assert.is(mirror.hub.stats().sealed, 0)
})

test('who has no key keeps no more of others than who reads them', () => {
  const net = new PresenceNet()
  const mirror = net.add('mirror', { keys: new SimKeys() })
  const ann = signerOf('a')
  mirror.writers.add(ann.core)
  const mallory = net.stranger(mirror)
  for (let i = 0; i < 70; i++) mallory.tell(said(ann, i, state(i, `topic ${i}`)))
  assert.is(mirror.hub.stats().sealed, 64)
  assert.is(mirror.hub.stats().evicted, 6)
  net.pass(HEARTBEAT)
  for (let i = 0; i < 70; i++) {
    const large = state('x'.repeat(16_000), `topic ${i}`)
    mallory.tell(said(ann, 100 + i, large))
  }
  assert.ok(mirror.hub.stats().sealed <= 10, `${mirror.hub.stats().sealed} of 16 kB are kept`)
})

test('what was said under a key that is not here shows when the key comes', () => {
  const net = new PresenceNet()
  const [a, b] = [net.add('a', { keys: new SimKeys(5, 6) }), net.add('b')]
  net.connect(a, b)
  const changes = changesOf(b)
  a.hub.topic('t').set('sealed')
  a.hub.topic('other').set('sealed')
  net.pass(HEARTBEAT)
  assert.equal([seen(b), changes], [{}, []])
  b.keys.add(6)
  assert.equal(seen(b), { [a.writer]: 'sealed' })
  assert.equal(changes, [{ added: [a.writer], updated: [], removed: [] }])
  assert.is(b.hub.stats().sealed, 0)
})

test('what is to be said waits for a key, and costs no timer meanwhile', () => {
  const net = new PresenceNet()
  const [a, b] = [net.add('a', { keys: new SimKeys() }), net.add('b')]
  net.connect(a, b)
  a.hub.topic('t').set(1)
  a.hub.topic('t').set(2)
  assert.is(net.pass(HEARTBEAT), 0)
  assert.is(a.timers.pending, 0)
  a.keys.add(5)
  net.settle()
  assert.equal(seen(b), { [a.writer]: 2 })
  a.hub.close()
  b.hub.close()
  assert.is(a.timers.pending + b.timers.pending, 0)
})

test('what is sealed under a key of the epoch and does not read is refused, also when the key comes later', () => {
  const net = new PresenceNet()
  const [early, late] = [net.add('early'), net.add('late', { keys: new SimKeys() })]
  const ann = signerOf('a')
  for (const device of [early, late]) {
    device.writers.add(ann.core)
    const mallory = net.stranger(device)
    mallory.tell(said(ann, 0, { kind: 'state', topic: 't', payload: b4a.from([0xff]) }))
  }
  assert.equal([count(early, 'malformed'), count(late, 'malformed')], [1, 0])
  late.keys.add(5)
  late.keys.add(6)
  assert.is(count(late, 'malformed'), 1, 'once')
  assert.equal(seen(late), {})
})

test('nobody says as its own what it cannot read', () => {
  const { net, a, b, link } = pair()
  a.hub.topic('t').set('by a')
  net.pass(100)
  const [bob, mallory] = [signerOf('bob'), net.stranger(b, 'bob')]
  b.writers.add(bob.core)
  const message = sealerWith().open((link.a.sent[0] ?? b4a.alloc(0)).subarray(1))
  if (typeof message === 'string') return assert.unreachable()
  mallory.tell(repeated(message.saying, bob))
  assert.is(count(b, 'malformed'), 1)
  assert.equal(seen(b), { [a.writer]: 'by a' })
})

test('of one topic under two numbers, what was said last counts', () => {
  const { net, b } = pair()
  const ann = signerOf('a')
  const mallory = net.stranger(b, 'a')
  mallory.tell(said(ann, 5, { ...state('last'), slot: 1 }))
  mallory.tell(said(ann, 4, { ...state('first'), slot: 2 }))
  assert.equal(Object.values(seen(b)), ['last'])
  mallory.tell(said(ann, 6, { kind: 'state', topic: 't', payload: null, slot: 3 }))
  assert.equal(seen(b), {})
})

test('whoever only carries the bytes reads nothing in them', () => {
  const { net, a, link } = pair()
  a.hub.topic('documents/secret').set({ name: 'Ann Example' })
  net.pass(100)
  const wire = b4a.toString(b4a.concat(link.a.sent), 'latin1')
  assert.ok(wire.length > 100)
  for (const text of ['documents', 'secret', 'Ann', 'name']) assert.is(wire.indexOf(text), -1)
  assert.is(wire.indexOf(b4a.toString(signerOf('a').publicKey, 'latin1')), -1)
})

test.run()
