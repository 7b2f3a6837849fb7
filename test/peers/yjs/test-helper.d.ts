/** As much of Yjs' own tester as we use; it has no types of its own. */
declare module 'yjs/testHelper' {
  import type { Doc } from 'yjs'

  export class TestConnector {
    constructor(random: unknown)
    flushAllMessages(): boolean
  }

  export class TestYInstance extends Doc {
    constructor(connector: TestConnector, id: number)
    /** All that it told, in order. */
    updates: Uint8Array[]
    connect(): void
    disconnect(): void
  }

  /** Checks that all documents are the same, down to their structs, and destroys them. @throws Error */
  export function compare(users: TestYInstance[]): void
}
