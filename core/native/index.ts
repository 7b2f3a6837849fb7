/** The native door: what needs Node. The rest of core runs in a browser too. */

export { openStore } from './store.ts'
export type { StoreOptions } from './store.ts'

export { openIndexStore } from './index-store.ts'
export { restoreBackup } from './backup/restore.ts'
export type { RestoreOptions, RestoreReport } from './backup/restore.ts'

export { connectPort, listenPort } from './port.ts'

export { swarm } from './swarm.ts'
export type { SwarmOptions } from './swarm.ts'
