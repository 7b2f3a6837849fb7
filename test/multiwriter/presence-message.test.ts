import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeBody, parseFrame, Sealer, type Saying } from '../../multiwriter/presence/message.ts'

interface Vectors {
  readonly membershipKey: string
  readonly address: string
  readonly publicKey: string
  readonly core: string
  readonly session: string
  readonly messages: readonly {
    readonly name: string
    readonly seq: number
    readonly kind: Saying['kind']
    readonly topic?: string
    readonly payload?: string | null
    readonly body: string
    readonly frame: string
  }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/presence.json', import.meta.url), 'utf8')
) as Vectors

const bytes = (hex: string) => b4a.from(hex, 'hex')

function sayingOf({ kind, topic = '', payload }: Vectors['messages'][number]): Saying {
  if (kind !== 'state') return { kind }
  return { kind, topic, payload: typeof payload === 'string' ? bytes(payload) : null }
}

for (const vector of vectors.messages) {
  test(`format 1, ${vector.name}: the bytes that are signed, and what the frame says`, () => {
    const place = { session: bytes(vectors.session), seq: vector.seq }
    const body = encodeBody(bytes(vectors.publicKey), place, sayingOf(vector))
    assert.is(b4a.toString(body, 'hex'), vector.body)

    const frame = parseFrame(bytes(vector.frame))
    assert.ok(typeof frame === 'object' && frame.type === 'said')
    const sealer = new Sealer(bytes(vectors.membershipKey), bytes(vectors.address))
    const message = sealer.open(frame.box)
    assert.ok(typeof message === 'object')
    assert.ok(message.isTrue())
    assert.equal(message.saying, sayingOf(vector))
    assert.is(message.seq, vector.seq)
    assert.is(b4a.toString(message.core, 'hex'), vectors.core)
  })
}

test.run()
