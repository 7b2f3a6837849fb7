/** `device.json`: what people call this device. */
import { ManyhandsError } from '../../errors.ts'

const VERSION = 1

export function encodeName(name: string): string {
  return `${JSON.stringify({ version: VERSION, name }, null, 2)}\n`
}

/** @throws STORE_DAMAGED, STORE_UNSUPPORTED */
export function decodeName(text: string | null): string | null {
  if (text === null) return null
  const file: unknown = JSON.parse(text)
  if (typeof file !== 'object' || file === null || !('version' in file)) throw damaged()
  if (file.version !== VERSION) {
    const message = `device.json has format version ${String(file.version)}`
    throw new ManyhandsError('STORE_UNSUPPORTED', message)
  }
  if (!('name' in file) || typeof file.name !== 'string' || file.name === '') throw damaged()
  return file.name
}

function damaged(): ManyhandsError {
  return new ManyhandsError('STORE_DAMAGED', 'device.json is damaged')
}
