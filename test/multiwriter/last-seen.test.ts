import { EventEmitter } from 'eventemitter3'
import { setImmediate } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LastSeen, type LastSeenParts } from '../../multiwriter/members/last-seen.ts'
import { DocumentWorld } from '../support/document-world.ts'

test('last-seen: of what this device writes itself nothing is read', () =>
  DocumentWorld.with(1, async (world) => {
    const { union, own, queue } = world.at(0).peer.parts
    await union.ready()
    const log = union.log(own.core.key)
    assert.ok(log !== null)
    const written = log.written.bind(log)
    let reads = 0
    log.written = (...range) => {
      reads++
      return written(...range)
    }
    const write = async (n: number) => {
      const opaque = { type: 1, position: null }
      await queue.write([{ key: Uint8Array.of(n), value: Uint8Array.of(n), opaque }])
      for (let i = 0; i < 10; i++) await setImmediate()
    }
    const events: LastSeenParts['peers']['events'] = new EventEmitter()
    const peers = { events, list: () => [] }
    const parts = { union, peers, now: () => 0 }
    new LastSeen({ ...parts, own: own.core.key })
    await write(1)
    assert.is(reads, 0)
    new LastSeen({ ...parts, own: new Uint8Array(32) })
    await write(2)
    assert.is(reads, 1, "as it would be of another's")
  }))

test.run()
