/** Golden bytes of a document's entries: what one version wrote, every later one reads. */
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeEntry,
  decodeStatement,
  decodeUpdate,
  encodeOpaque,
  encodeStatement,
  encodeUpdate,
  TYPE_DOCUMENT_UPDATE,
  type Source,
  type UpdateKind
} from '../../crdt/index.ts'
import { automerge } from '../../crdt/document/automerge.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import { Sources } from '../../multiwriter/documents/sources.ts'

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
  readonly statement?: {
    readonly sessions: readonly number[]
    readonly isImport: boolean
    readonly minutes: readonly unknown[]
    readonly update: string
  }
  readonly text?: string
}

interface SourceVector {
  readonly engine: number
  readonly core: string
  readonly document: string
  readonly session: number
  readonly source: Source
}

interface Vectors {
  readonly stamp: { readonly ms: number; readonly counter: number; readonly tag: string }
  readonly entries: readonly Vector[]
  readonly sources: readonly SourceVector[]
}

const { stamp, entries, sources }: Vectors = JSON.parse(
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

function textByYjs(update: Uint8Array): string {
  const doc = yjs.create('d')
  assert.equal(yjs.apply(doc, [update], null).refused, [])
  return doc.getText('t').toJSON()
}

function textByAutomerge(update: Uint8Array): unknown {
  const doc = automerge.create('d')
  assert.equal(automerge.apply(doc, [update], null).refused, [])
  const { value } = doc
  return typeof value === 'object' && value !== null ? Reflect.get(value, 't') : undefined
}

for (const { name, hex, position, update, statement, text } of entries) {
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
    if (statement === undefined) return
    const said = decodeStatement(decoded.bytes)
    assert.ok(said)
    const [minutes, bytes] = [[...said.minutes], b4a.toString(said.update, 'hex')]
    assert.equal({ ...said, minutes, update: bytes }, statement)
    assert.ok(b4a.equals(encodeStatement(said), decoded.bytes))
    assert.is(update.engine === 2 ? textByAutomerge(said.update) : textByYjs(said.update), text)
  })
}

for (const { engine, core, document, session, source } of sources) {
  test(`document vector: what engine ${engine} counts under in session ${session}`, () => {
    const found = [yjs, automerge].find(({ code }) => code === engine)
    assert.ok(found)
    assert.is(new Sources(found, document).of(b4a.from(core, 'hex'), session), source)
  })
}

test.run()
