/**
 * Time-stamp tokens of RFC 3161: an authority signs that it saw some hash at some time. What it is asked about here is the SHA-256 of
 * an anchor's 32 bytes, so any tool that stamps a file of those bytes does as well. Checked offline, against authorities that the
 * caller trusts; whether a certificate was called back since, nobody can tell offline.
 *
 * ASN.1, certificates and their chains are PKI.js', loaded when they are needed.
 */
import b4a from 'b4a'
import type { Certificate, ExtKeyUsage, SignedData, TSTInfo } from 'pkijs'
import { ManyhandsError } from '../../errors.ts'

/** What a token says, once it holds. */
export interface Timestamp {
  readonly time: Date
  /** The subject of the certificate that signed, as people read it. */
  readonly authority: string
}

const SHA256 = '2.16.840.1.101.3.4.2.1'
const TST_INFO = '1.2.840.113549.1.9.16.1.4'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const TIME_STAMPING = '1.3.6.1.5.5.7.3.8'

/** The request to send to an authority (`application/timestamp-query`). */
export async function timestampRequest(hash: Uint8Array): Promise<Uint8Array> {
  const { AlgorithmIdentifier, MessageImprint, TimeStampReq } = await import('pkijs')
  const { OctetString } = await import('asn1js')
  const messageImprint = new MessageImprint({
    hashAlgorithm: new AlgorithmIdentifier({ algorithmId: SHA256 }),
    hashedMessage: new OctetString({ valueHex: await sha256(hash) })
  })
  const request = new TimeStampReq({ version: 1, messageImprint, certReq: true })
  return new Uint8Array(request.toSchema().toBER())
}

/**
 * @param bytes a response (`application/timestamp-reply`), or the token out of one
 * @throws PROOF_INVALID where it is none, or is about something else than this hash
 */
export async function checkTimestamp(bytes: Uint8Array, hash: Uint8Array): Promise<void> {
  const { info } = await readToken(bytes)
  await checkImprint(info, hash)
}

/**
 * @param authorities certificates that are trusted, as PEM
 * @throws PROOF_INVALID, saying why it does not hold
 */
export async function verifyTimestamp(
  bytes: Uint8Array,
  hash: Uint8Array,
  authorities: readonly string[]
): Promise<Timestamp> {
  const trustedCerts = await Promise.all(authorities.map(readCertificate))
  const { signed, info } = await readToken(bytes)
  await checkImprint(info, hash)
  const signer = await checkSignature(signed, hash, info.genTime, trustedCerts)
  return { time: info.genTime, authority: nameOf(signer) }
}

async function checkSignature(
  signed: SignedData,
  hash: Uint8Array,
  time: Date,
  trustedCerts: Certificate[]
): Promise<Certificate> {
  const verified = await signed
    .verify({
      signer: 0,
      data: bufferOf(hash),
      trustedCerts,
      checkChain: true,
      checkDate: time, // a certificate that has run out since was good then
      extendedMode: true
    })
    .catch((cause: unknown) => {
      throw invalid('is not signed by an authority that is trusted', cause)
    })
  const { signerCertificate: signer, signatureVerified, signerCertificateVerified } = verified
  if (signatureVerified !== true) throw invalid('has a wrong signature')
  if (signerCertificateVerified !== true || signer === undefined || signer === null) {
    throw invalid('is not signed by an authority that is trusted')
  }
  if (!stampsTime(signer)) throw invalid('is signed by a certificate that is not for time stamps')
  return signer
}

interface Token {
  readonly signed: SignedData
  readonly info: TSTInfo
}

async function readToken(bytes: Uint8Array): Promise<Token> {
  const { ContentInfo, SignedData, TimeStampResp, TSTInfo } = await import('pkijs')
  try {
    const token = readsAs(() => TimeStampResp.fromBER(bufferOf(bytes)).timeStampToken)
    const { content } = token ?? ContentInfo.fromBER(bufferOf(bytes))
    const signed = new SignedData({ schema: content })
    const { eContentType, eContent } = signed.encapContentInfo
    if (eContentType !== TST_INFO || eContent === undefined) throw new TypeError('no time stamp')
    return { signed, info: TSTInfo.fromBER(eContent.getValue()) }
  } catch (cause) {
    throw new ManyhandsError('PROOF_INVALID', 'This is no time-stamp token', { cause })
  }
}

function readsAs<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

async function checkImprint({ messageImprint }: TSTInfo, hash: Uint8Array): Promise<void> {
  if (messageImprint.hashAlgorithm.algorithmId !== SHA256) throw invalid('does not use SHA-256')
  const stamped = new Uint8Array(messageImprint.hashedMessage.getValue())
  if (b4a.equals(stamped, new Uint8Array(await sha256(hash)))) return
  throw invalid('is about something else')
}

/** RFC 3161, 2.3: only for this use. */
function stampsTime({ extensions }: Certificate): boolean {
  const usage = extensions?.find(({ extnID }) => extnID === EXTENDED_KEY_USAGE)
  const parsed = usage?.parsedValue as ExtKeyUsage | undefined
  return parsed?.keyPurposes.includes(TIME_STAMPING) === true
}

async function readCertificate(pem: string): Promise<Certificate> {
  const { Certificate: Parsed } = await import('pkijs')
  try {
    const [, base64 = ''] = /-----BEGIN CERTIFICATE-----([^-]+)/.exec(pem) ?? []
    return Parsed.fromBER(bufferOf(b4a.from(base64.replaceAll(/\s/g, ''), 'base64')))
  } catch (cause) {
    throw new ManyhandsError('INVALID_ARGUMENT', 'authorities: expected certificates as PEM', {
      cause
    })
  }
}

/** As far as it is text, the common name last. */
function nameOf({ subject }: Certificate): string {
  return subject.typesAndValues.map(({ value }) => String(value.valueBlock.value)).join(', ')
}

function sha256(bytes: Uint8Array): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', bufferOf(bytes))
}

/** Of its own: what is given may be a part of a larger one. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

function invalid(problem: string, cause?: unknown): ManyhandsError {
  return new ManyhandsError('PROOF_INVALID', `The time-stamp token ${problem}`, { cause })
}
