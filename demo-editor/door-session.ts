/** A page whose device is locked, or in no notebook: it is told how far that is, and asks for nothing but to be let in. */
import type { WebSocket } from 'ws'
import { troubleOf, type DeviceDesk } from './device-desk.ts'
import { reasonOf } from './page-server.ts'
import { CLOSE, parseRequest, type Notice, type Request } from './protocol.ts'

export function serveDoor(socket: WebSocket, desk: DeviceDesk): void {
  const tell = (notice: Notice) => socket.send(JSON.stringify(notice))
  const onarrival = () => tell({ type: 'arrival', arrival: desk.arrival })
  const meet = (request: Request) =>
    met(desk, request).catch((error: unknown) =>
      tell({ type: 'failed', request: request.type, ...troubleOf(error) })
    )
  desk.on('arrival', onarrival)
  socket.on('close', () => desk.off('arrival', onarrival))
  socket.on('message', (data: Buffer, isBinary) => {
    if (socket.readyState !== socket.OPEN || isBinary) return // of a document, said too late
    try {
      void meet(parseRequest(data.toString()))
    } catch (error) {
      socket.close(CLOSE.badMessage, reasonOf(error))
    }
  })
  onarrival()
}

async function met(desk: DeviceDesk, request: Request): Promise<void> {
  switch (request.type) {
    case 'unlock':
      return desk.unlock(request.passphrase)
    case 'join':
      return desk.join(request.link)
    case 'recover':
      return desk.recover(request.secret, request.entrance)
    case 'give-up':
      return desk.giveUp()
    case 'release':
      return // it is
    default:
      throw new Error('This device shows no notebook now')
  }
}
