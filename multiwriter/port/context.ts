/** What the operations of a port work on, and how they name and show a space. */
import type { Device } from '../device.ts'
import type { Space } from '../space.ts'
import type { SharedNetwork } from './network.ts'

/** What the operations work on. */
export interface PortContext {
  readonly device: Device
  /** Puts the device on the network for as long as somebody needs it. */
  readonly network: SharedNetwork
  /** In ms, from anywhere on. */
  readonly now: () => number
}

/** Which database: a space by its address, and sub-databases from the outside in. */
export interface Where {
  readonly space: string
  readonly sub?: readonly string[]
  /** As it was then; default now. */
  readonly version?: string
}

export interface SpaceInfo {
  readonly address: string
  readonly name: string
  readonly open: boolean
  /** False only of a space that was made without encryption, to measure. */
  readonly encrypted: boolean
  /** This device's log. */
  readonly writer: string
  /** A secret: lets its bearer in. */
  readonly ticket: string
  readonly writers: readonly { writer: string; isOwn: boolean; length: number }[]
  readonly peers: readonly string[]
  readonly refusals: readonly { writer: string; reason: string; seq: number; count: number }[]
}

export async function spaceOf({ device }: PortContext, { space }: Where): Promise<Space> {
  return device.openSpace(space)
}

export function spaceInfo(space: Space): SpaceInfo {
  const { address, name, isOpen, isEncrypted, writer, ticket } = space
  return {
    address,
    name,
    open: isOpen,
    encrypted: isEncrypted,
    writer,
    ticket,
    writers: space.writers().map((each) => ({ ...each })),
    peers: [...space.peers()],
    refusals: space.refusals().map((each) => ({ ...each }))
  }
}
