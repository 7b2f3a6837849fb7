/**
 * What another process may ask of the device it works through: a table of operations in plain data. `requests` are answered
 * once, those that take long with a word on how far they are; `streams` give items until they are left. Parameters come from outside: what the database does not check is checked here.
 */
import b4a from 'b4a'
import type { Progress, Work } from '../../core/index.ts'
import { encodeValue, isFields, type Patch, type Value } from '../../crdt/index.ts'
import { invalid } from '../../errors.ts'
import type { Finding } from '../check.ts'
import type { Explanation } from '../explain.ts'
import type { PurgeReport } from '../purge.ts'
import type {
  AskingDevice,
  BallotInfo,
  KeyInfo,
  ExcludedWork,
  FirstRole,
  GreaterRole,
  MemberInfo
} from '../members/space-members.ts'
import type { InviteInfo, NewInvite } from '../members/space-invites.ts'
import type { ForkInfo } from '../members/forks.ts'
import type { RepairReport } from '../repair.ts'
import type { SpaceStats } from '../stats.ts'
import type { MultiBee } from '../multibee.ts'
import {
  plainChange,
  plainDifference,
  plainEntry,
  plainHistory,
  plainOrNull,
  type PlainEntry
} from './plain.ts'
import type { RestoreReport, RevertReport } from '../undo.ts'
import type { SyncState } from '../sync-state.ts'
import {
  attachProof,
  listAnchors,
  makeAnchor,
  verifyAnchor,
  type NewPlainAnchor,
  type PlainAnchor,
  type PlainProof,
  type PlainStoredAnchor,
  type PlainVerdict
} from './anchors.ts'
import { spaceInfo, spaceOf, type PortContext, type SpaceInfo, type Where } from './context.ts'
import { deviceRequests, deviceStreams } from './device-operations.ts'
import { held, late } from './iterators.ts'
import type { NetworkOptions } from './network.ts'

export interface PlainRange {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
}

export interface ReadParams extends Where, PlainRange {
  readonly reverse?: boolean
  readonly limit?: number
}

/** A put, or without a value a deletion. */
export interface PlainWrite {
  readonly key: string
  readonly value?: Value
}

/** A role, and of a writer where it may write. */
interface Roled<R> {
  readonly role: R
  readonly prefixes?: readonly string[] | undefined
}

const optionsOf = (prefixes: Roled<unknown>['prefixes']) =>
  prefixes === undefined ? {} : { prefixes }

export const requests = {
  ...deviceRequests,

  'spaces/list': ({ device }: PortContext, _: object) => Promise.resolve([...device.spaces()]),

  'spaces/create': async (
    { device }: PortContext,
    { name, open }: { readonly name: string; readonly open: boolean }
  ): Promise<SpaceInfo> => spaceInfo(await device.createSpace({ name, open })),

  'spaces/join': async (
    { device }: PortContext,
    params: {
      readonly link: string
      readonly name?: string
      readonly sparse?: boolean
      readonly timeout?: number
    }
  ): Promise<SpaceInfo> => {
    const { link, ...options } = params
    return spaceInfo(await device.join(link, options))
  },

  'invites/create': async (
    context: PortContext,
    params: Where & Roled<FirstRole> & { readonly expiresIn?: string; readonly uses?: number }
  ): Promise<NewInvite> => {
    const { space, role, prefixes, expiresIn, uses } = params
    return (await spaceOf(context, { space })).invite({
      role,
      ...optionsOf(prefixes),
      ...(expiresIn === undefined ? {} : { expiresIn }),
      ...(uses === undefined ? {} : { uses })
    })
  },

  'invites/list': async (context: PortContext, where: Where): Promise<readonly InviteInfo[]> =>
    (await spaceOf(context, where)).invites(),

  'invites/revoke': async (
    context: PortContext,
    { id, ...where }: Where & { readonly id: string }
  ): Promise<void> => (await spaceOf(context, where)).revokeInvite(id),

  'spaces/open': async (
    { device }: PortContext,
    params: { readonly ticket: string; readonly name?: string; readonly sparse?: boolean }
  ): Promise<SpaceInfo> => {
    const { ticket, ...options } = params
    return spaceInfo(await device.openSpace(ticket, options))
  },

  'spaces/leave': ({ device }: PortContext, { space }: Where): Promise<void> =>
    device.leaveSpace(space),

  'space/info': async (context: PortContext, where: Where): Promise<SpaceInfo> =>
    spaceInfo(await spaceOf(context, where)),

  'space/addWriter': async (
    context: PortContext,
    { writer, ...where }: Where & { readonly writer: string }
  ): Promise<void> => (await spaceOf(context, where)).addWriter(writer),

  'members/list': async (context: PortContext, where: Where): Promise<readonly MemberInfo[]> =>
    (await spaceOf(context, where)).members.list(),

  'members/keys': async (context: PortContext, where: Where): Promise<readonly KeyInfo[]> =>
    (await spaceOf(context, where)).members.keys(),

  'members/ballots': async (context: PortContext, where: Where): Promise<readonly BallotInfo[]> =>
    (await spaceOf(context, where)).members.ballots(),

  'members/forks': async (context: PortContext, where: Where): Promise<readonly ForkInfo[]> =>
    (await spaceOf(context, where)).members.forks(),

  'members/excluded': async (
    context: PortContext,
    where: Where
  ): Promise<readonly ExcludedWork[]> => (await spaceOf(context, where)).members.excluded(),

  'members/role': async (
    context: PortContext,
    { who, role, prefixes, ...where }: Where & Roled<GreaterRole> & { readonly who: string }
  ): Promise<void> =>
    (await spaceOf(context, where)).members.setRole(who, role, optionsOf(prefixes)),

  'members/revoke': async (
    context: PortContext,
    { who, ...where }: Where & { readonly who: string }
  ): Promise<void> => (await spaceOf(context, where)).members.revoke(who),

  'members/asking': async (context: PortContext, where: Where): Promise<readonly AskingDevice[]> =>
    (await spaceOf(context, where)).members.asking(),

  'members/admit': async (
    context: PortContext,
    { writer, role, prefixes, ...where }: Where & Roled<FirstRole> & { readonly writer: string }
  ): Promise<void> =>
    (await spaceOf(context, where)).members.admit(writer, role, optionsOf(prefixes)),

  'members/leave': async (context: PortContext, where: Where): Promise<void> =>
    (await spaceOf(context, where)).members.leave(),

  'members/restore': async (
    context: PortContext,
    { who, ...where }: Where & { readonly who: string }
  ): Promise<void> => (await spaceOf(context, where)).members.restore(who),

  'space/sync': async (context: PortContext, where: Where): Promise<SyncState> =>
    (await spaceOf(context, where)).syncState(),

  'db/get': async (
    context: PortContext,
    { key, ...where }: Where & { readonly key: string }
  ): Promise<PlainEntry | null> => plainOrNull(await (await databaseOf(context, where)).get(key)),

  /** The version now, or at a time in ms. */
  'space/version': async (
    context: PortContext,
    { at, ...where }: Where & { readonly at?: number },
    work: Work = {}
  ): Promise<string> => {
    const space = await spaceOf(context, where)
    return at === undefined ? space.version() : space.at(at, work)
  },

  'anchors/make': async (context: PortContext, where: Where): Promise<NewPlainAnchor> =>
    makeAnchor(await spaceOf(context, where)),

  'anchors/attach': async (
    context: PortContext,
    { space, anchor, proof }: Where & { readonly anchor: PlainAnchor; readonly proof: PlainProof }
  ): Promise<void> => attachProof(await spaceOf(context, { space }), anchor, proof),

  'anchors/list': async (
    context: PortContext,
    where: Where
  ): Promise<readonly PlainStoredAnchor[]> => listAnchors(await spaceOf(context, where)),

  'anchors/verify': async (
    context: PortContext,
    params: Where & { readonly anchor: PlainAnchor; readonly authorities: readonly string[] }
  ): Promise<readonly PlainVerdict[]> =>
    verifyAnchor(
      await spaceOf(context, { space: params.space }),
      params.anchor,
      params.authorities
    ),

  'space/restore': async (
    context: PortContext,
    { space, version, ...options }: Where & PlainRange & { readonly version: string },
    work: Work = {}
  ): Promise<RestoreReport> =>
    (await spaceOf(context, { space })).restore(version, { ...options, ...work }),

  'space/revert': async (
    context: PortContext,
    params: Where & PlainRange & { readonly writer: string; readonly after: string },
    work: Work = {}
  ): Promise<RevertReport> => {
    const { space, ...options } = params
    return (await spaceOf(context, { space })).revert({ ...options, ...work })
  },

  'space/link': async (
    context: PortContext,
    { space, ...options }: Where & { readonly key?: string; readonly strong?: boolean }
  ): Promise<string> => (await spaceOf(context, { space })).link(options),

  'space/check': async (
    context: PortContext,
    where: Where,
    work: Work = {}
  ): Promise<readonly Finding[]> => (await spaceOf(context, where)).check(work),

  'space/repair': async (
    context: PortContext,
    where: Where,
    work: Work = {}
  ): Promise<RepairReport> => (await spaceOf(context, where)).repair(work),

  'space/stats': async (context: PortContext, where: Where, work: Work = {}): Promise<SpaceStats> =>
    (await spaceOf(context, where)).stats(work),

  'space/compact': async (
    context: PortContext,
    { space, ...options }: Where & { readonly history?: 'keep' | 'drop' },
    work: Work = {}
  ) => (await spaceOf(context, { space })).compact({ ...options, ...work }),

  'db/why': async (
    context: PortContext,
    { key, ...where }: Where & { readonly key: string }
  ): Promise<Explanation<string, Value>> => (await databaseOf(context, where)).why(key),

  /** Connected devices have so long to clear their copies, in ms. */
  'db/purge': async (
    context: PortContext,
    { key, patience, ...where }: Where & { readonly key: string; readonly patience: number },
    work: Work = {}
  ): Promise<PurgeReport> => {
    const db = await databaseOf(context, where)
    return db.purge(key, { ...work, until: AbortSignal.timeout(patience) })
  },

  'link/open': async ({ device }: PortContext, { url }: { readonly url: string }) => {
    const { space, version, key, entry } = await device.openLink(url)
    return { space: space.address, version, key, entry: plainOrNull(entry) }
  },

  /** A put or a deletion, if what shows at the key is the expected value; without one, if nothing is there. */
  'db/writeIf': async (
    context: PortContext,
    { key, value, expected, ...where }: Where & PlainWrite & { readonly expected?: Value }
  ): Promise<boolean> => {
    const db = await databaseOf(context, where)
    const wanted = expected === undefined ? null : encodeValue(expected)
    const cas = (previous: { readonly value: Value } | null) =>
      previous === null
        ? expected === undefined
        : wanted !== null && b4a.equals(encodeValue(previous.value), wanted)
    return value === undefined ? db.del(key, { cas }) : db.put(key, value, { cas })
  },

  /** Sets fields of an object; `unset` names those to delete, as paths. */
  'db/patch': async (
    context: PortContext,
    {
      key,
      fields,
      unset = [],
      ...where
    }: Where & {
      readonly key: string
      readonly fields: Value
      readonly unset?: readonly string[][]
    }
  ): Promise<void> => {
    const patch = unset.reduce((merged, path) => withUnset(merged, path), patchOf(fields))
    await (await databaseOf(context, where)).patch(key, patch)
  },

  /** All of it or nothing. */
  'db/write': async (
    context: PortContext,
    { writes, ...where }: Where & { readonly writes: readonly PlainWrite[] }
  ): Promise<void> => {
    if (!Array.isArray(writes)) invalid('writes', 'a list', writes)
    const batch = (await databaseOf(context, where)).batch()
    for (const { key, value } of writes as readonly PlainWrite[]) {
      if (value === undefined) batch.del(key)
      else batch.put(key, value)
    }
    await batch.flush()
  }
}

export const streams = {
  ...deviceStreams,

  'db/read': (context: PortContext, params: ReadParams) =>
    late(async () => {
      const [where, options] = split(params)
      return (await databaseOf(context, where)).createReadStream(options)
    }, plainEntry),

  'db/conflicts': (context: PortContext, params: ReadParams) =>
    late(async () => {
      const [where, options] = split(params)
      return (await databaseOf(context, where)).conflicts(options)
    }, plainEntry),

  /** What a link to a whole database leads to. */
  'link/read': ({ device }: PortContext, { url }: { readonly url: string }) =>
    late(async () => (await device.openLink(url)).db.createReadStream(), plainEntry),

  'db/history': (context: PortContext, params: ReadParams & { since?: string; live?: boolean }) =>
    late(async () => {
      const [where, options] = split(params)
      return (await databaseOf(context, where)).createHistoryStream(options)
    }, plainHistory),

  /** From the version `left` to the one of `where`, by default now. */
  'db/diff': (context: PortContext, params: ReadParams & { readonly left: string }) =>
    late(async () => {
      const [where, { left, ...options }] = split(params)
      return (await databaseOf(context, where)).createDiffStream(left, options)
    }, plainDifference),

  'db/watch': (context: PortContext, params: Where & PlainRange) =>
    late(async () => {
      const [where, range] = split(params)
      return (await databaseOf(context, where)).watch(range)
    }, plainChange),

  /** Each piece of the archive with how far it is. */
  backup: ({ device }: PortContext, { passphrase }: { readonly passphrase: string | null }) => {
    let progress: Progress | null = null
    const onprogress = (now: Progress) => (progress = now)
    return late(
      () => Promise.resolve(device.backup(passphrase, { onprogress })[Symbol.asyncIterator]()),
      (chunk) => ({ chunk, progress })
    )
  },

  /** Keeps the device on the network, with all its spaces open, until the stream is left. */
  network: ({ device, network }: PortContext, options: NetworkOptions) =>
    late(
      async () => {
        for (const { address } of device.spaces()) await device.openSpace(address)
        return held({}, network.hold(options))
      },
      (item) => item
    )
}

/** Of these streams nobody knows when the next item comes, and they end only when they are left. */
const LIVE: ReadonlySet<string> = new Set<keyof typeof streams>([
  'db/watch',
  'network',
  'identity/invite',
  'identity/join'
])

export function isLive(name: string, params: object): boolean {
  return LIVE.has(name) || ('live' in params && params.live === true)
}

export type Requests = typeof requests
export type Streams = typeof streams

/** What an operation is asked with. */
export type ParamsOf<O> = O extends (context: PortContext, params: infer P) => unknown ? P : never
export type ResultOf<O> = O extends (...args: never[]) => Promise<infer R> ? R : never
export type ItemOf<O> = O extends (...args: never[]) => AsyncIterableIterator<infer I> ? I : never

/** The fields of a patch that came as plain data, in which nothing can be undefined. */
function patchOf(fields: Value): Patch {
  return isFields(fields) ? fields : invalid('fields', 'an object', fields)
}

function withUnset(patch: Patch, [name, ...rest]: readonly string[]): Patch {
  if (name === undefined) return patch
  const inner = patch[name]
  const nested = isFields(inner) ? patchOf(inner) : {}
  return { ...patch, [name]: rest.length === 0 ? undefined : withUnset(nested, rest) }
}

async function databaseOf(context: PortContext, where: Where): Promise<MultiBee> {
  const { sub = [] } = where
  if (!Array.isArray(sub)) invalid('sub', 'a list of names', sub)
  const space = await spaceOf(context, where)
  const { db } = where.version === undefined ? space : space.checkout(where.version)
  return (sub as readonly string[]).reduce((outer, name) => outer.sub(name), db)
}

function split<P extends Where>({ space, sub, version, ...rest }: P) {
  const where: Where = {
    space,
    ...(sub === undefined ? {} : { sub }),
    ...(version === undefined ? {} : { version })
  }
  return [where, rest] as const
}
