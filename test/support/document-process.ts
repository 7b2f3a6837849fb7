/**
 * Opens a device, types into a document for ever, and says how long it was at each flush that resolved:
 *
 *     open <length>     ack <length>
 */
import { writeSync } from 'node:fs'
import { openDevice } from '../../index.ts'

export interface DocumentTask {
  readonly folder: string
  /** The space's address; the text of the document is `t`, its id 'd'. */
  readonly space: string
}

const { folder, space: address } = JSON.parse(process.argv[2] ?? '') as DocumentTask

/** Written at once, so that a killed process has said what it had acknowledged. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

const device = await openDevice({ storage: folder })
const space = await device.openSpace(address)
const { doc, flush } = await opened()
const text = doc.getText('t')
say(`open ${text.length}`)
for (;;) {
  for (let i = 0; i < 3; i++) text.insert(text.length, 'x')
  const { length } = text
  await flush()
  say(`ack ${length}`)
}

async function opened() {
  const document = await space.documents.open('d')
  return { doc: document.doc, flush: () => document.flush() }
}
