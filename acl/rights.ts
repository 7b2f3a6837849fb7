/** What grants allow: a role, and to a writer which keys. */
import { compareRoles, type Role } from './records.ts'

export interface Rights {
  readonly role: Role
  /** What a writer may write below; null is everything. */
  readonly prefixes: readonly Uint8Array[] | null
}

/** What has no grant may nothing. */
export const NOTHING: Rights = { role: 'mirror', prefixes: null }

/** Of several grants all that any of them allows: the greatest role, and wherever one of them lets it write. */
export function joined(grants: readonly Rights[]): Rights {
  const [only = NOTHING] = grants
  if (grants.length < 2) return only
  const { role } = grants.reduce((best, each) =>
    compareRoles(each.role, best.role) > 0 ? each : best
  )
  const writing = grants.filter((each) => compareRoles(each.role, 'writer') >= 0)
  const prefixes = writing.flatMap((each) => each.prefixes ?? [])
  const isEverywhere = writing.length === 0 || writing.some((each) => each.prefixes === null)
  return { role, prefixes: isEverywhere ? null : prefixes }
}

/** RULE 8: A device never has more than its identity has now: the lesser role, and only where both may write. */
export function capped(own: Rights, most: Rights): Rights {
  const role = compareRoles(own.role, most.role) > 0 ? most.role : own.role
  if (most.prefixes === null) return { role, prefixes: own.prefixes }
  if (own.prefixes === null) return { role, prefixes: most.prefixes }
  const { prefixes } = most
  return { role, prefixes: own.prefixes.flatMap((one) => common(one, prefixes)) }
}

function common(prefix: Uint8Array, others: readonly Uint8Array[]): readonly Uint8Array[] {
  return others.flatMap((other) => {
    if (startsWith(prefix, other)) return prefix
    return startsWith(other, prefix) ? other : []
  })
}

/** Whether a key begins so. */
export function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return key.length >= prefix.length && prefix.every((byte, i) => key[i] === byte)
}
