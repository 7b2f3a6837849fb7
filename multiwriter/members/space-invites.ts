/** `space.invite()` and what goes with it, as an application sees it. */
import z32 from 'z32'
import type { Invite, Key } from '../../acl/index.ts'
import { checkOptions, invalid } from '../../errors.ts'
import { prefixesOf, prefixToText, type Prefixes } from '../prefixes.ts'
import { bytesOf, keyOfText } from './credentials.ts'
import type { InviteEnd, Invites } from './invites.ts'
import { FIRST_ROLES, type FirstRole } from './space-members.ts'

export interface InviteOptions {
  /** What those are let in as who come with it. Default 'writer'. */
  readonly role?: FirstRole
  /** Of a writer: where it may write; absent is everywhere. @see RoleOptions */
  readonly prefixes?: readonly string[]
  /** How long it lets in, by the clock of whoever lets in: ms, or as '30m', '12h', '1d', '2w'. At most a year. Default a day. */
  readonly expiresIn?: number | string
  /** How many devices it may let in, 1 to 1000. Default 1. */
  readonly uses?: number
}

/** An invite as its maker gets it, once. */
export interface NewInvite {
  readonly id: string
  /** Lets in whoever has it: `device.join` takes it. It is kept nowhere and cannot be had again. */
  readonly link: string
  /** In ms since 1970. */
  readonly expires: number
}

export interface InviteInfo {
  readonly id: string
  readonly role: FirstRole
  /** Of a writer, where it may write; null for everywhere. */
  readonly prefixes: readonly string[] | null
  /** The `identity` of who made it. */
  readonly by: string
  readonly uses: number
  /** Ids of the devices that it has let in. */
  readonly devices: readonly string[]
  /** In ms since 1970. */
  readonly expires: number
  /** Whether it lets in, or why not any more. */
  readonly state: 'open' | InviteEnd
}

const MAX_USES = 1000
const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const DAY = UNITS.d

/** Who lets in by a link that is older has forgotten whom it was for. */
const MAX_MS = 366 * DAY

const DEFAULTS = { role: 'writer', expiresIn: DAY, uses: 1 } as const

export async function makeInvite(
  invites: Invites,
  options: InviteOptions,
  now: number
): Promise<NewInvite> {
  const { role, prefixes, uses, ms } = checked(options)
  const expires = now + ms
  const { key, link } = await invites.make({ role, prefixes, uses, expires })
  return { id: textOf(key), link, expires }
}

export function listInvites(invites: Invites): readonly InviteInfo[] {
  return invites.list().map((invite) => infoOf(invite, invites.endOf(invite)))
}

/** @param id of one of `listInvites` */
export function revokeInvite(invites: Invites, id: unknown): Promise<void> {
  return invites.revoke(keyOfText(id))
}

function infoOf({ record, identity, devices }: Invite, end: InviteEnd | null): InviteInfo {
  const { key, role, prefixes, uses, expires } = record
  return {
    id: textOf(key),
    role: role === 'owner' ? 'admin' : role, // no record has it: owners are voted for
    prefixes: prefixes?.map(prefixToText) ?? null,
    by: textOf(identity),
    uses,
    devices: devices.map(textOf),
    expires,
    state: end ?? 'open'
  }
}

function checked(options: InviteOptions): {
  readonly role: FirstRole
  readonly prefixes: Prefixes
  readonly uses: number
  readonly ms: number
} {
  checkOptions('invite', options, ['role', 'prefixes', 'expiresIn', 'uses'])
  const { role, uses, expiresIn } = { ...DEFAULTS, ...options }
  if (!FIRST_ROLES.includes(role)) invalid('role', "'mirror', 'reader', 'writer' or 'admin'", role)
  if (options.prefixes !== undefined && role !== 'writer')
    invalid('prefixes', 'those of a writer', options.prefixes)
  if (!Number.isSafeInteger(uses) || uses < 1 || uses > MAX_USES)
    invalid('uses', `a number from 1 to ${MAX_USES}`, uses)
  const ms = msOf(expiresIn)
  if (!Number.isSafeInteger(ms) || ms < 1 || ms > MAX_MS)
    invalid(
      'expiresIn',
      "milliseconds, or a text as '30m', '12h', '1d', '2w'; at most a year",
      expiresIn
    )
  return { role, prefixes: prefixesOf(options.prefixes), uses, ms }
}

/** NaN for what is no span of time. @param span ms, or as '30m', '12h', '1d', '2w' */
export function msOf(span: number | string): number {
  if (typeof span === 'number') return span
  const [, count = '', unit = ''] = /^(\d{1,6})([mhdw])$/.exec(span) ?? []
  return unit === 'm' || unit === 'h' || unit === 'd' || unit === 'w'
    ? Number(count) * UNITS[unit]
    : Number.NaN
}

function textOf(key: Key): string {
  return z32.encode(bytesOf(key))
}
