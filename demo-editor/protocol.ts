/**
 * What a page and its device say to each other over their WebSocket.
 *
 * Text messages are JSON: requests of the page, notices of the device. Binary messages belong to one document that the page has
 * open, on a channel whose number the page chose:
 *
 *     channel  varuint
 *     kind     varuint   0 sync, 1 awareness, 2 acknowledgement, 3 client id, 4 seal, 5 reload
 *     kind 0   page to device: number (varuint, counts from 1 on each connection and channel), then a y-protocols sync message
 *              device to page: a y-protocols sync message
 *     kind 1   an update of y-protocols' awareness
 *     kind 2   device to page: the number up to which everything that the page sent is durable
 *     kind 3   device to page: the client id (varuint) that the page writes under from now on, which proves that it is the device's
 *     kind 4   device to page: how many spans (varuint), and of each its client, start and end (varuint each). They lie past a seal: the
 *              page strikes them, so that none of its undos brings them back
 *     kind 5   device to page: the document is another one now, and the channel is closed. The page opens it on another channel
 *
 * The device speaks first on a channel, with a client id and its state vector: then the page sends what the device lacks, and asks
 * in turn.
 */
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { Spans } from '../crdt/document/spans.ts'

/** The text inside a document's Y.Doc. */
export const TEXT = 'text'

export const MAX_TITLE = 200

/** A version names each device that wrote, in some sixty characters. */
const MAX_VERSION = 100_000

/** So long a text is shown as it was, with what is different: a page puts all of it on the screen. */
export const MAX_COMPARED = 1024 * 1024

/** Of a longer text it is not told who wrote it, nor of one that is mixed more finely. */
export const MAX_AUTHORED = 1024 * 1024
export const MAX_STRETCHES = 200_000

/** Of what left the view, so many entries are told. */
export const MAX_LEFT = 50

/** Of a longer history the last moments are told. */
export const MAX_MOMENTS = 2000

/** A text grows by pasting up to this size: a page holds several times as much of it, and its device, too. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024

/** One message may bring a whole text, and what was deleted from it and can still be undone. Beyond this the page is broken. */
export const MAX_MESSAGE_BYTES = 2 * MAX_TEXT_BYTES

/** Codes of WebSocket closings. 4000 and up are an application's own. */
export const CLOSE = {
  wrongToken: 4401,
  badMessage: 4400,
  /** The device does something else now: the page connects anew, and hears what. */
  changed: 4205,
  tooLarge: 1009
} as const

/** A person types no more than this: words, shares, a ticket. */
const MAX_TYPED = 20_000

/** The library's limits. */
export const MAX_SHARES = 64
export const MAX_PETNAME = 255

export type Request =
  /** Gives a document a title: a new one with its first, another one anew. */
  | { readonly type: 'name'; readonly id: string; readonly title: string }
  | { readonly type: 'delete'; readonly id: string }
  | { readonly type: 'open'; readonly id: string; readonly channel: number }
  | { readonly type: 'release'; readonly channel: number }
  /** Each of these is answered in its turn: by the notice of its name, or as failed. */
  | { readonly type: 'history'; readonly id: string }
  | { readonly type: 'compare'; readonly id: string; readonly from: Place; readonly to: Place }
  | { readonly type: 'restore'; readonly id: string; readonly version: string }
  | { readonly type: 'authorship'; readonly channel: number }
  /** Takes a member's rights away; lets all count that a removed one has written, and gives no rights back. */
  | { readonly type: 'revoke'; readonly identity: string }
  | { readonly type: 'readmit'; readonly identity: string }
  /** Makes an invite for one device. */
  | { readonly type: 'invite'; readonly role: InviteRole }
  | KeyRequest
  | DoorRequest

/** About this device's keys, and who it is; answered as those above. What is secret is told once, to the page that asks. */
export type KeyRequest =
  | { readonly type: 'phrase' }
  | { readonly type: 'verify'; readonly secret: string }
  | { readonly type: 'split'; readonly shares: number; readonly needed: number }
  /** Of the phrase (null) or of shares: a page to print. */
  | { readonly type: 'kit'; readonly shares: readonly string[] | null }
  /** Null for none. */
  | { readonly type: 'passphrase'; readonly from: string | null; readonly to: string | null }
  | { readonly type: 'ticket' }
  /** What this device calls somebody. */
  | { readonly type: 'petname'; readonly identity: string; readonly name: string | null }
  | { readonly type: 'lock' }
  | PairingRequest

/** By which another device becomes this person's. What comes of it is told to all pages. */
export type PairingRequest =
  /** Makes a link; an earlier one ends. Answered. */
  | { readonly type: 'pair' }
  /** Says of the device that shows these digits whether it is this person's. */
  | { readonly type: 'decide'; readonly code: string; readonly isOurs: boolean }
  | { readonly type: 'unpair' }

/** What a page asks whose device is locked, or in no notebook. What comes of it is a new connection, or an arrival. */
export type DoorRequest =
  | { readonly type: 'unlock'; readonly passphrase: string }
  /** By an invite, or the link of another device of this person. */
  | { readonly type: 'join'; readonly link: string }
  /** By the words, or each share on a line; and an invite, or the notebook's ticket. */
  | { readonly type: 'recover'; readonly secret: string; readonly entrance: string }
  | { readonly type: 'give-up' }

/** What a device is doing: 'empty' is in no notebook. */
export type Stage = 'starting' | 'locked' | 'empty' | 'open'

/** How far a device is on its way into a notebook. */
export interface Arrival {
  readonly doing: 'joining' | 'comparing' | 'reading' | 'meeting' | 'recovering' | null
  /** While it is comparing: what the other device shows, too. */
  readonly code: string | null
  /** What came of the last attempt. */
  readonly trouble: Trouble | null
}

export interface Trouble {
  readonly message: string
  /** What to do about it. */
  readonly next: string | null
}

export interface KeysNotice {
  /** Whose device it is. */
  readonly identity: string
  readonly hasPhrase: boolean
  readonly hasPassphrase: boolean
}

/** A link for another device of this person, and who has come by it. */
export type Pairing =
  | { readonly step: 'none' | 'waiting' | 'refused' | 'expired' }
  /** Until a person has compared the digits. */
  | { readonly step: 'asking'; readonly name: string; readonly code: string }
  | { readonly step: 'joined'; readonly name: string }

export type InviteRole = 'reader' | 'writer' | 'admin'

/** A version of a document, what was there before the first, or what is there now. */
export type Place = { readonly version: string } | 'start' | 'now'

export type Notice =
  /** The first of a connection. Of 'open' on, all that is below follows; else arrivals. */
  | { readonly type: 'hello'; readonly name: string; readonly hue: number; readonly stage: Stage }
  | { readonly type: 'arrival'; readonly arrival: Arrival }
  | ({ readonly type: 'keys' } & KeysNotice)
  /** What is new or different in the list, and what is not in it any more; the first of a connection tells all there is. */
  | {
      readonly type: 'documents'
      readonly rows: readonly DocumentRow[]
      readonly gone: readonly string[]
    }
  /** The document has this title, durably. */
  | { readonly type: 'named'; readonly id: string; readonly title: string }
  | { readonly type: 'sync'; readonly sync: SyncNotice }
  | {
      readonly type: 'history'
      readonly id: string
      /** The oldest first; of a very long history the last ones. */
      readonly moments: readonly Moment[]
      /** By writer, those who have said who they are. */
      readonly people: Readonly<Record<string, Person>>
    }
  | { readonly type: 'compare'; readonly id: string; readonly pieces: readonly Piece[] }
  | { readonly type: 'restore'; readonly id: string }
  | ({ readonly type: 'authorship'; readonly channel: number } & Authorship)
  /** Who is in the notebook: the first of a connection, and whenever it changes. */
  | { readonly type: 'members'; readonly rows: readonly MemberRow[] }
  | { readonly type: 'revoke'; readonly identity: string }
  | { readonly type: 'readmit'; readonly identity: string }
  | { readonly type: 'invite'; readonly link: string; readonly expires: number }
  | { readonly type: 'phrase'; readonly phrase: string }
  /** Whether it is this person's. */
  | { readonly type: 'verify'; readonly isRight: boolean }
  | { readonly type: 'split'; readonly shares: readonly string[] }
  /** Where it is to be had, once. */
  | { readonly type: 'kit'; readonly path: string }
  | { readonly type: 'passphrase' }
  | { readonly type: 'ticket'; readonly ticket: string }
  | { readonly type: 'petname' }
  | { readonly type: 'pair'; readonly link: string; readonly expires: number }
  /** The first of a connection, and whenever it changes. */
  | { readonly type: 'pairing'; readonly pairing: Pairing }
  /** A request could not be met. */
  | Failure

export type Failure = Trouble & { readonly type: 'failed'; readonly request: Request['type'] }

export interface DocumentRow {
  readonly id: string
  readonly title: string
  /** What others called it at the same time: choosing a title settles it. */
  readonly otherTitles: readonly string[]
}

export interface Person {
  readonly name: string
  readonly hue: number
}

/** What one person wrote in one go, and the document behind it. */
export interface Moment {
  readonly version: string
  readonly writer: string
  /** When it began and ended. */
  readonly from: number
  readonly until: number
}

/** A stretch of a text that is compared with another one. */
export interface Piece {
  readonly kind: 'same' | 'inserted' | 'deleted'
  readonly text: string
  /** Of what was inserted, as far as it is known. */
  readonly writer: string | null
}

/** Who wrote what of a text, as it was when the device answered: the page has heard all that others had written by then. */
export interface Authorship {
  /** Of the text. */
  readonly length: number
  readonly authors: readonly Author[]
  /** In order; what nobody is known to have written is between them. */
  readonly stretches: readonly Stretch[]
}

export interface Author {
  readonly name: string
  /** Null for who has not said who it is. */
  readonly hue: number | null
  /** False for what was brought in from elsewhere: then it is who brought it. */
  readonly isProven: boolean
}

/** From one index to another: whose, by its index in `authors`, and the minute in ms since 1970, or null for just now. */
export type Stretch = readonly [from: number, to: number, author: number, minute: number | null]

/** Who is in the notebook, or was. */
export interface MemberRow {
  readonly identity: string
  /** What it calls itself. */
  readonly name: string
  /** What this device calls it. */
  readonly petname: string | null
  /** Null for who has not said who it is. */
  readonly hue: number | null
  /** Null for who was removed. */
  readonly role: string | null
  /** Whose device serves this page. */
  readonly isOwn: boolean
  /** Connected now; or when last heard of, in ms since 1970; or null for never. */
  readonly seen: 'here' | number | null
  /** What was written without the right to, as far as it is here; null for nothing. */
  readonly left: Left | null
}

export interface Left {
  /** Entries of the log, those of documents included. */
  readonly changes: number
  /** What else would show in the database. */
  readonly entries: readonly LeftEntry[]
}

export interface LeftEntry {
  readonly key: string
  readonly value: string
}

export interface SyncNotice {
  /** How many devices are connected. */
  readonly peers: number
  /** Changes of this device that no other device has confirmed. */
  readonly unsynced: number
}

/** What the page with the cable and its server say: JSON both ways. */
export type CableRequest = { readonly type: 'cut' | 'heal' }
export interface CableNotice {
  readonly isCut: boolean
  readonly pages: readonly { readonly name: string; readonly url: string }[]
}

export const KIND = { sync: 0, awareness: 1, ack: 2, clientId: 3, seal: 4, reload: 5 } as const

/** Reads a request of a page. @throws TypeError for anything else */
export function parseRequest(text: string): Request {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new TypeError('expected an object')
  const fields = value as Record<string, unknown>
  const { type, id, title, channel, from, to, version, identity, role } = fields
  switch (type) {
    case 'name':
      return { type, id: parseId(id), title: parseTitle(title) }
    case 'delete':
      return { type, id: parseId(id) }
    case 'open':
      return { type, id: parseId(id), channel: parseChannel(channel) }
    case 'release':
    case 'authorship':
      return { type, channel: parseChannel(channel) }
    case 'history':
      return { type, id: parseId(id) }
    case 'revoke':
    case 'readmit':
      return { type, identity: parseIdentity(identity) }
    case 'invite':
      return { type, role: parseRole(role) }
    case 'compare':
      return { type, id: parseId(id), from: parsePlace(from), to: parsePlace(to) }
    case 'restore':
      return { type, id: parseId(id), version: parseVersion(version) }
    default:
      return parseKeyRequest(fields)
  }
}

function parseKeyRequest(fields: Record<string, unknown>): Request {
  const { type, secret, shares, needed, from, to, identity, name, passphrase, link } = fields
  const { code, isOurs } = fields
  switch (type) {
    case 'phrase':
    case 'ticket':
    case 'lock':
    case 'give-up':
    case 'pair':
    case 'unpair':
      return { type }
    case 'decide':
      return { type, code: parseTyped('code', code), isOurs: parseFlag('isOurs', isOurs) }
    case 'verify':
      return { type, secret: parseTyped('secret', secret) }
    case 'split':
      return { type, shares: parseCount(shares), needed: parseCount(needed) }
    case 'kit':
      return { type, shares: shares === null ? null : parseShares(shares) }
    case 'passphrase':
      return { type, from: parsePassphrase(from), to: parsePassphrase(to) }
    case 'petname':
      return { type, identity: parseIdentity(identity), name: parsePetname(name) }
    case 'unlock':
      return { type, passphrase: parseTyped('passphrase', passphrase) }
    case 'join':
      return { type, link: parseTyped('link', link) }
    case 'recover':
      return {
        type,
        secret: parseTyped('secret', secret),
        entrance: parseTyped('entrance', fields['entrance'])
      }
    default:
      throw new TypeError(`unknown request ${String(type)}`)
  }
}

export function parseCableRequest(text: string): CableRequest {
  const { type } = JSON.parse(text) as Record<string, unknown>
  if (type === 'cut' || type === 'heal') return { type }
  throw new TypeError(`unknown request ${String(type)}`)
}

function parseId(id: unknown): string {
  if (typeof id === 'string' && /^[\w-]{1,64}$/.test(id)) return id
  throw new TypeError('"id" expected a document id')
}

function parseIdentity(identity: unknown): string {
  if (typeof identity === 'string' && /^[a-z0-9]{52}$/.test(identity)) return identity
  throw new TypeError('"identity" expected that of a member')
}

/** What it is, is not said: it may be a secret. */
function parseTyped(name: string, text: unknown): string {
  if (typeof text === 'string' && text.trim() !== '' && text.length <= MAX_TYPED) return text
  throw new TypeError(`"${name}" expected 1 to ${MAX_TYPED} characters`)
}

function parsePassphrase(text: unknown): string | null {
  return text === null ? null : parseTyped('passphrase', text)
}

function parseShares(shares: unknown): readonly string[] {
  if (Array.isArray(shares) && shares.length > 0 && shares.length <= MAX_SHARES)
    return shares.map((share: unknown) => parseTyped('share', share))
  throw new TypeError(`"shares" expected 1 to ${MAX_SHARES} shares`)
}

function parseCount(count: unknown): number {
  if (typeof count === 'number' && count >= 2 && count <= MAX_SHARES) return count
  throw new TypeError(`expected a number from 2 to ${MAX_SHARES}`)
}

function parsePetname(name: unknown): string | null {
  if (name === null) return null
  if (typeof name === 'string' && name.trim() !== '' && name.length <= MAX_PETNAME) return name
  throw new TypeError(`"name" expected 1 to ${MAX_PETNAME} characters`)
}

function parseFlag(name: string, flag: unknown): boolean {
  if (typeof flag === 'boolean') return flag
  throw new TypeError(`"${name}" expected true or false`)
}

function parseRole(role: unknown): InviteRole {
  if (role === 'reader' || role === 'writer' || role === 'admin') return role
  throw new TypeError('"role" expected reader, writer or admin')
}

function parseTitle(title: unknown): string {
  if (typeof title === 'string' && title.trim() !== '' && title.length <= MAX_TITLE) return title
  throw new TypeError(`"title" expected 1 to ${MAX_TITLE} characters`)
}

function parseChannel(channel: unknown): number {
  if (Number.isSafeInteger(channel) && Number(channel) >= 0) return Number(channel)
  throw new TypeError('"channel" expected a non-negative integer')
}

function parsePlace(place: unknown): Place {
  if (place === 'start' || place === 'now') return place
  if (typeof place !== 'object' || place === null) throw new TypeError('expected a place')
  return { version: parseVersion(Reflect.get(place, 'version')) }
}

function parseVersion(version: unknown): string {
  if (typeof version === 'string' && version.length <= MAX_VERSION) return version
  throw new TypeError('"version" expected the text of a version')
}

/** A binary message; `write` adds what its kind needs. */
export function frame(
  channel: number,
  kind: (typeof KIND)[keyof typeof KIND],
  write: (encoder: encoding.Encoder) => void
): Uint8Array<ArrayBuffer> {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, channel)
    encoding.writeVarUint(encoder, kind)
    write(encoder)
  })
}

export interface Frame {
  readonly channel: number
  readonly kind: number
  /** Stands at what its kind says. */
  readonly decoder: decoding.Decoder
}

export function writeSpans(encoder: encoding.Encoder, spans: Spans): void {
  const list = [...spans]
  encoding.writeVarUint(encoder, list.length)
  for (const { source, start, end } of list)
    for (const number of [Number(source), start, end]) encoding.writeVarUint(encoder, number)
}

export function readSpans(decoder: decoding.Decoder): Spans {
  const spans = new Spans()
  for (let left = decoding.readVarUint(decoder); left > 0; left--) {
    const [source, start, end] = [0, 1, 2].map(() => decoding.readVarUint(decoder))
    if (source !== undefined && start !== undefined && end !== undefined)
      spans.add({ source, start, end })
  }
  return spans
}

/** @throws Error for bytes that are no frame */
export function parseFrame(bytes: Uint8Array): Frame {
  const decoder = decoding.createDecoder(bytes)
  return {
    channel: decoding.readVarUint(decoder),
    kind: decoding.readVarUint(decoder),
    decoder
  }
}
