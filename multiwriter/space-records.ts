/** The spaces of a device as its store has them: what they are called, which logs are theirs, their keys. */
import b4a from 'b4a'
import z32 from 'z32'
import type { DeviceStore, SpaceRecord, SpaceSecrets } from '../core/index.ts'
import { ManyhandsError } from '../errors.ts'

type Addressed = Pick<SpaceRecord, 'address'>

export class SpaceRecords {
  readonly #store: DeviceStore
  #saving: Promise<void> = Promise.resolve()

  constructor(store: DeviceStore) {
    this.#store = store
  }

  list(): readonly SpaceRecord[] {
    return this.#store.spaces
  }

  /** @param address in text form */
  find(address: string): SpaceRecord | null {
    return this.list().find((each) => z32.encode(each.address) === address) ?? null
  }

  /** @throws SPACE_UNKNOWN */
  known(address: unknown): SpaceRecord {
    const record = typeof address === 'string' ? this.find(address) : null
    if (record !== null) return record
    throw new ManyhandsError('SPACE_UNKNOWN', `There is no space ${String(address)} here`)
  }

  /** @throws STORE_IDENTITY_LOST */
  secretsOf({ address }: Addressed): SpaceSecrets {
    const secrets = this.#store.secrets.spaces.find((each) => b4a.equals(each.address, address))
    if (secrets !== undefined) return secrets
    throw new ManyhandsError('STORE_IDENTITY_LOST', 'The keystore lacks the keys of this space')
  }

  /** @returns the record that holds from now on: another call may have added the space meanwhile */
  async add(secrets: SpaceSecrets, record: SpaceRecord): Promise<SpaceRecord> {
    const address = z32.encode(record.address)
    await this.save(async () => {
      if (this.find(address) !== null) return
      const known = this.#store.secrets
      await this.#store.saveSecrets({ ...known, spaces: [...known.spaces, secrets] })
      await this.#store.saveSpaces([...this.list(), record])
    })
    return this.find(address) ?? record
  }

  replace(changed: SpaceRecord): Promise<void> {
    return this.save(() =>
      this.#store.saveSpaces(
        this.list().map((each) => (b4a.equals(each.address, changed.address) ? changed : each))
      )
    )
  }

  saveEpochs({ address }: Addressed, epochs: readonly Uint8Array[]): Promise<void> {
    return this.save(() => {
      const { secrets } = this.#store
      const spaces = secrets.spaces.map((each) =>
        b4a.equals(each.address, address) ? { ...each, epochs } : each
      )
      return this.#store.saveSecrets({ ...secrets, spaces })
    })
  }

  /** @see DeviceStore.succeed */
  succeed({ address }: Addressed, why: string | null): Promise<void> {
    return this.save(() => this.#store.succeed(address, why))
  }

  remove({ address }: Addressed): Promise<void> {
    return this.save(async () => {
      const isOther = (each: Addressed) => !b4a.equals(each.address, address)
      const { secrets } = this.#store
      await this.#store.saveSpaces(this.list().filter(isOther))
      await this.#store.saveSecrets({ ...secrets, spaces: secrets.spaces.filter(isOther) })
    })
  }

  /** Whether a space reads a log. */
  reads(log: Uint8Array): boolean {
    return this.list().some(({ writers, acl }) =>
      [...writers, ...acl].some((each) => b4a.equals(each, log))
    )
  }

  /** Files are written one after the other. */
  save(write: () => Promise<void>): Promise<void> {
    const saved = this.#saving.then(write)
    this.#saving = saved.catch(() => {}) // shown to the caller of this one
    return saved
  }

  /** Once all that was to be saved is. */
  settled(): Promise<void> {
    return this.#saving
  }
}
