import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeFrame, parseFrame, type ChannelFrame } from '../../multiwriter/channels/message.ts'

interface Vector {
  readonly name: string
  readonly type: ChannelFrame['type']
  readonly id?: number
  readonly channel?: string
  readonly count?: number
  readonly isLast?: boolean
  /** The bytes of a piece: one byte, so many times. */
  readonly fill?: number
  readonly length?: number
  /** Before those bytes. */
  readonly frame: string
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/channels.json', import.meta.url), 'utf8')
) as readonly Vector[]

const bytesOf = ({ fill = 0, length = 0 }: Vector) => b4a.alloc(length, fill)

function frameOf(vector: Vector): ChannelFrame {
  const { type, id = 0, channel = '', count = 0, isLast = false } = vector
  switch (type) {
    case 'open':
      return { type, id, name: channel }
    case 'close':
      return { type, id }
    case 'piece':
      return { type, to: id, isLast, bytes: bytesOf(vector) }
    case 'more':
      return { type, id, count }
    default:
      return type satisfies never
  }
}

for (const vector of vectors) {
  test(`format 1, ${vector.name}: the bytes, and what they say`, () => {
    const bytes = b4a.concat([b4a.from(vector.frame, 'hex'), bytesOf(vector)])
    assert.is(b4a.toString(encodeFrame(frameOf(vector)), 'hex'), b4a.toString(bytes, 'hex'))
    assert.equal(parseFrame(bytes), frameOf(vector))
  })
}

test.run()
