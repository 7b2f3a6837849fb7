/** Whose cores there are, and by what right: what the pass (pass.ts) has found so far. */
import { push } from './claims.ts'
import type { Entry } from './history.ts'
import type { CoreClaim, DeviceClaim, Key, Role } from './records.ts'
import { joined, type Rights } from './rights.ts'

/** A vote that was carried. */
export interface Ballot {
  /** Which change of the list of owners it is, from 0. */
  readonly generation: number
  readonly id: Key
  readonly change: 'add' | 'remove'
  readonly identity: Key
  /** Each owner's first vote of the generation, where it was for this. In the owners' order. */
  readonly votes: readonly Entry[]
  /** How many owners there were. */
  readonly electorate: number
  /** Of a removal: where the identity's cores end; those named by no vote are missing. */
  readonly cuts: ReadonlyMap<Key, number>
}

/** Why a core counts. */
export interface Grant {
  readonly basis: 'root' | 'ballot' | 'grant' | 'own' | 'successor' | 'recovery'
  readonly entry: Entry
  /** The rank of the office under which it was granted; of a device's own acts, that device's place. */
  readonly order: number
  readonly seniority: number
  readonly role: Role
  readonly prefixes: readonly Uint8Array[] | null
  readonly ballot: Ballot | null
  /** Of a successor: what it continues. The acl core first. */
  readonly old: readonly { readonly core: Key; readonly length: number }[]
}

export interface Core {
  readonly core: Key
  readonly use: 'acl' | 'data'
  readonly device: Device
  readonly grants: Grant[]
}

export interface Device {
  readonly device: Key
  readonly identity: Key
  /** In the order of the identity's devices; 0 is the first. */
  readonly seniority: number
  readonly cores: Core[]
}

/** Rank behind every office. */
export const NO_OFFICE = Infinity

export class Registry {
  readonly cores = new Map<Key, Core>()
  readonly devices = new Map<Key, Device>()
  readonly #byIdentity = new Map<Key, Device[]>()
  /** Grants that others gave an identity: what its rights rest on. */
  readonly #given = new Map<Key, Grant[]>()
  /** Once all grants are known. */
  #settled: Map<Grant, Rights> | null = null

  identities(): Iterable<Key> {
    return this.#byIdentity.keys()
  }

  /** In order of seniority. */
  devicesOf(identity: Key): readonly Device[] {
    return this.#byIdentity.get(identity) ?? []
  }

  givenTo(identity: Key): readonly Grant[] {
    return this.#given.get(identity) ?? []
  }

  /** @returns false where the device or the core is somebody else's: a core has one device, a device one identity */
  register(member: DeviceClaim, claim: Omit<CoreClaim, 'signature'>, grant: Grant): boolean {
    const device = this.#device(member)
    const known = this.cores.get(claim.core)
    if (device === null || (known !== undefined && known.device !== device)) return false
    const core = known ?? { core: claim.core, use: claim.use, device, grants: [] }
    if (core.use !== claim.use) return false
    core.grants.push(grant)
    if (known === undefined) {
      this.cores.set(core.core, core)
      device.cores.push(core)
    }
    return true
  }

  /** What all grants of a core together allow. A successor may what the core it continues may. */
  rightsOf({ grants }: Core): Rights {
    const [only] = grants
    // As nearly all have. There are thousands of cores.
    if (only !== undefined && grants.length === 1) return this.#rightsBy(only)
    return joined(grants.map((grant) => this.#rightsBy(grant)))
  }

  /** No grant comes any more: what a successor may is found once, however many go on from it. */
  settle(): void {
    this.#settled = new Map()
  }

  #rightsBy(grant: Grant): Rights {
    if (grant.basis !== 'successor') return grant
    const known = this.#settled?.get(grant)
    if (known !== undefined) return known
    const old = this.cores.get(grant.old.at(-1)?.core ?? '')
    const rights = old === undefined ? grant : this.rightsOf(old)
    this.#settled?.set(grant, rights)
    return rights
  }

  /** Notes that others let this identity in. */
  give(identity: Key, grant: Grant): void {
    push(this.#given, identity, grant)
  }

  #device({ device, identity }: DeviceClaim): Device | null {
    const known = this.devices.get(device)
    if (known !== undefined) return known.identity === identity ? known : null
    const seniority = this.devicesOf(identity).length
    const added: Device = { device, identity, seniority, cores: [] }
    this.devices.set(device, added)
    push(this.#byIdentity, identity, added)
    return added
  }
}
