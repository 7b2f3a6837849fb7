/** The port of a store as others on this machine meet it: a socket that only its owner reaches, and that nonsense does not harm. */
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { encode } from 'cborg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connectPort } from '../../core/native/index.ts'
import { FrameWriter } from '../../core/net/frames.ts'
import { openDevice } from '../../index.ts'
import { tempFolder, until } from '../support/devices.ts'
import { serveDevice } from '../support/port.ts'
import { seededRandom } from '../support/random.ts'
import { within } from '../support/within.ts'

test('port: is there while the device is open, for its owner alone, and leaves nothing behind', async () => {
  const { device, folder, connect, close } = await serveDevice()
  const socket = join(folder, 'port')
  assert.ok(statSync(socket).isSocket())
  assert.is(statSync(socket).mode & 0o777, 0o600)
  assert.is((await (await connect()).call('device/info', {})).id, device.id)
  await device.close()
  assert.not(existsSync(socket))
  assert.equal(
    (await readdir(folder)).filter((name) => name.includes('port')),
    []
  )
  assert.is(await connectPort(folder), null)
  await close()
})

test('port: what a killed owner left is no port, and the next owner takes its place', async () => {
  const { device, folder, connect, close } = await serveDevice()
  await device.close()
  writeFileSync(join(folder, 'port'), '')
  assert.is(await connectPort(folder), null)
  const again = await openDevice({ storage: folder, serve: true })
  assert.is((await (await connect()).call('device/info', {})).id, again.id)
  await again.close()
  await close()
})

test('port: a folder with a path longer than a socket may have is served all the same', async () => {
  const { device, folder, connect, close } = await serveDevice(
    join('a'.repeat(100), 'b'.repeat(100))
  )
  assert.ok(statSync(join(folder, 'port')).isSocket())
  assert.is((await (await connect()).call('device/info', {})).id, device.id)
  await close()
})

test('port: nobody is served where nobody asked for it', async () => {
  const temp = await tempFolder()
  const folder = join(temp.path, 'store')
  const device = await openDevice({ storage: folder })
  assert.is(await connectPort(folder), null)
  await device.close()
  assert.is(await connectPort(join(temp.path, 'nothing')), null)
  await temp.remove()
})

function frame(message: unknown): Uint8Array {
  const body = encode(message)
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.byteLength)
  return Buffer.concat([header, body])
}

const HELLO = frame({ jsonrpc: '2.0', id: 1, method: 'hello', params: [{ version: 2 }] })

const NONSENSE: Record<string, Uint8Array> = {
  'an HTTP request': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  zeros: Buffer.alloc(64),
  'an endless frame': Buffer.from('ffffffff', 'hex'),
  'a frame too long for a stranger': Buffer.from('00100000', 'hex'),
  'no CBOR': Buffer.from('00000003ffffff', 'hex'),
  'no message': frame([1, 2, 3]),
  'another protocol': frame({ jsonrpc: '1.0', id: 1, method: 'hello', params: [] }),
  'a request without an id': frame({ jsonrpc: '2.0', method: 'hello', params: [] }),
  'a cancellation of nothing': frame({ jsonrpc: '2.0', method: '$/cancelRequest' }),
  'an answer to nothing': Buffer.concat([HELLO, frame({ jsonrpc: '2.0', id: null, error: {} })]),
  'an endless frame after the greeting': Buffer.concat([HELLO, Buffer.from('ffffffff', 'hex')])
}

test('port: nonsense ends the connection it came on, and no other', async () => {
  const { device, folder, connect, close } = await serveDevice()
  const port = await connect()
  const noises = seededRandom(7)
  const noise = Array.from({ length: 20 }, (_, i): [string, Uint8Array] => [
    `noise ${i}`,
    Uint8Array.from({ length: 200 }, () => 255 - noises.below(128))
  ])
  for (const [what, sent] of [...Object.entries(NONSENSE), ...noise]) {
    const socket = net.connect(join(folder, 'port'))
    socket.on('error', () => {})
    socket.resume()
    socket.write(sent)
    await within(5000, once(socket, 'close')).catch(() => assert.unreachable(what))
  }
  assert.is((await port.call('device/info', {})).id, device.id)
  await close()
})

test('port: a client that asks without end and reads nothing is held up, and others are served', async () => {
  const { device, folder, connect, close } = await serveDevice()
  const port = await connect()
  const { address } = await device.createSpace()
  await port.call('db/write', {
    space: address,
    writes: [{ key: 'k', value: 'x'.repeat(100_000) }]
  })
  const socket = net.connect(join(folder, 'port'))
  socket.on('error', () => {})
  socket.pause()
  socket.write(HELLO)
  const params = [{ space: address, key: 'k' }]
  const asked = 20_000 // some 2 GB of answers
  for (let id = 2; id < asked; id++)
    socket.write(frame({ jsonrpc: '2.0', id, method: 'db/get', params }))
  const before = process.memoryUsage.rss()
  let most = 0
  for (let round = 0; round < 200; round++) {
    assert.is((await within(5000, port.call('device/info', {}))).id, device.id)
    most = Math.max(most, process.memoryUsage.rss() - before)
  }
  assert.ok(socket.writableLength > 0, 'it is held up')
  assert.ok(most < 600 * 1024 * 1024, `${most} bytes more`)
  // It reads: all is answered.
  let bytes = 0
  socket.on('data', (chunk: Buffer) => (bytes += chunk.byteLength))
  socket.resume()
  await until(() => bytes > 3000 * 100_000, { timeout: 30_000 })
  socket.destroy()
  await close()
})

const FLOODS: Record<string, (id: number) => object> = {
  requests: (id) => ({ id, method: 'device/info', params: [{}] }),
  'requests with one id': () => ({ id: 2, method: 'device/info', params: [{}] }),
  'requests for what is not there': (id) => ({ id, method: 'constructor', params: [{}] }),
  streams: (id) => ({ id, method: 'stream/open', params: [{ name: 'network', params: {} }] }),
  cancellations: (id) => ({ method: '$/cancelRequest', params: { id } }),
  'progress of nothing': (token) => ({ method: '$/progress', params: { token, value: {} } })
}

test('port: whatever comes 100,000 times from one client, others are answered in between', async () => {
  const { device, folder, connect, close } = await serveDevice()
  const port = await connect()
  for (const [what, make] of Object.entries(FLOODS)) {
    const socket = net.connect(join(folder, 'port'))
    socket.on('error', () => {})
    socket.resume()
    const flood = Array.from({ length: 100_000 }, (_, i) =>
      frame({ jsonrpc: '2.0', ...make(i + 2) })
    )
    socket.write(Buffer.concat([HELLO, ...flood]))
    await once(socket, 'data')
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 20; round++) {
      assert.is((await within(2000, port.call('device/info', {}))).id, device.id, what)
    }
    const more = process.memoryUsage.rss() - before
    assert.ok(more < 300 * 1024 * 1024, `${what}: ${more} bytes more`)
    socket.destroy()
  }
  await close()
})

test('port: a request is answered by its answer, not by what is said of its progress', async () => {
  const sent: Uint8Array[] = []
  const writer = new FrameWriter(
    (bytes) => Promise.resolve(void sent.push(bytes)),
    () => {}
  )
  let answers = 0
  writer.onanswer = () => answers++
  const write = (message: object) => writer.write({ jsonrpc: '2.0', ...message })
  await write({ method: '$/progress', params: { token: 1, value: {} } })
  await write({ method: '$/cancelRequest', params: { id: 1 } })
  await write({ id: 1, method: 'hello', params: [] })
  assert.is(answers, 0)
  await write({ id: 1, result: null })
  await write({ id: 2, error: { code: 1, message: 'no' } })
  assert.equal([answers, sent.length], [2, 5])
})

test('port: frames cut anywhere are put together again', async () => {
  const { folder, close } = await serveDevice()
  const socket = net.connect(join(folder, 'port'))
  const answers = once(socket, 'data')
  for (const byte of HELLO) {
    socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [answer] = (await within(5000, answers)) as [Buffer]
  assert.ok(answer.includes('device'))
  socket.destroy()
  await close()
})

test.run()
