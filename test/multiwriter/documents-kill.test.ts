/** A process that types and is killed loses nothing it had acknowledged, through compactions and cached states alike. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import { Child } from '../support/child.ts'
import { tempFolder, until } from '../support/devices.ts'
import { textOf } from '../support/documents.ts'

const ROUNDS = 4

test('documents: kill -9 loses no edit whose flush had resolved', async () => {
  const temp = await tempFolder()
  const folder = join(temp.path, 'a')
  const made = await openDevice({ storage: folder })
  const { address } = await made.createSpace()
  await made.close()
  let acknowledged = 0
  for (let round = 0; round < ROUNDS; round++) {
    const child = new Child('document-process.ts', { folder, space: address })
    const acks = 5 + round * 60
    await until(() => child.acks >= acks || child.isOver, { timeout: 30_000 })
    assert.not.ok(child.isOver, child.errors)
    await child.kill()
    for (const line of child.lines) {
      const [what, length] = line.split(' ')
      if (what === 'open') assert.ok(Number(length) >= acknowledged, `round ${round}: ${line}`)
      acknowledged = Math.max(acknowledged, Number(length))
    }
    if (round % 2 === 0) continue
    // Closing compacts, and caches what the next process opens.
    const device = await openDevice({ storage: folder })
    const document = await (await device.openSpace(address)).documents.open('d')
    assert.ok(document.doc.getText('t').length >= acknowledged)
    assert.match(textOf(document), /^x*$/)
    acknowledged = document.doc.getText('t').length
    await device.close()
  }
  await temp.remove()
})

test.run()
