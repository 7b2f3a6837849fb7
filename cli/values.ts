/**
 * Values as JSON and back. JSON has no bytes: they are written `{"$bytes":"<base64>"}`. An object of the caller's that looks like
 * that gets one more `$`, so nothing is read as something else.
 */
import type { Value } from '../crdt/index.ts'
import { usage } from './exit.ts'

const MARK = /^\$+bytes$/

/** What JSON.stringify may be given. */
export function valueToJson(value: Value | undefined): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map((each: Value) => valueToJson(each))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, each]) => [name, valueToJson(each)] as const)
  const [first] = fields
  if (fields.length === 1 && first !== undefined && MARK.test(first[0])) {
    return { [`$${first[0]}`]: first[1] }
  }
  return Object.fromEntries(fields)
}

/** @throws SyntaxError for bytes that are not base64 */
export function jsonToValue(json: unknown): Value {
  if (Array.isArray(json)) return json.map(jsonToValue)
  if (typeof json !== 'object' || json === null) return json as Value
  const fields = Object.entries(json)
  const [first] = fields
  if (fields.length === 1 && first !== undefined && MARK.test(first[0])) return unmarked(...first)
  return Object.fromEntries(fields.map(([name, each]) => [name, jsonToValue(each)]))
}

/** A value in one line, for people. */
export function valueToText(value: Value | undefined): string {
  return value === undefined ? '' : JSON.stringify(valueToJson(value))
}

export function parseValue(text: string): Value {
  try {
    return jsonToValue(JSON.parse(text))
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    throw usage(`The value is not JSON: ${problem}`, 'For plain text: --text, for bytes: --file.')
  }
}

function unmarked(mark: string, content: unknown): Value {
  if (mark !== '$bytes') return { [mark.slice(1)]: jsonToValue(content) }
  if (typeof content !== 'string' || !isBase64(content)) {
    throw new SyntaxError('"$bytes" is not base64')
  }
  return new Uint8Array(Buffer.from(content, 'base64'))
}

function isBase64(text: string): boolean {
  return Buffer.from(text, 'base64').toString('base64') === text
}
