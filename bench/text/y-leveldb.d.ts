/** Its own types are not in its exports. Only what is called here. */
declare module 'y-leveldb' {
  export class LeveldbPersistence {
    constructor(folder: string)
    /** Resolves when it is written. */
    storeUpdate(name: string, update: Uint8Array): Promise<number>
    destroy(): Promise<void>
  }
}
