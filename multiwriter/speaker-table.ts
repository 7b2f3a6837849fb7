/**
 * A sorted table of keys, in memory: of each, which of some logs say something there. Of what they say it holds nothing.
 *
 * The keys stand one behind the other in one array of bytes, so that a key costs its bytes and two numbers. Looking up is a
 * binary search; the slow twin is a Map (test/multiwriter/speaker-table.test.ts).
 */
import b4a from 'b4a'

/** Numbers of the logs that say something at a key; they rise. */
export type Speakers = readonly number[]

export class SpeakerTable {
  readonly #bytes: Uint8Array
  /** Where each key ends in `#bytes`. */
  readonly #ends: Uint32Array
  readonly #speakers: readonly Speakers[]

  constructor(bytes: Uint8Array, ends: Uint32Array, speakers: readonly Speakers[]) {
    this.#bytes = bytes
    this.#ends = ends
    this.#speakers = speakers
  }

  get size(): number {
    return this.#speakers.length
  }

  /** Whether this key stands at that place. */
  isAt(index: number, key: Uint8Array): boolean {
    return index < this.size && this.#compare(index, key) === 0
  }

  speakersAt(index: number): Speakers {
    return this.#speakers[index] ?? NOBODY
  }

  /** Who says something at a key. */
  at(key: Uint8Array): Speakers {
    const index = this.indexOf(key)
    return this.isAt(index, key) ? this.speakersAt(index) : NOBODY
  }

  /** Of the first key that is not below this one; `size` if there is none. */
  indexOf(key: Uint8Array): number {
    let [low, high] = [0, this.size]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Of the first key above this one. */
  indexBehind(key: Uint8Array): number {
    const index = this.indexOf(key)
    return this.isAt(index, key) ? index + 1 : index
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0)
  }

  /** By hand: a call into the runtime for each step of a search costs more than the few bytes that differ. */
  #compare(index: number, key: Uint8Array): number {
    const start = this.#startOf(index)
    const length = (this.#ends[index] ?? 0) - start
    const shorter = Math.min(length, key.byteLength)
    for (let i = 0; i < shorter; i++) {
      const difference = (this.#bytes[start + i] ?? 0) - (key[i] ?? 0)
      if (difference !== 0) return difference
    }
    return length - key.byteLength
  }
}

/** Takes keys in rising order. */
export class SpeakerTableBuilder {
  #bytes = new Uint8Array(1024)
  #length = 0
  readonly #ends: number[] = []
  readonly #speakers: Speakers[] = []

  /** Bytes that the table takes, about. */
  get byteLength(): number {
    return this.#length + BYTES_PER_KEY * this.#ends.length
  }

  add(key: Uint8Array, speakers: Speakers): void {
    const end = this.#length + key.byteLength
    if (end > this.#bytes.byteLength) this.#grow(end)
    this.#bytes.set(key, this.#length)
    this.#length = end
    this.#ends.push(end)
    this.#speakers.push(speakers)
  }

  table(): SpeakerTable {
    const bytes = b4a.from(this.#bytes.subarray(0, this.#length))
    return new SpeakerTable(bytes, Uint32Array.from(this.#ends), this.#speakers)
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(least, 2 * this.#bytes.byteLength))
    grown.set(this.#bytes)
    this.#bytes = grown
  }
}

/** The end of its bytes, and a reference to a list that keys with one speaker share. */
const BYTES_PER_KEY = 12

const NOBODY: Speakers = []
