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
    await Promise.all([once(before[0], 'close'), once(before[1], 'close')])

    const a = dial(cable.ports[0])
    const b = dial(cable.ports[1])
    a.write('again')
    let early = ''
    b.on('data', (bytes: Buffer) => (early += bytes.toString()))
    // Both ends are known to the cable: a further dialling of one of them is served after it.
    await Promise.all([once(a, 'connect'), once(b, 'connect')])
    assert.is(early, '')
    cable.heal()
    await once(b, 'data')
    assert.is(early, 'again')
  }))

test('cable: when one end is gone the other is told, and two new ones are joined', () =>
  withCable(async (cable) => {
    const [a, b] = [dial(cable.ports[0]), dial(cable.ports[1])]
    a.write('x')
    await heard(b)
    a.destroy()
    b.resume()
    await once(b, 'close')
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
    await Promise.all([once(a, 'close'), once(b, 'close')])
    const other = dial(cable.ports[1])
    again.write('z')
    assert.is(await heard(other), 'z')
  }))

test.run()
