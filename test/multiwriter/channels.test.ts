import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Channel } from '../../multiwriter/index.ts'
import {
  encodeFrame,
  MAX_MESSAGE_BYTES,
  parseFrame,
  PIECE_BYTES,
  WINDOW,
  type ChannelFrame
} from '../../multiwriter/channels/message.ts'
import { ChannelNet, channelDevice } from '../support/channels.ts'
import { rejectsWith } from '../support/rejects.ts'

function pair() {
  const net = new ChannelNet()
  const [a, b] = [channelDevice(1), channelDevice(2)]
  return { net, a, b, link: net.connect(a, b) }
}

/** Everything that a channel tells, as text: messages by their length and first byte. */
function logOf(channel: Channel): string[] {
  const log: string[] = []
  channel.on('join', (peer) => log.push(`join ${peer.slice(0, 2)}`))
  channel.on('leave', (peer) => log.push(`leave ${peer.slice(0, 2)}`))
  channel.on('message', (bytes) => log.push(`${bytes.byteLength}:${bytes[0] ?? ''}`))
  channel.on('close', () => log.push('close'))
  return log
}

const filled = (bytes: number, with_ = 7) => new Uint8Array(bytes).fill(with_)

const whole = filled(PIECE_BYTES)

test('devices that both have a channel meet in it, whoever opened it first, and say who sent what', async () => {
  const { net, a, b } = pair()
  const one = a.hub.channel('chat')
  const log = logOf(one)
  await net.settle()
  assert.equal(one.peers(), [], 'the other has not opened it')
  const other = b.hub.channel('chat')
  const otherLog = logOf(other)
  assert.equal(other.peers(), [a.id], 'known already')
  await net.settle()
  assert.equal(one.peers(), [b.id])
  let from = ''
  other.on('message', (_, peer) => (from = peer))
  await one.send(b.id, filled(3))
  await net.settle()
  assert.is(from, a.id)
  other.close()
  await net.settle()
  assert.equal(log, [`join ${b.id.slice(0, 2)}`, `leave ${b.id.slice(0, 2)}`])
  assert.equal(otherLog, ['3:7', 'close'])
})

test('messages of any size arrive whole and in their order, empty ones too', async () => {
  const { net, a, b } = pair()
  const one = a.hub.channel('c')
  const log = logOf(b.hub.channel('c'))
  await net.settle()
  const sizes = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * 1024 * 1024, 2]
  const sent = sizes.map((size, i) => one.send(b.id, filled(size, i)))
  await net.settle()
  await Promise.all(sent)
  const expected = sizes.map((size, i) => `${size}:${size === 0 ? '' : i}`)
  assert.equal(log.slice(1), expected)
  assert.equal([a.refused, b.refused], [[], []])
})

test('channels are apart, and a small message does not wait for a large one in another', async () => {
  const { net, a, b, link } = pair()
  const order: string[] = []
  for (const name of ['large', 'small']) {
    b.hub.channel(name).on('message', (bytes) => order.push(`${name} ${bytes.byteLength}`))
  }
  await net.settle()
  const [large, small] = [a.hub.channel('large'), a.hub.channel('small')]
  await net.settle()
  link.a.isHeld = true
  void large.send(b.id, filled(50 * PIECE_BYTES))
  void small.send(b.id, filled(10))
  for (let i = 0; i < 60; i++) {
    a.hub.drained(link.a)
    await net.settle()
  }
  assert.equal(order, ['small 10', `large ${50 * PIECE_BYTES}`])
})

test('what is sent waits while the connection takes no more, and goes on when it does', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  const log = logOf(b.hub.channel('c'))
  await net.settle()
  link.a.isHeld = true
  const before = link.a.sent
  let isSent = false
  const sent = one.send(b.id, filled(3 * PIECE_BYTES)).then(() => (isSent = true))
  await net.settle()
  assert.is(link.a.sent, before + 1, 'one piece, then it was full')
  assert.is(isSent, false)
  for (let i = 0; i < 2; i++) a.hub.drained(link.a)
  await net.settle()
  await sent
  assert.equal(log.slice(-1), [`${3 * PIECE_BYTES}:7`])
})

test('no more is under way than the other side allows, whatever the connection takes', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  b.hub.channel('c')
  await net.settle()
  const before = link.a.sent
  const sent = one.send(b.id, filled(2 * WINDOW * PIECE_BYTES))
  while (a.timers.step(a.timers.elapsed()));
  assert.is(link.a.sent, before + WINDOW, 'nothing was delivered yet')
  await net.settle()
  await sent
  assert.is(link.a.sent, before + 2 * WINDOW)
})

test('whoever sends tiny messages without end is slowed down, and loses none', async () => {
  const { net, a, b } = pair()
  const one = a.hub.channel('c')
  const other = b.hub.channel('c')
  await net.settle()
  let count = 0
  other.on('message', () => count++)
  const sent = Promise.all(Array.from({ length: 20_000 }, () => one.send(b.id, filled(1))))
  await net.settle()
  assert.ok(count < 12_000, `${count} without time passing`)
  for (let i = 0; i < 100 && count < 20_000; i++) {
    while (b.timers.step(b.timers.elapsed() + 100));
    await net.settle()
  }
  await sent
  assert.is(count, 20_000)
  assert.equal([a.refused, b.refused], [[], []])
})

test('a connection that is cut in the middle of a message loses it, and the next begins anew', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  const log = logOf(b.hub.channel('c'))
  await net.settle()
  link.a.isHeld = true
  const lost = rejectsWith('CHANNEL_PEER_GONE', () => one.send(b.id, filled(3 * PIECE_BYTES, 1)))
  net.step()
  link.cut()
  await lost
  await rejectsWith('CHANNEL_PEER_GONE', () => one.send(b.id, filled(1)))
  net.connect(a, b)
  await net.settle()
  await one.send(b.id, filled(2, 2))
  await net.settle()
  const [join, leave] = [`join ${a.id.slice(0, 2)}`, `leave ${a.id.slice(0, 2)}`]
  assert.equal(log, [join, leave, join, '2:2'])
})

test('a channel that is closed while it sends loses what is left, and opened again it begins anew', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  const log = logOf(b.hub.channel('c'))
  await net.settle()
  link.a.isHeld = true
  const lost = rejectsWith('CHANNEL_CLOSED', () => one.send(b.id, filled(3 * PIECE_BYTES, 1)))
  one.close()
  await lost
  await rejectsWith('CHANNEL_CLOSED', () => one.send(b.id, filled(1)))
  link.a.isHeld = false
  a.hub.drained(link.a)
  const again = a.hub.channel('c')
  assert.is.not(again, one)
  await net.settle()
  await again.send(b.id, filled(2, 2))
  await net.settle()
  assert.is(log.at(-1), '2:2')
  assert.equal([a.refused, b.refused], [[], []])
})

test('what is on its way to a channel that was closed and opened again meets nobody', async () => {
  const { net, a, b } = pair()
  const one = a.hub.channel('c')
  const other = b.hub.channel('c')
  await net.settle()
  const sent = one.send(b.id, filled(3, 1))
  other.close()
  const log = logOf(b.hub.channel('c'))
  await sent
  await net.settle()
  await one.send(b.id, filled(3, 2))
  await net.settle()
  assert.equal(log, ['3:2'])
  assert.equal([a.refused, b.refused], [[], []])
})

test('a device over two connections is one peer, and losing one of them begins anew', async () => {
  const { net, a, b, link } = pair()
  const second = net.connect(a, b)
  const one = a.hub.channel('c')
  const log = logOf(one)
  b.hub.channel('c')
  await net.settle()
  assert.equal(one.peers(), [b.id])
  link.cut()
  await net.settle()
  const name = b.id.slice(0, 2)
  assert.equal(log, [`join ${name}`, `leave ${name}`, `join ${name}`])
  await one.send(b.id, filled(1))
  second.cut()
  assert.equal(one.peers(), [])
})

test('too much is refused: a message above the bound, more waiting than memory is for, too many channels', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  b.hub.channel('c')
  await net.settle()
  link.a.isHeld = true
  await rejectsWith('MESSAGE_TOO_LARGE', () =>
    one.send(b.id, new Uint8Array(MAX_MESSAGE_BYTES + 1))
  )
  const largest = new Uint8Array(MAX_MESSAGE_BYTES)
  const waiting = Promise.allSettled([1, 2, 3].map(() => one.send(b.id, largest)))
  await rejectsWith('CHANNEL_FULL', () => one.send(b.id, largest))
  link.cut()
  assert.equal(
    (await waiting).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected']
  )
  for (let i = 0; i < 255; i++) a.hub.channel(`n${i}`)
  await rejectsWith('INVALID_ARGUMENT', () => a.hub.channel('one more'))
  for (const name of ['', 'x'.repeat(256), '\ud800', 5]) {
    await rejectsWith('INVALID_ARGUMENT', () => a.hub.channel(name as string))
  }
})

/** What no honest device says, each with the reason it is refused for. */
const HOSTILE: Record<string, readonly (Uint8Array | ChannelFrame)[]> = {
  'malformed: nothing': [b4a.alloc(0)],
  'malformed: an opening without a name': [b4a.from([0, 1])],
  'malformed: an empty name': [b4a.from([0, 1, 0])],
  'malformed: a name that is no text': [b4a.from([0, 1, 1, 0xff])],
  'malformed: a name too long': [b4a.concat([b4a.from([0, 1, 0xfd, 0, 1]), filled(256, 65)])],
  'malformed: something behind it': [b4a.from([1, 1, 1])],
  'malformed: the same name twice': [
    { type: 'open', id: 1, name: 'c' },
    { type: 'open', id: 2, name: 'c' }
  ],
  'malformed: the same number twice': [
    { type: 'open', id: 1, name: 'c' },
    { type: 'open', id: 1, name: 'd' }
  ],
  'malformed: closing what was not open': [{ type: 'close', id: 5 }],
  'malformed: more than all': [
    { type: 'open', id: 1, name: 'c' },
    { type: 'more', id: 1, count: 1 }
  ],
  'malformed: more for nothing': [{ type: 'more', id: 9, count: 1 }],
  'malformed: a message without the channel': [
    { type: 'piece', to: 0, isLast: true, bytes: filled(1) }
  ],
  'malformed: a part that is not full': [
    { type: 'open', id: 1, name: 'c' },
    { type: 'piece', to: 0, isLast: false, bytes: filled(1) }
  ],
  'malformed: a piece too large': [
    { type: 'open', id: 1, name: 'c' },
    { type: 'piece', to: 0, isLast: true, bytes: filled(PIECE_BYTES + 1) }
  ],
  'unsupported: a frame of a newer version': [b4a.from([99, 1, 2])]
}

for (const [name, frames] of Object.entries(HOSTILE)) {
  test(`hostile, ${name}: refused, counted, and the others are not disturbed`, async () => {
    const { net, a, b } = pair()
    const one = a.hub.channel('c')
    const log = logOf(one)
    const other = b.hub.channel('c')
    await net.settle()
    const stranger = net.stranger(a)
    stranger.tell(...frames)
    assert.equal(a.refused, [name.split(':')[0]])
    assert.is(log.filter((each) => each.includes(':')).length, 0)
    assert.equal(one.peers(), [b.id])
    await other.send(a.id, filled(4))
    await net.settle()
    assert.is(log.at(-1), '4:7')
  })
}

test('hostile: whoever was refused is heard no more on this connection, but is on the next', () => {
  const net = new ChannelNet()
  const a = channelDevice(1)
  const one = a.hub.channel('c')
  const first = net.stranger(a)
  first.tell({ type: 'close', id: 5 }, { type: 'open', id: 1, name: 'c' })
  assert.equal(one.peers(), [])
  first.leave()
  const second = net.stranger(a)
  second.tell({ type: 'open', id: 1, name: 'c' })
  assert.equal(one.peers(), [second.id])
})

test('hostile: more pieces than were allowed, and a message without an end, hold no memory', () => {
  const net = new ChannelNet()
  const a = channelDevice(1)
  a.hub.channel('c')
  const stranger = net.stranger(a)
  stranger.tell({ type: 'open', id: 1, name: 'c' })
  const part = { type: 'piece', to: 0, isLast: false, bytes: whole } as const
  for (let i = 0; i <= MAX_MESSAGE_BYTES / PIECE_BYTES; i++) stranger.tell(part)
  assert.equal(a.refused, ['oversized'])

  const b = channelDevice(2)
  b.hub.channel('c')
  const flooder = net.stranger(b)
  flooder.tell({ type: 'open', id: 1, name: 'c' })
  const tiny = { type: 'piece', to: 0, isLast: true, bytes: filled(1) } as const
  for (let i = 0; i < 50_000; i++) flooder.tell(tiny)
  assert.equal(b.refused, ['flood'], 'its window was not opened again: the allowance ran out')
})

test('hostile: opening and closing, or speaking to closed channels, without end is a flood', () => {
  const net = new ChannelNet()
  for (const frames of [
    (i: number) => [{ type: 'open', id: i, name: 'x' } as const, { type: 'close', id: i } as const],
    () => [{ type: 'piece', to: 77, isLast: true, bytes: filled(1) } as const],
    () => [b4a.from([99])]
  ]) {
    const a = channelDevice(1)
    const stranger = net.stranger(a)
    for (let i = 0; i < 10_000; i++) stranger.tell(...frames(i))
    assert.is(a.refused.at(-1), 'flood')
    assert.is(a.refused.filter((reason) => reason === 'flood').length, 1)
  }
})

test('hostile: random bytes never throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (frames) => {
      const net = new ChannelNet()
      const a = channelDevice(1)
      a.hub.channel('c')
      net.stranger(a).tell(...frames)
    })
  )
})

test('a frame reads back as it was written', () => {
  const id = fc.maxSafeNat()
  const frame = fc.oneof(
    fc.record({
      type: fc.constant('open' as const),
      id,
      name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 })
    }),
    fc.record({ type: fc.constant('close' as const), id }),
    fc.record({
      type: fc.constant('piece' as const),
      to: id,
      isLast: fc.constant(true),
      bytes: fc.uint8Array({ maxLength: 100 })
    }),
    fc.record({
      type: fc.constant('more' as const),
      id,
      count: fc.integer({ min: 1, max: WINDOW })
    })
  )
  fc.assert(
    fc.property(frame, (each) => {
      const parsed = parseFrame(encodeFrame(each))
      assert.ok(typeof parsed === 'object')
      assert.equal(
        'bytes' in parsed ? { ...parsed, bytes: new Uint8Array(parsed.bytes) } : parsed,
        { ...each }
      )
    })
  )
})

test('closing the space closes its channels, ends what is being sent, and leaves no timer', async () => {
  const { net, a, b, link } = pair()
  const one = a.hub.channel('c')
  const log = logOf(one)
  b.hub.channel('c')
  await net.settle()
  link.a.isHeld = true
  const lost = rejectsWith('CHANNEL_CLOSED', () => one.send(b.id, filled(3 * PIECE_BYTES)))
  a.hub.close()
  a.hub.close()
  await lost
  assert.is(log.at(-1), 'close')
  await rejectsWith('SPACE_CLOSED', () => a.hub.channel('c'))
  assert.is(a.timers.pending, 0)
})

test.run()
