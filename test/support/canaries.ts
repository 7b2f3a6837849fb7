/**
 * Words that stand nowhere but where they were put, and the search for them: in a folder, and in all memory of a process. All begin
 * alike, so that the search is for one text in the two forms in which strings lie in memory.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { filesIn } from './store.ts'

const DIGITS = 4

/** One of many reads of memory, and what a canary may reach from it into the next. */
const CHUNK_BYTES = 4 * 1024 * 1024
const OVERLAP_BYTES = 256

/** Whether the memory of a child can be read here: on Linux, where nothing around this process forbids it. */
export const canReadMemory = process.platform === 'linux' && (await canReadChild())

async function canReadChild(): Promise<boolean> {
  const child = spawn('sleep', ['10'])
  try {
    await once(child, 'spawn')
    const memory = await open(`/proc/${child.pid}/mem`, 'r')
    await memory.close()
    return true
  } catch {
    return false
  } finally {
    child.kill()
  }
}

export class Canaries {
  /** Given to who looks for them: it is none itself. */
  readonly prefix = `canary${randomBytes(8).toString('hex')}x`
  readonly #kinds: string[] = []

  /** @param kind what it is planted as */
  next(kind: string): string {
    this.#kinds.push(kind)
    return this.#text(this.#kinds.length - 1)
  }

  #text(i: number): string {
    return this.prefix + String(i).padStart(DIGITS, '0')
  }

  get planted(): number {
    return this.#kinds.length
  }

  all(isSo: (kind: string, canary: string) => boolean): ReadonlySet<string> {
    const all = this.#kinds.map((kind, i) => [kind, this.#text(i)] as const)
    return new Set(all.flatMap(([kind, canary]) => (isSo(kind, canary) ? canary : [])))
  }

  /** Of which kinds, and how many of each. */
  kindsOf(found: ReadonlySet<string>): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const each of found) {
      const kind = this.#kinds[Number(each.slice(-DIGITS))] ?? 'none of ours'
      counts[kind] = (counts[kind] ?? 0) + 1
    }
    return counts
  }
}

/** Canaries in texts. */
export function canariesIn(prefix: string, texts: Iterable<string>): ReadonlySet<string> {
  const pattern = new RegExp(`${prefix}\\d{${DIGITS}}`, 'g')
  const found = new Set<string>()
  for (const text of texts) for (const [each] of text.matchAll(pattern)) found.add(each)
  return found
}

export async function canariesBelow(prefix: string, folder: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const [path, bytes] of await filesIn(folder)) {
    for (const each of canariesIn(prefix, [path])) found.add(each)
    search(prefix, Buffer.from(bytes), found)
  }
  return found
}

export interface MemorySearch {
  readonly found: ReadonlySet<string>
  readonly bytes: number
}

/** Reads all that a process has mapped and may read, while it stands still: what is moved meanwhile would be missed. */
export async function canariesInMemory(prefix: string, pid: number): Promise<MemorySearch> {
  const found = new Set<string>()
  let bytes = 0
  const memory = await open(`/proc/${pid}/mem`, 'r')
  process.kill(pid, 'SIGSTOP')
  try {
    for (const [start, end] of await mappedBy(pid)) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        const part = Buffer.alloc(Math.min(CHUNK_BYTES + OVERLAP_BYTES, end - at))
        const { bytesRead } = await memory.read(part, 0, part.byteLength, at).catch(() => NOTHING)
        bytes += Math.min(bytesRead, CHUNK_BYTES)
        search(prefix, part.subarray(0, bytesRead), found)
      }
    }
  } finally {
    process.kill(pid, 'SIGCONT')
    await memory.close()
  }
  return { found, bytes }
}

/** Of what was unmapped meanwhile, and of devices. */
const NOTHING = { bytesRead: 0 }

async function mappedBy(pid: number): Promise<readonly (readonly [number, number])[]> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8')
  return maps.split('\n').flatMap((line) => {
    const [, start, end, rights = '', name] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? []
    if (start === undefined || end === undefined || !rights.startsWith('r')) return []
    return name === '[vsyscall]' ? [] : [[parseInt(start, 16), parseInt(end, 16)] as const]
  })
}

function search(prefix: string, bytes: Buffer, found: Set<string>): void {
  for (const encoding of ['latin1', 'utf16le'] as const) {
    const start = Buffer.from(prefix, encoding)
    const length = Buffer.byteLength(prefix + '0'.repeat(DIGITS), encoding)
    for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 1)) {
      const text = bytes.toString(encoding, at, at + length)
      if (/^\d+$/.test(text.slice(prefix.length))) found.add(text)
    }
  }
}
