/** `manyhands/yjs`: for applications that bring their own Y.Doc along. */

export { SpaceProvider } from './provider.ts'
export type { ProviderStatus, SpaceProviderEvents, SpaceProviderOptions } from './provider.ts'

export { bindAwareness } from './awareness.ts'
export type { AwarenessBinding, AwarenessBindingEvents, AwarenessRefusal } from './awareness.ts'
