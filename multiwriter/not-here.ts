/** What a version names, and this device does not hold. */
import z32 from 'z32'
import type { CoreLength } from '../clock/index.ts'
import { ManyhandsError } from '../errors.ts'

export function notHere({ core, length }: CoreLength): ManyhandsError {
  const message = `The log ${z32.encode(core)} is not on this device up to its length ${length}`
  return new ManyhandsError('VERSION_UNAVAILABLE', message)
}
