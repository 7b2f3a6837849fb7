/** Spaces and devices: making, finding and joining them, who is in, and ending in any order. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isManyhandsError } from '../../errors.ts'
import { MemoryNetwork, openDevice, type OpenDeviceOptions } from '../../index.ts'
import type { Device, MultiBee, Space } from '../../multiwriter/index.ts'
import { decodeTicket, encodeTicket } from '../../multiwriter/ticket.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
const fresh = (options: Omit<OpenDeviceOptions, 'storage'> = {}) =>
  openDevice({ storage: join(folder.path, `device-${count++}`), ...options })

test.after(() => folder.remove())

/** Runs with a device of its own, which is closed at the end. */
async function withDevice(run: (device: Device) => Promise<void>): Promise<void> {
  const device = await fresh()
  try {
    await run(device)
  } finally {
    await device.close()
  }
}

test('createSpace: a space has an address, a name, a ticket and one writer', () =>
  withDevice(async (device) => {
    const space = await device.createSpace({ name: 'Family' })
    assert.is(space.name, 'Family')
    assert.is(space.isOpen, false)
    assert.match(space.address, /^[a-z0-9]{52}$/)
    assert.match(space.ticket, /^mh1[a-z0-9]{162}$/)
    assert.equal(space.writers(), [{ writer: space.writer, isOwn: true, length: 0 }])
    assert.equal(space.peers(), [])
    assert.equal(space.refusals(), [])
    assert.is(space.clockRepair, null)
    assert.is(space.db.writable, true)
    assert.is(device.rolledBack, null)
  }))

test('createSpace: each is another one, with a log of its own', () =>
  withDevice(async (device) => {
    const spaces = await Promise.all(Array.from({ length: 5 }, () => device.createSpace()))
    assert.is(new Set(spaces.map(({ address }) => address)).size, 5)
    assert.is(new Set(spaces.map(({ writer }) => writer)).size, 5)
    await Promise.all(spaces.map(({ db }, i) => db.put('k', i)))
    for (const [i, { db }] of spaces.entries()) assert.is((await db.get('k'))?.value, i)
    assert.equal(
      device
        .spaces()
        .map(({ address }) => address)
        .sort(),
      spaces.map(({ address }) => address).sort()
    )
  }))

test('openSpace: gives the same object while it is open, by address and by ticket', () =>
  withDevice(async (device) => {
    const space = await device.createSpace()
    const again = await Promise.all([
      device.openSpace(space.address),
      device.openSpace(space.ticket),
      device.openSpace(` ${space.ticket}\n`)
    ])
    for (const each of again) assert.is(each, space)
  }))

test('openSpace: joining at the same time is joining once', () =>
  withDevice(async (device) => {
    const founder = await fresh()
    const { ticket, address } = await founder.createSpace()
    const [one, other] = await Promise.all([device.openSpace(ticket), device.openSpace(ticket)])
    assert.is(one, other)
    assert.equal(device.spaces(), [{ address, name: 'space' }])
    await founder.close()
  }))

test('openSpace: while the space closes, waits and opens it again', () =>
  withDevice(async (device) => {
    const space = await device.createSpace()
    const putting = space.db.put('k', 1)
    const closing = space.close()
    const again = await device.openSpace(space.address)
    assert.is.not(again, space)
    assert.is((await again.db.get('k'))?.value, 1)
    await again.db.put('k', 2)
    await Promise.all([putting, closing])
    assert.is(await device.openSpace(space.address), again)
  }))

test('a device finds its spaces, names and writers again after a restart', async () => {
  const storage = join(folder.path, 'restart')
  const first = await openDevice({ storage })
  const space = await first.createSpace({ name: 'Family' })
  const open = await first.createSpace({ name: 'Open', open: true })
  const other = 'y'.repeat(52)
  await space.addWriter(other)
  const { ticket, address, writer } = space
  await first.close()

  const second = await openDevice({ storage })
  assert.is(second.id, first.id)
  assert.equal(second.spaces(), [
    { address, name: 'Family' },
    { address: open.address, name: 'Open' }
  ])
  const again = await second.openSpace(address, { name: 'ignored: it has one' })
  assert.is(again.name, 'Family')
  assert.is(again.ticket, ticket)
  assert.is(again.writer, writer)
  assert.equal(
    again
      .writers()
      .map((each) => each.writer)
      .sort(),
    [writer, other].sort()
  )
  assert.is((await second.openSpace(open.ticket)).isOpen, true)
  await second.close()
})

test('openSpace: sparse is remembered from the first opening', async () => {
  const two = await openTwoDevices({ sparse: true })
  await Promise.all(
    Array.from({ length: 2000 }, (_, i) => two.spaceA.db.put(`k${i}`, 'x'.repeat(50)))
  )
  await two.spaceB.close()
  const again = await two.b.openSpace(two.spaceA.address)
  connect(two.spaceA, again)
  await until(() => again.writers().some(({ isOwn, length }) => !isOwn && length > 0))
  assert.is((await again.db.get('k1'))?.value, 'x'.repeat(50))
  await rejectsWith('BLOCK_UNAVAILABLE', () => collect(again.db.createReadStream({ wait: false })))
  await two.close()
})

test('openSpace: SPACE_UNKNOWN for an address that is not here', () =>
  withDevice(async (device) => {
    await rejectsWith('SPACE_UNKNOWN', () => device.openSpace('y'.repeat(52)), /yyyy/)
  }))

test('ticket: each mistyped, missing, doubled or swapped character is refused, and nothing is joined', () =>
  withDevice(async (device) => {
    const founder = await fresh()
    const { ticket } = await founder.createSpace()
    await founder.close()
    const bad = new Set<string>()
    for (let i = 0; i < ticket.length; i++) {
      const [before, at, after] = [ticket.slice(0, i), ticket[i] ?? '', ticket.slice(i + 1)]
      for (const typo of 'ybndrfg8ejkmcpqxot1uwisza345h769l0vA-é ') bad.add(before + typo + after)
      bad.add(before + after)
      bad.add(before + at + at + after)
      bad.add(before + (after[0] ?? '') + at + after.slice(1))
    }
    bad.delete(ticket)
    let unknown = 0
    for (const text of bad) {
      // One that no longer begins like a ticket is taken for an address.
      const isTicket = text.startsWith('mh1')
      const code = isTicket ? 'TICKET_INVALID' : 'SPACE_UNKNOWN'
      // The blank typed for the first or last character leaves a shorter text.
      await rejectsWith(text.trim().startsWith('mh1') ? 'TICKET_INVALID' : code, () =>
        device.openSpace(text)
      )
      if (!isTicket) unknown++
    }
    assert.ok(bad.size > 4000 && unknown < 200)
    assert.equal(device.spaces(), [])
  }))

test('ticket: of a newer version says so', () => {
  const bytes = () => new Uint8Array(32)
  const keys = { address: bytes(), membershipKey: bytes() }
  const text = encodeTicket({ ...keys, epoch: bytes(), open: true, encrypted: true })
  assert.is(decodeTicket(text).open, true)
  assert.throws(() => decodeTicket(text.toUpperCase()), /mh1/)
})

test('addWriter: reads the other log from now on, over any stream', async () => {
  const two = await openTwoDevices({ open: false })
  const { spaceA, spaceB } = two
  await spaceB.db.put('k', 'from b')
  two.connect()
  await until(() => spaceA.peers().length === 1)
  assert.is(spaceA.writers().length, 1)
  const added: string[] = []
  spaceA.on('writer-add', (writer) => added.push(writer))
  await spaceA.addWriter(spaceB.writer)
  await until(async () => (await spaceA.db.get('k')) !== null)
  assert.equal(added, [spaceB.writer])
  await until(() => spaceB.writers().length === 2) // who is let in reads all who are in
  await two.close()
})

test('addWriter: the same one again, and ourselves, changes nothing', () =>
  withDevice(async (device) => {
    const space = await device.createSpace()
    const bytes = new Uint8Array(32).fill(1)
    await space.addWriter(bytes)
    bytes.fill(2) // what the caller does with its bytes is its own
    await space.addWriter(new Uint8Array(32).fill(1))
    await space.addWriter(space.writer)
    assert.is(space.writers().length, 2)
    const names = space.writers().map(({ writer }) => writer)
    const third = 'y'.repeat(52)
    await space.addWriter(third)
    await space.close()
    const again = await device.openSpace(space.address)
    const found = again.writers().map(({ writer }) => writer)
    assert.equal(new Set(found), new Set([...names, third]))
  }))

test('addWriter: what is no writer is refused, and nothing is added', () =>
  withDevice(async (device) => {
    const space = await device.createSpace()
    const { writer } = space
    const other = 'y'.repeat(52)
    const bad = [
      '',
      'x',
      space.ticket,
      writer.slice(0, -1),
      other.slice(0, -1),
      writer + 'y',
      writer.toUpperCase(),
      ' ' + writer,
      new Uint8Array(31),
      new Uint8Array(33),
      new Uint16Array(16),
      null,
      undefined,
      5,
      {},
      [other]
    ]
    for (const each of bad) {
      await rejectsWith('INVALID_ARGUMENT', () => space.addWriter(each as string), /"writer"/)
    }
    assert.is(space.writers().length, 1)
  }))

test('an open space: devices that meet add each other, and tell of third ones', async () => {
  const network = new MemoryNetwork()
  const [a, b, c] = await Promise.all([fresh(), fresh({ transport: network.transport }), fresh()])
  const space = await a.createSpace({ open: true })
  const onB = await b.openSpace(space.ticket)
  const onC = await c.openSpace(space.ticket)
  assert.is(onC.isOpen, true)
  await space.db.put('a', 1)
  await onC.db.put('c', 3)
  const cut = connect(space, onB)
  await until(() => onB.writers().length === 2 && space.writers().length === 2)
  await until(async () => (await onB.db.get('a')) !== null)
  cut()
  connect(onB, onC)
  await until(async () => (await collectKeys(onC.db.createReadStream())).join() === 'a,c')
  await until(async () => (await collectKeys(onB.db.createReadStream())).join() === 'a,c')
  assert.is(space.writers().length, 2, 'who was not there learns of it at the next meeting')
  await Promise.all([a.close(), b.close(), c.close()])
})

test('peers: come and go with their connections, and are told', async () => {
  const two = await openTwoDevices()
  const told: string[] = []
  two.spaceA.on('peer-add', (peer) => told.push(`+${peer}`))
  two.spaceA.on('peer-remove', (peer) => told.push(`-${peer}`))
  const cut = two.connect()
  await until(() => two.spaceA.peers().length === 1)
  assert.equal(two.spaceA.peers(), [two.b.id])
  cut()
  await until(() => two.spaceA.peers().length === 0)
  assert.equal(told, [`+${two.b.id}`, `-${two.b.id}`])
  await two.close()
})

test('a connection of devices carries all their common spaces, those made later too', async () => {
  const [a, b] = await Promise.all([fresh(), fresh()])
  const early = await a.createSpace({ open: true })
  const onB = await b.openSpace(early.ticket)
  await a.createSpace({ open: true })
  connect(a, b)
  await early.db.put('k', 1)
  await until(async () => (await onB.db.get('k')) !== null)
  const late = await a.createSpace({ open: true })
  await late.db.put('k', 2)
  const lateOnB = await b.openSpace(late.ticket)
  await until(async () => (await lateOnB.db.get('k'))?.value === 2)
  await early.close()
  await late.db.put('k', 3)
  await until(async () => (await lateOnB.db.get('k'))?.value === 3)
  await Promise.all([a.close(), b.close()])
})

test('close: waits for every put that was issued', async () => {
  const storage = join(folder.path, 'close-waits')
  const device = await openDevice({ storage })
  const space = await device.createSpace()
  const puts = Array.from({ length: 100 }, (_, i) => space.db.put(`k${i}`, i))
  const flushing = space.db.batch().put('batch', 1).flush()
  await device.close()
  await Promise.all([...puts, flushing])
  const again = await openDevice({ storage })
  const { db } = await again.openSpace(space.address)
  assert.is((await collectKeys(db.createReadStream())).length, 101)
  await again.close()
})

test('close: a put issued after it, even in the same turn, is refused and not written', async () => {
  const device = await fresh()
  const space = await device.createSpace()
  const before = space.db.put('before', 1)
  const batch = space.db.batch().put('batched', 1)
  const closing = space.close()
  await Promise.all([
    rejectsWith('BEE_CLOSED', () => space.db.put('after', 1)),
    rejectsWith('BEE_CLOSED', () => batch.flush()),
    rejectsWith('BEE_CLOSED', () => space.db.get('before')),
    before,
    closing
  ])
  const again = await device.openSpace(space.address)
  assert.equal(await collectKeys(again.db.createReadStream()), ['before'])
  await device.close()
})

test('close: in any order and twice, of spaces, databases and devices', async () => {
  const orders: ((device: Device, one: Space, other: Space) => Promise<void>[])[] = [
    (device, one, other) => [one.close(), other.close(), device.close()],
    (device, one, other) => [device.close(), other.close(), one.close(), device.close()],
    (device, one) => [one.db.close(), one.close(), one.db.close(), device.close()],
    (device, one) => [one.close(), one.close(), device.close(), device.close()],
    (device, one) => [one.db.sub('x').close(), device[Symbol.asyncDispose]()],
    (device, one) => [one[Symbol.asyncDispose](), one.db[Symbol.asyncDispose](), device.close()]
  ]
  for (const order of orders) {
    const device = await fresh()
    const [one, other] = await Promise.all([device.createSpace(), device.createSpace()])
    await one.db.put('k', 1)
    await Promise.all(order(device, one, other))
    await Promise.all([device.close(), one.close(), other.close()])
  }
})

test('close: of the device waits for spaces that are being made, joined or opened', async () => {
  const founder = await fresh()
  const { ticket } = await founder.createSpace()
  await founder.close()
  for (const begin of [
    (device: Device) => device.createSpace(),
    (device: Device) => device.openSpace(ticket)
  ]) {
    const device = await fresh()
    const opening = begin(device)
    await device.close()
    const space = await opening
    await rejectsWith('BEE_CLOSED', () => space.db.put('k', 1))
    await space.close()
  }
})

test('close: one space leaves the others as they were', () =>
  withDevice(async (device) => {
    const [one, other] = await Promise.all([device.createSpace(), device.createSpace()])
    await one.close()
    await other.db.put('k', 1)
    assert.is((await other.db.get('k'))?.value, 1)
    assert.is(device.spaces().length, 2)
  }))

test('close: a stream that is being read fails with BEE_CLOSED, unless all of it was in memory', async () => {
  const device = await fresh()
  const space = await device.createSpace()
  await Promise.all(Array.from({ length: 3000 }, (_, i) => space.db.put(`k${i}`, 'x'.repeat(100))))
  await space.close()
  const { db } = await device.openSpace(space.address)
  const stream = db.createReadStream()
  await stream.next()
  await db.close()
  const outcome = await collect(stream).catch((error: unknown) => error)
  if (!isManyhandsError(outcome, 'BEE_CLOSED')) assert.is((outcome as unknown[]).length, 2999)
  await device.close()
})

/** The law of life after death, applied to everything that can be called. */
const AFTER_CLOSE: Record<string, (db: MultiBee) => unknown> = {
  ready: (db) => db.ready(),
  get: (db) => db.get('k'),
  peek: (db) => db.peek(),
  put: (db) => db.put('k', 1),
  del: (db) => db.del('k'),
  batch: (db) => db.batch(),
  'createReadStream, read': (db) => collect(db.createReadStream()),
  'conflicts, read': (db) => collect(db.conflicts()),
  'watch, read': (db) => db.watch().next()
}

for (const [method, call] of Object.entries(AFTER_CLOSE)) {
  test(`after close, a database rejects ${method} with BEE_CLOSED, sub-databases too`, async () => {
    const device = await fresh()
    const space = await device.createSpace()
    const sub = space.db.sub('sub')
    await space.close()
    await rejectsWith('BEE_CLOSED', () => call(space.db))
    await rejectsWith('BEE_CLOSED', () => call(sub))
    await rejectsWith('BEE_CLOSED', () => call(space.db.sub('new')))
    await device.close()
  })
}

const SPACE_AFTER_CLOSE: Record<string, (space: Space) => unknown> = {
  writers: (space) => space.writers(),
  addWriter: (space) => space.addWriter('y'.repeat(52)),
  replicate: (space) => space.replicate(true)
}

for (const [method, call] of Object.entries(SPACE_AFTER_CLOSE)) {
  test(`after close, a space refuses ${method} with SPACE_CLOSED`, async () => {
    const device = await fresh()
    const space = await device.createSpace()
    await space.close()
    await rejectsWith('SPACE_CLOSED', () => call(space))
    await device.close()
  })
}

const DEVICE_AFTER_CLOSE: Record<string, (device: Device) => unknown> = {
  createSpace: (device) => device.createSpace(),
  openSpace: (device) => device.openSpace('y'.repeat(52)),
  openLink: (device) => device.openLink('manyhands://' + 'y'.repeat(52)),
  replicate: (device) => device.replicate(true)
}

for (const [method, call] of Object.entries(DEVICE_AFTER_CLOSE)) {
  test(`after close, a device refuses ${method} with DEVICE_CLOSED`, async () => {
    const device = await fresh()
    await device.close()
    await rejectsWith('DEVICE_CLOSED', () => call(device))
  })
}

test('after close, what says who one is can still be asked', async () => {
  const device = await fresh({ name: 'Laptop' })
  const space = await device.createSpace({ name: 'Family' })
  const { address, ticket, writer } = space
  await device.close()
  assert.is(device.name, 'Laptop')
  assert.is(device.spaces().length, 1)
  assert.equal([space.address, space.ticket, space.writer], [address, ticket, writer])
  assert.equal(space.peers(), [])
})

test.run()
