/**
 * How a device becomes one of somebody who has others: it asks, one of those answers. Both are public: what they say is signed,
 * and lets nobody read anything (docs/FORMAT.md, "Identity").
 *
 *     request = "mhr1" + z32(device 32 B, name, signature 64 B: sign(device, "manyhands/device-request", name), checksum 4 B)
 *     answer  = "mha1" + z32(attestation, checksum 4 B)
 */
import b4a from 'b4a'
import { isSigned, sign, type DeviceStore } from '../../core/index.ts'
import { ManyhandsError } from '../../errors.ts'
import { decodeText, encodeText } from '../checked-text.ts'

const REQUEST = { prefix: 'mhr1', context: 'manyhands/device-request-text' }
const ANSWER = { prefix: 'mha1', context: 'manyhands/device-answer-text' }
const SIGNED = 'manyhands/device-request'

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** A device that wants to be one of somebody's. */
export interface DeviceRequest {
  readonly device: Uint8Array
  /** What it calls itself. */
  readonly name: string
}

/** The bytes of a request. */
export function signedRequest({ publicKey, secretKey }: DeviceStore['keyPair'], name: string) {
  const said = b4a.from(name)
  return b4a.concat([publicKey, sign(secretKey, SIGNED, said), said])
}

/** Null for what is not signed by its device. */
export function openRequest(body: Uint8Array): DeviceRequest | null {
  const device = body.subarray(0, KEY_BYTES)
  const signature = body.subarray(KEY_BYTES, KEY_BYTES + SIGNATURE_BYTES)
  const name = body.subarray(KEY_BYTES + SIGNATURE_BYTES)
  if (signature.byteLength < SIGNATURE_BYTES || !isSigned(signature, device, SIGNED, name))
    return null
  return { device, name: b4a.toString(name) }
}

export function encodeRequest(keyPair: DeviceStore['keyPair'], name: string) {
  return encodeText(REQUEST, signedRequest(keyPair, name))
}

/** @throws REQUEST_INVALID */
export function decodeRequest(text: string): DeviceRequest {
  const request = openRequest(decodeText(REQUEST, text, badRequest))
  if (request === null) throw badRequest('is not signed by its device')
  return request
}

export function encodeAnswer(attestation: Uint8Array): string {
  return encodeText(ANSWER, attestation)
}

/** The attestation; not checked. @throws REQUEST_INVALID */
export function decodeAnswer(text: string): Uint8Array {
  return decodeText(ANSWER, text, badAnswer)
}

const badRequest = (problem: string) =>
  new ManyhandsError('REQUEST_INVALID', `The request ${problem}`)

export const badAnswer = (problem: string) =>
  new ManyhandsError('REQUEST_INVALID', `The answer ${problem}`)
