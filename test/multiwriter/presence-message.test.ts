import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  encodeBody,
  encodeContent,
  parseFrame,
  Sealer,
  type Content,
  type SealedSaying
} from '../../multiwriter/presence/message.ts'
import { SimKeys } from '../support/presence.ts'

interface Vectors {
  readonly membershipKey: string
  readonly address: string
  readonly epochKey: string
  readonly publicKey: string
  readonly core: string
  readonly session: string
  readonly messages: readonly {
    readonly name: string
    readonly seq: number
    readonly kind: SealedSaying['kind']
    readonly slot?: number
    readonly topic?: string
    readonly payload?: string | null
    readonly content?: string
    readonly sealed?: string
    readonly body: string
    readonly frame: string
  }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/presence.json', import.meta.url), 'utf8')
) as Vectors

const bytes = (hex: string) => b4a.from(hex, 'hex')

type Vector = Vectors['messages'][number]

function sayingOf({ kind, slot = 0, sealed = '' }: Vector): SealedSaying {
  return kind === 'state' ? { kind, slot, sealed: bytes(sealed) } : { kind }
}

function contentOf({ kind, topic = '', payload }: Vector): Content | null {
  if (kind !== 'state') return null
  return { topic, payload: typeof payload === 'string' ? bytes(payload) : null }
}

/** The stack's bytes and ours differ in their class only. */
const inHex = (saying: SealedSaying) =>
  saying.kind === 'state' ? { ...saying, sealed: b4a.toString(saying.sealed, 'hex') } : saying

const sealerWith = (keys: SimKeys) =>
  new Sealer(bytes(vectors.membershipKey), bytes(vectors.address), keys)

for (const vector of vectors.messages) {
  const { publicKey, session } = vectors

  test(`format 2, ${vector.name}: the bytes that are sealed and signed, and what the frame says`, () => {
    const content = contentOf(vector)
    if (content !== null) assert.is(b4a.toString(encodeContent(content), 'hex'), vector.content)
    const place = { session: bytes(session), seq: vector.seq }
    const body = encodeBody(bytes(publicKey), place, sayingOf(vector))
    assert.is(b4a.toString(body, 'hex'), vector.body)

    const frame = parseFrame(bytes(vector.frame))
    assert.ok(typeof frame === 'object' && frame.type === 'said')
    const message = sealerWith(new SimKeys(bytes(vectors.epochKey))).open(frame.box)
    assert.ok(typeof message === 'object')
    assert.ok(message.isTrue())
    assert.equal(inHex(message.saying), inHex(sayingOf(vector)))
    assert.equal(message.read(), content)
    assert.is(message.seq, vector.seq)
    assert.is(b4a.toString(message.core, 'hex'), vectors.core)
  })

  test(`format 2, ${vector.name}: who has the membership key alone sees whose it is, and not what it says`, () => {
    const frame = parseFrame(bytes(vector.frame))
    assert.ok(typeof frame === 'object' && frame.type === 'said')
    const message = sealerWith(new SimKeys()).open(frame.box)
    assert.ok(typeof message === 'object')
    assert.ok(message.isTrue())
    assert.is(b4a.toString(message.core, 'hex'), vectors.core)
    assert.is(message.read(), null)
  })
}

test.run()
