/** Updates ahead of logs, said by hand; and wires that treat them badly. */
import z32 from 'z32'
import * as Y from 'yjs'
import { sign } from '../../core/crypto.ts'
import { logKeyOf } from '../../core/index.ts'
import { encodeStatement, Minutes } from '../../crdt/index.ts'
import { yjs } from '../../crdt/document/yjs.ts'
import type { Space } from '../../multiwriter/index.ts'
import { AheadCodec, type AheadUpdate } from '../../multiwriter/documents/ahead.ts'
import { Sources } from '../../multiwriter/documents/sources.ts'
import type { Signer } from '../../multiwriter/presence/message.ts'
import type { SeededRandom } from './random.ts'

let sessions = 0

/** Somebody who says, and signs, what no log may ever hold. */
export class Words {
  readonly doc = new Y.Doc()
  readonly #session = sessions++
  readonly #signer: Signer
  readonly #codec: AheadCodec
  #number = 0

  constructor(space: Pick<Space, 'address'>, signer: Signer) {
    this.#signer = signer
    this.#codec = new AheadCodec(z32.decode(space.address))
    const sources = new Sources(yjs, 'd')
    yjs.writeAs(this.doc, sources.of(logKeyOf(signer.publicKey), this.#session))
  }

  /** Types at the beginning of what it has. @returns the signed update */
  type(text: string): Uint8Array {
    return this.sign({ bytes: this.update(text) })
  }

  /** @returns a statement */
  update(text: string): Uint8Array {
    const before = Y.encodeStateVector(this.doc)
    this.doc.getText('t').insert(0, text)
    const packed = yjs.pack([Y.encodeStateAsUpdate(this.doc, before)])
    const sessions = [this.#session]
    return encodeStatement({ sessions, isImport: false, minutes: new Minutes(), update: packed })
  }

  sign(update: Partial<Pick<AheadUpdate, 'id' | 'engine' | 'number' | 'bytes'>>): Uint8Array {
    const number = this.#number++
    const bytes = new Uint8Array(0)
    return this.#codec.sign({ id: 'd', engine: yjs.code, number, bytes, ...update }, this.#signer)
  }
}

/** Signs as a device does, with the key of its log. */
export function signerOfSpace(space: Space): Signer {
  const pair = space.wire.cores().find(({ key }) => z32.encode(key) === space.writer)?.keyPair
  if (pair === undefined || pair === null) throw new Error('No key pair')
  return {
    publicKey: pair.publicKey,
    sign: (context, ...parts) => sign(pair.secretKey, context, ...parts)
  }
}

/** From now on, what comes ahead is lost, doubled, or comes late and in another order; everything else comes as ever. */
export function garbleAhead({ wire }: Space, random: SeededRandom): void {
  const onpresence = wire.onpresence.bind(wire)
  wire.onpresence = (peer, message) => {
    const times = message[0] === AHEAD ? [0, 1, 1, 1, 2][random.below(5)] : 1
    for (let i = 0; i < (times ?? 1); i++) {
      if (message[0] !== AHEAD || random.below(2) === 0) onpresence(peer, message)
      else setTimeout(() => onpresence(peer, message), random.below(300)).unref()
    }
  }
}

const AHEAD = 3
