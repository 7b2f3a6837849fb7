/** Channels without devices: hubs, a network of queues between them, and time that passes when the test says so. */
import b4a from 'b4a'
import z32 from 'z32'
import { ChannelHub, type ChannelPeer } from '../../multiwriter/channels/hub.ts'
import { encodeFrame, type ChannelFrame } from '../../multiwriter/channels/message.ts'
import { SimTimers } from './presence.ts'

export interface ChannelDevice {
  readonly id: string
  readonly key: Uint8Array
  readonly hub: ChannelHub
  readonly timers: SimTimers
  readonly refused: string[]
}

/** One end of a connection. */
interface End extends ChannelPeer {
  /** While it is held, nothing is taken after the next frame. */
  isHeld: boolean
  /** Frames that were sent. */
  sent: number
}

export function channelDevice(number: number): ChannelDevice {
  const timers = new SimTimers()
  const refused: string[] = []
  const hub = new ChannelHub({ timers, onrefused: (_, reason) => refused.push(reason) })
  const key = b4a.alloc(32, number)
  return { id: z32.encode(key), key, hub, timers, refused }
}

export class ChannelNet {
  readonly #queue: (() => void)[] = []
  readonly #timers = new Set<SimTimers>()

  /** @returns how to cut it, and the two ends */
  connect(a: ChannelDevice, b: ChannelDevice) {
    let isCut = false
    for (const { timers } of [a, b]) this.#timers.add(timers)
    const end = (to: ChannelDevice, other: () => End): End => ({
      remoteKey: to.key,
      isHeld: false,
      sent: 0,
      sendChannels(bytes) {
        this.sent += 1
        post(() => to.hub.receive(other(), bytes))
        return !this.isHeld
      }
    })
    const post = (task: () => void) => this.#queue.push(() => isCut || task())
    const endA: End = end(b, () => endB)
    const endB: End = end(a, () => endA)
    a.hub.add(endA)
    b.hub.add(endB)
    const cut = () => {
      isCut = true
      a.hub.remove(endA)
      b.hub.remove(endB)
    }
    return { cut, a: endA, b: endB }
  }

  /** A member that speaks by hand. */
  stranger(to: ChannelDevice) {
    const heard: Uint8Array[] = []
    const peer: ChannelPeer = {
      remoteKey: b4a.alloc(32, 255),
      sendChannels: (bytes) => heard.push(bytes) > 0
    }
    to.hub.add(peer)
    return {
      id: z32.encode(peer.remoteKey),
      heard,
      tell: (...frames: readonly (ChannelFrame | Uint8Array)[]) => {
        for (const frame of frames) {
          to.hub.receive(peer, frame instanceof Uint8Array ? frame : encodeFrame(frame))
        }
      },
      leave: () => to.hub.remove(peer)
    }
  }

  /** Delivers everything under way, and what comes of it. */
  async settle(): Promise<void> {
    for (;;) {
      const next = this.#queue.shift()
      if (next !== undefined) next()
      else {
        await Promise.resolve()
        const isMore = [...this.#timers].some((timers) => timers.step(timers.elapsed()))
        if (!isMore && this.#queue.length === 0) return
      }
    }
  }

  /** Delivers one frame. */
  step(): void {
    this.#queue.shift()?.()
  }
}
