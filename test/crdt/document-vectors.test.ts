/** Golden bytes of a document's entries: what one version wrote, every later one reads. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeEntry,
  decodeUpdate,
  encodeOpaque,
  encodeUpdate,
  TYPE_DOCUMENT_UPDATE,
  type UpdateKind
} from '../../crdt/index.ts'
import { yjs } from '../../crdt/document/yjs.ts'

interface Vector {
  readonly name: string
  readonly hex: string
  /** The block that the entry says it was first written in. */
  readonly position?: number
  readonly update?: {
    readonly engine: number
    readonly kind: UpdateKind
    readonly isContinued: boolean
    readonly bytes: string
  }
  readonly text?: string
}

interface Vectors {
  readonly stamp: { readonly ms: number; readonly counter: number; readonly tag: string }
  readonly entries: readonly Vector[]
}

const { stamp, entries }: Vectors = JSON.parse(
  readFileSync(new URL('../vectors/document.json', import.meta.url), 'utf8')
)
const CORE = b4a.alloc(32, 1)

function payloadOf(hex: string): Uint8Array {
  const decoded = decodeEntry(b4a.from(hex, 'hex'), CORE)
  if (!decoded.ok || decoded.entry.kind !== 'unknownType')
    throw new Error('No entry of its own type')
  assert.is(decoded.entry.type, TYPE_DOCUMENT_UPDATE)
  assert.equal(decoded.entry.register.seen, [])
  return decoded.entry.register.value ?? new Uint8Array(0)
}

for (const { name, hex, position, update, text } of entries) {
  test(`document vector: ${name}`, () => {
    const payload = payloadOf(hex)
    const decoded = decodeUpdate(payload)
    if (update === undefined) return assert.is(decoded, null)
    assert.ok(decoded)
    assert.equal({ ...decoded, bytes: b4a.toString(decoded.bytes, 'hex') }, update)
    const place = position === undefined ? null : { core: new Uint8Array(0), seq: position }
    const head = { position: place, stamp: { ...stamp, tag: b4a.from(stamp.tag, 'hex') } }
    const [again = payload] = update.isContinued
      ? []
      : encodeUpdate(update.engine, update.kind, decoded.bytes)
    assert.is(b4a.toString(encodeOpaque(TYPE_DOCUMENT_UPDATE, head, again), 'hex'), hex)
    if (text === undefined) return
    const doc = yjs.create('d')
    assert.equal(yjs.apply(doc, [decoded.bytes], null).refused, [])
    assert.is(doc.getText('t').toJSON(), text)
  })
}

test.run()
