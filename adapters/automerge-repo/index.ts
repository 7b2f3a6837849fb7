/** `manyhands/automerge-repo`: for applications that use automerge-repo. */

export { SpaceNetworkAdapter } from './network.ts'
export type { SpaceNetworkOptions } from './network.ts'

export { SpaceStorageAdapter } from './storage.ts'
export type { SpaceStorageOptions } from './storage.ts'
