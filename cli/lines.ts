/**
 * The lines of a stream of bytes. Only a line feed ends a line: readline also takes U+2028, U+2029 and a lone carriage return for
 * one, which may stand inside a string of JSON. A line that is too long is not held, and one that is not UTF-8 is not guessed at.
 */
import type { Readable } from 'node:stream'

export interface Line {
  readonly text: string
  /** Why there is no text, or null. */
  readonly problem: string | null
}

/** @param max bytes; of a longer line nothing is kept */
export async function* readLines(stream: Readable, max: number): AsyncGenerator<Line> {
  const gathered = new Gathered(max)
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      gathered.add(chunk.subarray(start, end))
      yield gathered.take()
      start = end + 1
    }
    gathered.add(chunk.subarray(start))
  }
  if (gathered.bytes > 0) yield gathered.take()
}

const LF = 0x0a

/** Throws where others would put a replacement character; a byte order mark is left out. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

class Gathered {
  bytes = 0
  readonly #max: number
  #chunks: Buffer[] = []

  constructor(max: number) {
    this.#max = max
  }

  add(chunk: Buffer): void {
    this.bytes += chunk.byteLength
    if (this.bytes > this.#max) this.#chunks = []
    else this.#chunks.push(chunk)
  }

  take(): Line {
    const line = this.bytes > this.#max ? TOO_LONG : decoded(Buffer.concat(this.#chunks))
    this.#chunks = []
    this.bytes = 0
    return line
  }
}

const TOO_LONG: Line = { text: '', problem: 'the line is too long' }

function decoded(bytes: Buffer): Line {
  try {
    return { text: utf8.decode(bytes), problem: null }
  } catch {
    return { text: '', problem: 'the line is not UTF-8' }
  }
}
