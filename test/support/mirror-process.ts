/**
 * A device in a process of its own that others connect to, or that connects to one, over TCP; and keeps what it can read:
 *
 *     port <number>     where it listens
 *     read <count>      so many canaries stand in what it can read of the space
 *     state <json>      what it has and who is connected, whenever that has changed
 *
 * It ends when its parent kills it.
 */
import { writeSync } from 'node:fs'
import net from 'node:net'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { canariesIn } from './canaries.ts'
import type { MirrorState, MirrorTask } from './mirror.ts'

const task = JSON.parse(process.argv[2] ?? '') as MirrorTask

const device = await openDevice({ storage: task.folder })
const space = await device.openSpace(task.ticket)
/** So that it stays in memory. */
let kept: readonly string[] = []
let told = ''

if (task.connectTo === undefined) listen()
else device.replicate(net.connect(task.connectTo, '127.0.0.1'), { initiator: true })
let lengths = ''
for (;;) {
  const now = JSON.stringify(lengthsOf(space))
  if (now !== lengths) kept = await readAll(space)
  lengths = now
  tell(`state ${JSON.stringify(stateOf())}`)
  await new Promise((resolve) => setTimeout(resolve, 200))
}

function listen(): void {
  const server = net.createServer((socket) => {
    device.replicate(socket, { initiator: false })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address !== null && typeof address !== 'string') writeSync(1, `port ${address.port}\n`)
  })
}

function stateOf(): MirrorState {
  const { sealed, devices } = space.presence.stats()
  return {
    writer: space.writer,
    read: canariesIn(task.prefix, kept).size,
    peers: space.peers().length,
    logs: lengthsOf(space),
    behind: space.syncState().logs.flatMap(({ behind }) => behind ?? []),
    refused: space.refusals().map(({ reason }) => reason),
    sealed,
    devices
  }
}

function lengthsOf(of: Space): MirrorState['logs'] {
  const { logs } = of.syncState()
  return Object.fromEntries(logs.map(({ writer, here }) => [writer, here]))
}

function tell(line: string): void {
  if (line !== told) writeSync(1, `${line}\n`)
  told = line
}

async function readAll({ db, documents }: Space): Promise<readonly string[]> {
  const texts: string[] = []
  for (const each of [db, ...(task.subs ?? []).map((name) => db.sub(name))])
    for await (const { key, value } of each.createReadStream())
      texts.push(JSON.stringify([key, value]))
  for await (const { id, metadata } of documents.list()) {
    const document = await documents.open(id)
    const text = document.doc.getText('t').toJSON()
    texts.push(JSON.stringify([id, metadata, text]))
    await document.close()
  }
  return texts
}
