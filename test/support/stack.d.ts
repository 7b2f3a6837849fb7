/** What only tests call of the stack. */
declare module 'hyperbee2/lib/encoding.js' {
  export function encodeBlock(block: object): Uint8Array
}

declare module 'blind-pairing-core' {
  export interface Paired {
    readonly key: Uint8Array
    readonly encryptionKey: Uint8Array | null
  }

  export interface NewInvite {
    /** The link. */
    readonly invite: Uint8Array
    readonly publicKey: Uint8Array
    readonly discoveryKey: Uint8Array
  }

  export function createInvite(key: Uint8Array): NewInvite
  export function decodeInvite(invite: Uint8Array): {
    readonly seed: Uint8Array
    readonly discoveryKey: Uint8Array
  }

  export class CandidateRequest {
    constructor(invite: Uint8Array, userData: Uint8Array)
    readonly token: Uint8Array
    encode(): Uint8Array
    /** Null for an answer that is not for it. */
    handleResponse(response: Uint8Array): Paired | null
    on(event: 'rejected', listener: (error: Error) => void): this
  }

  export class MemberRequest {
    static from(request: Uint8Array): MemberRequest
    readonly response: Uint8Array
    /** @returns what the candidate says of itself */
    open(publicKey: Uint8Array): Uint8Array
    confirm(keys: { readonly key: Uint8Array; readonly encryptionKey: Uint8Array }): void
  }
}

declare module 'blind-pairing' {
  import type { MemberRequest, Paired } from 'blind-pairing-core'

  interface Lasting {
    close(): Promise<void>
  }

  export default class BlindPairing {
    constructor(swarm: object, options?: { readonly poll?: number })
    addMember(options: {
      readonly discoveryKey: Uint8Array
      onadd(request: MemberRequest): void | Promise<void>
    }): Lasting
    addCandidate(options: {
      readonly invite: Uint8Array
      readonly userData: Uint8Array
      onadd?(paired: Paired): void | Promise<void>
    }): Lasting & {
      readonly paired: Paired | null
      /** Channels on which it has asked. */
      readonly visited: ReadonlySet<unknown>
      readonly ref: { readonly channels: ReadonlySet<unknown> }
      once(event: 'announce', listener: () => void): void
    }
    close(): Promise<void>
  }
}
