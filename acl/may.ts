/** Who may do what now, asked before acting; what others did is judged by `resolveMembership` alone. */
import type { Member, Membership } from './membership.ts'
import type { Rule } from './pass.ts'
import { compareRoles, type Key, type Role } from './records.ts'
import { NO_OFFICE } from './registry.ts'

export type Act =
  | { readonly kind: 'grant'; readonly identity: Key; readonly role: Role }
  /** Of an identity, or of one device of it. */
  | {
      readonly kind: 'revoke'
      readonly identity: Key
      readonly device?: Key | null
      /** Which device says so, as is asked about one's own; default the first. */
      readonly by?: Key
    }
  | { readonly kind: 'vote' | 'leave' }

type Revocation = Extract<Act, { readonly kind: 'revoke' }>

export type Permission =
  { readonly ok: true } | { readonly ok: false; readonly rule: Rule; readonly why: string }

const YES: Permission = { ok: true }

/** Whether an identity may do this now, with the first device it has; the rule that forbids it if not. */
export function mayAct(membership: Membership, by: Key, act: Act): Permission {
  const member = membership.members.get(by)
  if (member === undefined || member.role === null) return no(2, 'no member')
  const isOwner = membership.owners.includes(by)
  switch (act.kind) {
    case 'vote':
      return isOwner ? YES : no(7, 'only owners vote')
    case 'leave':
      return isOwner ? no(11, 'an owner leaves by a ballot') : YES
    case 'grant':
      if (compareRoles(act.role, member.role) > 0)
        return no(act.identity === by ? 8 : 3, 'more than its own role')
      return act.identity === by ? YES : mayGrant(act.role, member.rank)
    case 'revoke':
      if (act.identity === by) return mayRevokeOwn(member, act)
      return mayRevoke(membership, act.identity, member.rank)
  }
}

function mayGrant(role: Role, rank: number | null): Permission {
  if (role === 'owner') return no(7, 'owners are made by ballots')
  return rank === null ? no(2, 'it holds no office') : YES
}

/** Among the devices of an identity the earlier has the higher rank. */
function mayRevokeOwn({ devices }: Member, { device = null, by }: Revocation): Permission {
  if (device === null) return no(3, 'nobody changes their own role')
  const placeOf = (key: Key) => devices.findIndex((each) => each.device === key)
  const place = placeOf(device)
  // One that nobody has let in yet would come later than all.
  const isLater = place < 0 || place > (by === undefined ? 0 : placeOf(by))
  return isLater ? YES : no(8, 'the device is no later one')
}

function mayRevoke(
  { owners, members }: Membership,
  identity: Key,
  rank: number | null
): Permission {
  if (rank === null) return no(2, 'it holds no office')
  if (owners.includes(identity)) return no(3, 'on owners nobody acts alone')
  const other = members.get(identity)?.rank ?? NO_OFFICE
  return other > rank ? YES : no(3, 'it does not rank above')
}

function no(rule: Rule, why: string): Permission {
  return { ok: false, rule, why }
}
