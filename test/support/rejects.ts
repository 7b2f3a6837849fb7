/** Failing as documented: with one of our errors, a stable code, and a message that says what was wrong. */
import * as assert from 'uvu/assert'
import { isManyhandsError, type ErrorCode, type ManyhandsError } from '../../errors.ts'

/** The task throws or rejects with this code. A task that is a promise must not have thrown at once. */
export async function rejectsWith(
  code: ErrorCode,
  task: () => unknown,
  message?: RegExp
): Promise<ManyhandsError> {
  const error = await errorOf(task)
  assert.ok(isManyhandsError(error), `expected ${code}, got ${String(error)}`)
  assert.is(error.code, code, `${error.code}: ${error.message}`)
  if (message !== undefined) assert.match(error.message, message)
  return error
}

async function errorOf(task: () => unknown): Promise<unknown> {
  try {
    await task()
  } catch (error) {
    return error
  }
  return 'no error'
}
