/** Working through a device of another process: the same answers, whatever either side does wrong. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { localPort, PortHost, remotePort, SharedNetwork } from '../../multiwriter/index.ts'
import type { DevicePort } from '../../multiwriter/index.ts'
import { MemoryNetwork, openDevice } from '../../index.ts'
import { collect } from '../support/collect.ts'
import { tempFolder, until } from '../support/devices.ts'
import { serveDevice, type Served } from '../support/port.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'
import { memoryWires } from '../support/wires.ts'

function served(title: string, body: (served: Served, port: DevicePort) => Promise<void>): void {
  test(title, async () => {
    const device = await serveDevice()
    try {
      await within(
        20_000,
        device.connect().then((port) => body(device, port))
      )
    } finally {
      await device.close()
    }
  })
}

served(
  'what one process puts, another reads, in all values and sub-databases',
  async ({ device }, port) => {
    const space = await device.createSpace({ name: 'Notes' })
    const where = { space: space.address }
    const value = { text: 'ä', bytes: new Uint8Array([0, 255]), list: [1, 2.5, -7, null, true] }
    await port.call('db/write', {
      ...where,
      writes: [
        { key: 'a', value },
        { key: 'b', value: 1 }
      ]
    })
    await port.call('db/write', {
      ...where,
      sub: ['x', 'y'],
      writes: [{ key: 'a', value: 'deep' }]
    })
    assert.equal((await space.db.get('a'))?.value, value)
    assert.is((await space.db.sub('x').sub('y').get('a'))?.value, 'deep')

    const entry = await port.call('db/get', { ...where, key: 'a' })
    assert.equal(entry?.value, value)
    assert.is(entry?.writer, space.writer)
    await port.call('db/write', { ...where, writes: [{ key: 'b' }] })
    assert.is(await port.call('db/get', { ...where, key: 'b' }), null)
    assert.equal(await port.call('spaces/list', {}), [{ address: space.address, name: 'Notes' }])
  }
)

served('a port in the process and one over a wire answer alike', async ({ device }, remote) => {
  const local = localPort({
    device,
    network: new SharedNetwork(device, new MemoryNetwork().transport as never),
    now: () => performance.now()
  })
  const { address: space } = await remote.call('spaces/create', { name: 'S', open: true })
  const writes = Array.from({ length: 700 }, (_, i) => ({ key: `k${i}`, value: i }))
  await remote.call('db/write', { space, writes })
  for (const params of [{ space }, { space, gte: 'k3', reverse: true, limit: 300 }]) {
    const entries = await collect(local.stream('db/read', params))
    assert.equal(await collect(remote.stream('db/read', params)), entries)
    assert.ok(entries.length >= 300)
  }
  assert.equal(
    await local.call('space/info', { space }),
    await remote.call('space/info', { space })
  )
})

served(
  'an error crosses with its code, its message and its next step',
  async ({ device }, port) => {
    const { address: space } = await device.createSpace()
    const error = await rejectsWith(
      'KEY_INVALID',
      () => port.call('db/get', { space, key: '' }),
      /empty/
    )
    assert.match(error.next, /non-empty key/)
    await rejectsWith('SPACE_UNKNOWN', () => port.call('space/info', { space: 'nowhere' }))
    await rejectsWith('SPACE_UNKNOWN', () => collect(port.stream('db/read', { space: 'nowhere' })))
    await rejectsWith('INVALID_ARGUMENT', () =>
      collect(port.stream('db/read', { space, limit: -1 }))
    )
  }
)

served(
  'parameters of a wrong kind are refused, and nothing is written',
  async ({ device }, port) => {
    const { address: space, db } = await device.createSpace()
    const bad: object[] = [
      { space, writes: 5 },
      { space, writes: [{ key: 5, value: 1 }] },
      { space, writes: [null] },
      { space, sub: 'x', writes: [] },
      { space, sub: [{}], writes: [{ key: 'a', value: 1 }] },
      { space: 7, writes: [] },
      {}
    ]
    for (const params of bad) {
      const error = await port.call('db/write', params as never).then(
        () => null,
        (reason: unknown) => reason
      )
      assert.ok(error instanceof Error, JSON.stringify(params))
    }
    assert.is(await db.peek(), null)
  }
)

served('what is not in the table is refused, the names of objects included', async (_, port) => {
  for (const name of ['nonsense', 'constructor', '__proto__', 'toString']) {
    await rejectsWith('PORT_VERSION', () => port.call(name as never, {} as never))
    await rejectsWith('PORT_VERSION', () => collect(port.stream(name as never, {} as never)))
  }
})

served(
  'a live stream shows each change as it comes, and ends when it is left',
  async ({ device }, port) => {
    const space = await device.createSpace()
    const changes = port.stream('db/watch', { space: space.address })
    const first = changes.next()
    await port.call('db/get', { space: space.address, key: 'a' }) // the watch is open by then
    await space.db.put('a', 1)
    const result = await first
    assert.is(result.done === true ? null : result.value.current?.value, 1)
    const waiting = changes.next()
    await changes.return?.()
    assert.is((await within(2000, waiting)).done, true)
  }
)

served(
  'closing the device answers what is under way and then says DEVICE_CLOSED',
  async ({ device }, port) => {
    const { address: space } = await device.createSpace()
    const changes = port.stream('db/watch', { space })
    const waiting = changes.next()
    waiting.catch(() => {}) // looked at below
    const put = port.call('db/write', { space, writes: [{ key: 'a', value: 1 }] })
    await port.call('db/get', { space, key: 'a' })
    await device.close()
    await put
    await rejectsWith('DEVICE_CLOSED', () => waiting)
    await rejectsWith('DEVICE_CLOSED', () => port.call('spaces/list', {}))
    await rejectsWith('DEVICE_CLOSED', () => changes.next())
    await port.close()
  }
)

/** A host over wires in memory, as a MessagePort would be; what it opens can be counted. */
async function memoryHost() {
  const temp = await tempFolder()
  const device = await openDevice({ storage: temp.path + '/store' })
  const network = new SharedNetwork(device, () => new MemoryNetwork().transport)
  const host = new PortHost({ device, network, now: () => performance.now() })
  return {
    device,
    host,
    connect: async () => {
      const [ours, theirs] = memoryWires()
      host.accept(theirs)
      return { wire: ours, port: await remotePort(ours) }
    },
    close: async () => {
      await host.close()
      await device.close()
      await temp.remove()
    }
  }
}

test('the protocol runs over any messages; a client that dies releases what it held', async () => {
  const { device, host, connect, close } = await memoryHost()
  const one = await connect()
  const other = await connect()
  const holds = [one, other].map(({ port }) => port.stream('network', {}))
  for (const hold of holds) await hold.next()
  assert.ok(device.isNetworked)
  one.wire.close()
  await until(() => host.clients.lasting === 1)
  assert.ok(device.isNetworked, 'the other still holds it')
  other.wire.close()
  await until(() => !device.isNetworked)
  assert.equal(host.clients, { lasting: 0, passing: 0 })
  await close()
})

test('a reader that asks for nothing more gets nothing more', async () => {
  const { device, connect, close } = await memoryHost()
  const { address: space, db } = await device.createSpace()
  const batch = db.batch()
  for (let i = 0; i < 2000; i++) batch.put(`k${String(i).padStart(5, '0')}`, i)
  await batch.flush()
  const { port, wire } = await connect()
  const entries = port.stream('db/read', { space })
  await entries.next()
  const before = wire.received
  await port.call('db/get', { space, key: 'k' }) // one round trip later
  assert.is(wire.received, before + 1)
  for (let i = 1; i < 256; i++) await entries.next()
  assert.is(wire.received, before + 1, 'the first batch lasted so long')
  await entries.return?.()
  await close()
})

test('a few large values do not make one large message', async () => {
  const { device, connect, close } = await memoryHost()
  const { address: space, db } = await device.createSpace()
  for (let i = 0; i < 8; i++) await db.put(`k${i}`, new Uint8Array(600_000))
  const { port, wire } = await connect()
  const before = wire.received
  assert.is((await collect(port.stream('db/read', { space }))).length, 8)
  assert.ok(wire.received - before >= 5, `${wire.received - before} messages`)
  await close()
})

test('a peer of another version is refused on both sides, and nothing before the greeting is answered', async () => {
  const { host, close } = await memoryHost()
  const [ours, theirs] = memoryWires()
  host.accept(theirs)
  const answers: unknown[] = []
  ours.reader.listen((message) => answers.push(message))
  const ask = (id: number, method: string, params: object) =>
    ours.writer.write({ jsonrpc: '2.0', id, method, params: [params] } as never)
  await ask(1, 'spaces/list', {})
  await ask(2, 'hello', { version: 99 })
  await ask(3, 'spaces/list', {})
  await until(() => answers.length === 3)
  for (const answer of answers as { error: { data: { code: string } } }[]) {
    assert.is(answer.error.data.code, 'PORT_VERSION')
  }
  ours.close()

  const [client, future] = memoryWires()
  future.reader.listen((message) => {
    const { id } = message as never as { id: number }
    void future.writer.write({ jsonrpc: '2.0', id, result: { version: 99 } } as never)
  })
  await rejectsWith('PORT_VERSION', () => remotePort(client), /version 99/)
  await close()
})

served('long work says how far it is, seldom, and stops when asked', async ({ device }, port) => {
  const { address: space, db } = await device.createSpace()
  const batch = db.batch()
  for (let i = 0; i < 20_000; i++) batch.put(`k${i}`, i)
  await batch.flush()
  const seen: number[] = []
  const started = performance.now()
  const onprogress = ({ done }: { readonly done: number }) => seen.push(done)
  assert.equal(await port.call('space/check', { space }, { onprogress }), [])
  assert.ok(seen.length >= 1 && seen.every((done) => done > 0), String(seen))
  assert.ok(seen.length <= 2 + (performance.now() - started) / 100, `${seen.length} messages`)

  const abort = new AbortController()
  const reason = new Error('enough')
  const stopped = port.call(
    'space/check',
    { space },
    { signal: abort.signal, onprogress: () => abort.abort(reason) }
  )
  assert.is(await stopped.catch((error: unknown) => error), reason)
  await rejectsWith('SPACE_UNKNOWN', () => port.call('space/info', { space: 'x' })) // it goes on
})

test('long work of a client that has gone, or of a host that closes, is stopped', async () => {
  const { device, host, connect, close } = await memoryHost()
  const { address: space, db } = await device.createSpace()
  const batch = db.batch()
  for (let i = 0; i < 20_000; i++) batch.put(`k${i}`, i)
  await batch.flush()
  const gone = await connect()
  let begun = 0
  const onprogress = () => void begun++
  const lost = gone.port.call('space/check', { space }, { onprogress })
  lost.catch(() => {}) // looked at below
  await until(() => begun > 0)
  await gone.port.close()
  await rejectsWith('DEVICE_CLOSED', () => lost)
  begun = 0
  const { port } = await connect()
  const ended = port.call('space/check', { space }, { onprogress })
  ended.catch(() => {}) // looked at below
  await until(() => begun > 0)
  await host.close()
  await rejectsWith('DEVICE_CLOSED', () => ended)
  await close()
})

test('draining lets clients finish, and nobody new in', async () => {
  const { host, connect, close } = await memoryHost()
  const { wire } = await connect()
  let isDrained = false
  const drained = host.drain().then(() => (isDrained = true))
  await Promise.resolve()
  assert.not(isDrained)
  wire.close()
  await within(2000, drained)
  await close()
})

test('draining waits for nobody who would stay for ever, as long as it does not stop watching', async () => {
  const { device, host, connect, close } = await memoryHost()
  const { address: space } = await device.createSpace()
  const { port } = await connect()
  const [silent, theirs] = memoryWires()
  host.accept(theirs)
  const changes = port.stream('db/watch', { space })
  const history = port.stream('db/history', { space, live: true })
  const [change, entry] = [changes.next(), history.next()]
  await until(() => host.clients.lasting === 1)
  await within(2000, host.drain())

  await changes.return?.()
  assert.ok((await change).done)
  assert.equal(host.clients, { lasting: 1, passing: 0 }, 'the other stream is open still')
  await history.return?.()
  assert.ok((await entry).done)
  let isDrained = false
  const drained = host.drain().then(() => (isDrained = true))
  assert.is(await port.call('db/get', { space, key: 'k' }), null)
  assert.not(isDrained, 'now it is a command that ends by itself')
  await port.close()
  await within(2000, drained)
  silent.close()
  await close()
})

test.run()
