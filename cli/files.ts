/**
 * Files to read, named by a person. One that may make its reader wait (a named pipe, a terminal) is read by a process of its own: a
 * thread of this one that waits for it could not be called off, and the command could not end, not even at Ctrl-C.
 */
import { spawn } from 'node:child_process'
import { constants, createReadStream } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { PassThrough, type Readable } from 'node:stream'
import { ManyhandsError } from '../errors.ts'
import { CliError, EXIT } from './exit.ts'

export interface OpenFile {
  readonly stream: Readable
  /** 0 when nobody knows. */
  readonly bytes: number
  /** Whether it can be read again from its beginning. */
  readonly isAtRest: boolean
}

/** @throws as the system does, where there is none or it must not be read */
export async function openFile(file: string): Promise<OpenFile> {
  const status = await stat(file)
  const isAtRest = !status.isFIFO() && !status.isCharacterDevice()
  await access(file, constants.R_OK)
  if (isAtRest) return { stream: createReadStream(file), bytes: status.size, isAtRest }
  return { stream: readElsewhere(file), bytes: 0, isAtRest }
}

function readElsewhere(file: string): Readable {
  const reader = spawn('cat', ['--', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const stream = new PassThrough()
  const end = () => reader.kill()
  let problem = ''
  reader.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString()))
  reader.stdout.pipe(stream, { end: false })
  reader.once('error', (error) => stream.destroy(error))
  reader.once('close', (code) => {
    if (code === 0) stream.end()
    else stream.destroy(new CliError(EXIT.usage, 'FILE', problem.trim()))
  })
  process.once('exit', end)
  stream.once('close', () => {
    process.off('exit', end)
    end()
  })
  return stream
}

/** @throws VALUE_TOO_LARGE as soon as more came than a value may hold */
export async function readWhole(stream: Readable, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > most) {
      const message = `The input is longer than ${most.toLocaleString('en')} bytes, more than a value may take`
      throw new ManyhandsError('VALUE_TOO_LARGE', message)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
