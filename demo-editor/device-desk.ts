/**
 * A device of the demo as its pages have it, whatever it is doing: locked until somebody says the passphrase, empty until it has come
 * into a notebook, or open. What changes that is done one after the other.
 */
import { EventEmitter } from 'eventemitter3'
import { isManyhandsError, type Device, type Space } from '../index.ts'
import { Notebook } from './notebook.ts'
import { Pairings } from './pairings.ts'
import type { Arrival, KeysNotice, Pairing, Person, Stage, Trouble } from './protocol.ts'

const SPACE_NAME = 'Notebook'

/** For so long somebody who comes back waits to meet a member, as long as who comes by an invite. */
const MEET_MS = 60_000
const LOOK_MS = 100

/** What a device does where its store has no notebook. */
export type Beginning =
  | { readonly how: 'founds' }
  | { readonly how: 'joins'; readonly link: string }
  /** Its page asks where to. */
  | { readonly how: 'asks' }

export interface DeskOptions {
  readonly owner: Person
  /** Opens the store. @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG */
  open(passphrase: string | null): Promise<Device>
  /** Connects the device to others. @returns how to disconnect it */
  plug(device: Device): () => unknown
}

const NOBODY: Arrival = { doing: null, code: null, trouble: null }

interface DeskEvents {
  /** Its pages have to begin anew. */
  stage: []
  arrival: []
  keys: []
  pairing: []
}

export class DeviceDesk extends EventEmitter<DeskEvents> {
  readonly #options: DeskOptions
  #device: Device | null = null
  #notebook: Notebook | null = null
  #space: Space | null = null
  #stage: Stage = 'starting'
  #arrival: Arrival = NOBODY
  readonly #pairings = new Pairings(() => this.emit('pairing'))
  #unplug: () => unknown = () => {}
  #givingUp = new AbortController()
  #turn: Promise<void> = Promise.resolve()
  #isClosing = false

  constructor(options: DeskOptions) {
    super()
    this.#options = options
  }

  get owner(): Person {
    return this.#options.owner
  }

  get stage(): Stage {
    return this.#stage
  }

  /** Null unless it is open. */
  get notebook(): Notebook | null {
    return this.#notebook
  }

  get arrival(): Arrival {
    return this.#arrival
  }

  get keys(): KeysNotice {
    const { identity, hasPassphrase } = this.#opened
    return { identity: identity.id, hasPhrase: identity.hasPhrase, hasPassphrase }
  }

  /** Opens the store, unless it takes a passphrase to do so. @throws STORE_ codes */
  open(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        this.#device = await this.#options.open(null)
      } catch (error) {
        if (!isManyhandsError(error, 'PASSPHRASE_REQUIRED')) throw error
        this.#become(NOBODY, 'locked')
      }
    })
  }

  /** Shows the notebook of this store, if there is one. @returns whether it has made it just now */
  begin(beginning: Beginning): Promise<boolean> {
    return this.#inTurn(async () => {
      const device = this.#device
      if (device === null) return false
      this.#plug(device) // first: who comes by an invite is let in over it
      return this.#begin(device, beginning)
    })
  }

  /** @throws NOT_ALLOWED */
  async invite(): Promise<string> {
    return (await this.#inside.invite()).link
  }

  /**
   * Into a notebook by an invite, or into this person's by the link of their other device. What comes of it is told by `arrival`.
   */
  join(link: string): Promise<void> {
    return this.#inTurn(() => this.#arrive((device) => this.#come(device, link)))
  }

  /**
   * Comes back where all devices are lost.
   * @param secret the words, or each share on a line
   * @param entrance the notebook's ticket, or an invite
   */
  recover(secret: string, entrance: string): Promise<void> {
    return this.#inTurn(() =>
      this.#arrive(async (device) => {
        this.#tell('reading')
        checkEntrance(entrance)
        await device.identity.recover(secretIn(secret))
        const space = await this.#enter(device, entrance)
        try {
          this.#tell('meeting')
          await this.#met(space)
          this.#tell('recovering')
          return await device.recover(space.address)
        } catch (error) {
          await device.leaveSpace(space.address) // another try begins anew
          throw error
        }
      })
    )
  }

  /** Calls off what was begun by `join` or `recover`. */
  giveUp(): void {
    this.#givingUp.abort(new Error('Called off; nothing was joined'))
  }

  /** Forgets the keys, and all that pages show. @throws PASSPHRASE_UNSET */
  lock(): Promise<void> {
    return this.#inTurn(async () => {
      const device = this.#opened
      if (!device.hasPassphrase) return device.lock() // which says why not
      this.#become(NOBODY, 'locked') // first: pages let go of what they have open
      await this.#putAway()
      await device.lock()
    })
  }

  /** @throws PASSPHRASE_WRONG */
  unlock(passphrase: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#stage !== 'locked') return
      if (this.#device === null) this.#device = await this.#options.open(passphrase)
      else await this.#device.unlock(passphrase)
      this.#plug(this.#device)
      await this.#begin(this.#device, { how: 'asks' })
    })
  }

  /** @throws PASSPHRASE_REQUIRED, PASSPHRASE_WRONG */
  async setPassphrase(from: string | null, to: string | null): Promise<void> {
    await this.#opened.setPassphrase(from, to)
    this.emit('keys')
  }

  /** @throws PHRASE_UNKNOWN */
  phrase(): string {
    return this.#opened.identity.phrase()
  }

  /** @throws PHRASE_INVALID, SHARE_INVALID, SHARES_ codes */
  verify(secret: string): Promise<boolean> {
    return this.#opened.identity.verify(secretIn(secret))
  }

  /** @throws PHRASE_UNKNOWN, INVALID_ARGUMENT */
  split(shares: number, needed: number): Promise<readonly string[]> {
    return this.#opened.identity.split({ shares, needed })
  }

  /** The page to print, of the phrase or of shares. @throws PHRASE_UNKNOWN, SHARE_INVALID */
  kit(shares: readonly string[] | null): string {
    const { identity } = this.#opened
    return identity.kit(this.owner.name, shares ?? identity.phrase())
  }

  /** For somebody who comes back. */
  get ticket(): string {
    return this.#inside.ticket
  }

  /** A link for another device of this person. */
  get pairing(): Pairing {
    return this.#pairings.state
  }

  /** Makes one. */
  pair(): { readonly link: string; readonly expires: number } {
    const { link, expires } = this.#pairings.begin(this.#opened)
    return { link, expires }
  }

  /** Says of the device that shows these digits whether it is this person's. @throws DEVICE_LINK_EXPIRED */
  decide(code: string, isOurs: boolean): void {
    this.#pairings.decide(this.#opened, code, isOurs)
  }

  unpair(): void {
    this.#pairings.end()
  }

  /** What this device calls somebody; null: nothing of its own. */
  async setPetname(identity: string, name: string | null): Promise<void> {
    await this.#opened.setPetname(identity, name)
    this.#notebook?.refreshMembers()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.giveUp()
    await this.#turn
    await this.#putAway()
    this.removeAllListeners()
    await this.#device?.close()
  }

  get #opened(): Device {
    const isUsable = this.#stage === 'empty' || this.#stage === 'open'
    if (this.#device !== null && isUsable) return this.#device
    throw new Error('This device is locked')
  }

  get #inside(): Space {
    if (this.#space !== null) return this.#space
    throw new Error('This device is in no notebook')
  }

  async #begin(device: Device, beginning: Beginning): Promise<boolean> {
    const [known] = device.spaces()
    if (known !== undefined) {
      this.#show(await device.openSpace(known.address))
      return false
    }
    if (beginning.how === 'founds') {
      this.#show(await device.createSpace({ name: SPACE_NAME }))
      return true
    }
    this.#become(NOBODY, 'empty')
    if (beginning.how === 'joins') await this.#arrive((each) => this.#come(each, beginning.link))
    return false
  }

  async #arrive(enter: (device: Device) => Promise<Space>): Promise<void> {
    if (this.#stage !== 'empty' || this.#isClosing) return
    this.#givingUp = new AbortController()
    try {
      this.#show(await enter(this.#opened))
    } catch (error) {
      this.#become({ ...NOBODY, trouble: troubleOf(error) })
    }
  }

  #come(device: Device, link: string): Promise<Space> {
    return DEVICE_LINK.test(link) ? this.#becomeTheirs(device, link) : this.#join(device, link)
  }

  async #becomeTheirs(device: Device, link: string): Promise<Space> {
    this.#tell('joining')
    const { signal } = this.#givingUp
    const oncode = (code: string) => this.#become({ doing: 'comparing', code, trouble: null })
    const [entered] = await device.identity.join(link, { signal, oncode })
    if (entered === undefined) throw new Error('Your other device is in no notebook')
    return device.openSpace(entered.address)
  }

  #join(device: Device, link: string): Promise<Space> {
    this.#tell('joining')
    const { signal } = this.#givingUp
    return device.join(link, { name: SPACE_NAME, signal })
  }

  /** By an invite; who has nobody to make one, by the ticket that every member has. */
  #enter(device: Device, entrance: string): Promise<Space> {
    if (INVITE.test(entrance)) return this.#join(device, entrance)
    return device.openSpace(entrance.replaceAll(/\s/g, ''), { name: SPACE_NAME })
  }

  /** Until the space knows of this person. */
  async #met(space: Space): Promise<void> {
    const { signal } = this.#givingUp
    const late = performance.now() + MEET_MS
    while (!space.members.list().some(({ isOwn }) => isOwn)) {
      signal.throwIfAborted()
      if (performance.now() > late) throw new Error(NOBODY_MET)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  #show(space: Space): void {
    this.#space = space
    this.#notebook = new Notebook(space, this.owner)
    this.#become(NOBODY, 'open')
  }

  async #putAway(): Promise<void> {
    const notebook = this.#notebook
    this.#notebook = null
    this.#space = null
    this.#pairings.end()
    await this.#unplug()
    this.#unplug = () => {}
    await notebook?.close()
  }

  #plug(device: Device): void {
    this.#unplug = this.#options.plug(device)
  }

  #tell(doing: Arrival['doing']): void {
    this.#become({ ...NOBODY, doing })
  }

  #become(arrival: Arrival, stage: Stage = this.#stage): void {
    const isOther = stage !== this.#stage
    this.#stage = stage
    this.#arrival = arrival
    this.emit(isOther ? 'stage' : 'arrival')
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(task)
    this.#turn = done.then(
      () => {},
      () => {}
    )
    return done
  }
}

const NOBODY_MET = `Nobody who is in the notebook was there, or it knows nobody with these words.
  Try again when one of its devices is running`

const DEVICE_LINK = /^\s*manyhands:\/\/device\//i
const INVITE = /^\s*manyhands:\/\/join\//i
const TICKET = /^\s*mh1/

/** What else it is, is not said: it may be the words, in the wrong field. */
function checkEntrance(text: string): void {
  if (!INVITE.test(text) && !TICKET.test(text))
    throw new Error('That is no ticket, which begins with mh1. Copy all of it again')
}

/** Shares begin with their prefix; everything else is meant to be the words. */
function secretIn(text: string): string | readonly string[] {
  const lines = text.split('\n').flatMap((line) => line.trim() || [])
  const isShares = lines.length > 0 && lines.every((line) => /^mhs/i.test(line))
  return isShares ? lines : lines.join(' ')
}

/** What a person is told of an error. */
export function troubleOf(error: unknown): Trouble {
  const message = error instanceof Error ? error.message : String(error)
  return { message, next: isManyhandsError(error) ? error.next : null }
}
