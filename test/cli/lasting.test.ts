/** What goes on until Ctrl-C, when the process that owns the store ends. */
import { PassThrough } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { processHost } from '../../cli/host.ts'
import { Output } from '../../cli/output.ts'
import { Run } from '../../cli/run.ts'
import { ManyhandsError } from '../../errors.ts'
import { rejectsWith } from '../support/rejects.ts'

function openRun(): Run {
  const host = { ...processHost, stdout: new PassThrough(), stderr: new PassThrough() }
  return new Run({ wait: 0 }, new Output(false, host), host)
}

/** Fails with these codes, one after the other; then it is done. */
function failing(...codes: ('DEVICE_CLOSED' | 'STORE_LOCKED')[]): () => Promise<string> {
  return () => {
    const code = codes.shift()
    return code === undefined
      ? Promise.resolve('done')
      : Promise.reject(new ManyhandsError(code, code))
  }
}

test('lasting: whose owner has ended goes on, however often others have the store in the meantime', async () => {
  let taken = 0
  const task = failing('DEVICE_CLOSED', 'STORE_LOCKED', 'STORE_LOCKED', 'DEVICE_CLOSED')
  assert.is(await openRun().lasting(task, () => taken++), 'done')
  assert.is(taken, 2)
})

test('lasting: what cannot begin says so', async () => {
  await rejectsWith('STORE_LOCKED', () => openRun().lasting(failing('STORE_LOCKED')))
})

test.run()
