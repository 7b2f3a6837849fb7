/** The cable that can be cut: what is said arrives, or the connection is gone; never in between. */
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Cable } from '../../demo-editor/cable.ts'

function dial(port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  return socket
}

/** However it ended. */
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.on('close', () => resolve()))
}

async function heard(socket: net.Socket): Promise<string> {
  const [bytes] = await once(socket, 'data')
  return String(bytes)
}

async function withCable(body: (cable: Cable) => Promise<void>): Promise<void> {
  const cable = await Cable.open()
  try {
    await body(cable)
  } finally {
    await cable.close()
  }
}

test('cable: what one end says before the other is there arrives all the same', () =>
  withCable(async (cable) => {
    const a = dial(cable.ports[0])
    a.write('hello')
    const b = dial(cable.ports[1])
    assert.is(await heard(b), 'hello')
    b.write('back')
    assert.is(await heard(a), 'back')
  }))

test('cable: cutting it ends both connections; ends dialled meanwhile hear each other once it is healed', () =>
  withCable(async (cable) => {
    const before = [dial(cable.ports[0]), dial(cable.ports[1])] as const
    before[0].write('x')
    await heard(before[1])
    cable.cut()
    before[0].resume()
    await Promise.all([closed(before[0]), closed(before[1])])

    const b = dial(cable.ports[1])
    let early = ''
    b.on('data', (bytes: Buffer) => (early += bytes.toString()))
    await once(b, 'connect')
    const first = dial(cable.ports[0])
    first.resume()
    first.write('too early')
    await once(first, 'connect')
    // Replaced by the next, and so known to the cable by then: had it joined them, this would be heard.
    const a = dial(cable.ports[0])
    await closed(first)
    assert.is(early, '')
    assert.is(b.destroyed, false)
    a.write('again')
    cable.heal()
    await once(b, 'data')
    assert.is(early, 'again')
  }))

test('cable: when one end is gone the other is told, and two new ones are joined', () =>
  withCable(async (cable) => {
    const [a, b] = [dial(cable.ports[0]), dial(cable.ports[1])]
    a.write('x')
    await heard(b)
    a.resetAndDestroy() // as the system does for a process that was killed with unread bytes
    b.resume()
    await closed(b)
    const [again, other] = [dial(cable.ports[0]), dial(cable.ports[1])]
    again.write('y')
    assert.is(await heard(other), 'y')
  }))

test('cable: an end that is dialled anew replaces the one before, for both', () =>
  withCable(async (cable) => {
    const [a, b] = [dial(cable.ports[0]), dial(cable.ports[1])]
    a.write('x')
    await heard(b)
    a.resume()
    b.resume()
    const again = dial(cable.ports[0])
    await Promise.all([closed(a), closed(b)])
    const other = dial(cable.ports[1])
    again.write('z')
    assert.is(await heard(other), 'z')
  }))

test.run()
