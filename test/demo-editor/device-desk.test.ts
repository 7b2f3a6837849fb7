/** A device as its pages have it: locked, in no notebook yet, or open; and what they are told of its keys. */
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { DeviceDesk } from '../../demo-editor/device-desk.ts'
import { PageServer } from '../../demo-editor/page-server.ts'
import { servePage } from '../../demo-editor/page-session.ts'
import type { Notice, Pairing, Request, Stage } from '../../demo-editor/protocol.ts'
import { openDevice } from '../../index.ts'
import type { Device } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

/** A page that connects anew when it is told to, as pages do. */
class Page {
  /** Of the connection that there is. */
  notices: Notice[] = []
  /** All that was ever said to it. */
  heard = ''
  readonly #server: PageServer
  #socket!: WebSocket

  constructor(server: PageServer) {
    this.#server = server
  }

  async open(): Promise<this> {
    this.notices = []
    const { port, origin } = this.#server
    const socket = new WebSocket(`ws://127.0.0.1:${port}/?token=t`, { origin })
    this.#socket = socket
    socket.on('message', (data: Buffer) => {
      this.heard += data.toString()
      this.notices.push(JSON.parse(data.toString()))
    })
    socket.on('close', (code) => {
      if (code === 4205) void this.open()
    })
    await once(socket, 'open')
    return this
  }

  get stage(): Stage | undefined {
    return this.#last('hello')?.stage
  }

  get trouble(): string {
    const { message = '', next = '' } = this.#last('arrival')?.arrival.trouble ?? {}
    return `${message} ${next}`
  }

  get doing(): string | null | undefined {
    return this.#last('arrival')?.arrival.doing
  }

  /** The digits that a new device shows. */
  get code(): string | null | undefined {
    return this.#last('arrival')?.arrival.code
  }

  get pairing(): Pairing | undefined {
    return this.#last('pairing')?.pairing
  }

  say(request: Request): void {
    this.#socket.send(JSON.stringify(request))
  }

  /** What is answered, or that it failed. */
  async ask<T extends Notice['type']>(type: T, request: Request) {
    this.notices = this.notices.filter((notice) => notice.type !== type && notice.type !== 'failed')
    this.say(request)
    await until(() => this.#last(type) !== undefined || this.#last('failed') !== undefined)
    return { answer: this.#last(type), failed: this.#last('failed')?.message }
  }

  async becomes(stage: Stage): Promise<void> {
    await until(() => this.stage === stage)
  }

  #last<T extends Notice['type']>(type: T) {
    const isOne = (notice: Notice): notice is Extract<Notice, { readonly type: T }> =>
      notice.type === type
    return this.notices.filter(isOne).at(-1)
  }
}

interface Setting {
  /** Has a space, in which the desk's device is not. */
  readonly host: Device
  readonly desk: DeviceDesk
  readonly server: PageServer
  readonly page: Page
  /** Of the desk. */
  readonly device: () => Device
  /** As the process does that is started again. */
  readonly restart: () => Promise<Setting>
}

async function withDesk(body: (setting: Setting) => Promise<void>): Promise<void> {
  const folder = await tempFolder()
  const host = await openDevice({ storage: join(folder.path, 'host') })
  const running: (() => Promise<void>)[] = []
  const start = async (): Promise<Setting> => {
    let plugged = host
    const desk = new DeviceDesk({
      owner: { name: 'Cid', hue: 2 },
      open: (passphrase) =>
        openDevice({
          storage: join(folder.path, 'cid'),
          ...(passphrase === null ? {} : { passphrase })
        }),
      plug: (device) => {
        plugged = device
        return connect(device, host)
      }
    })
    await desk.open()
    const server: PageServer = await PageServer.listen({
      files: {},
      token: 't',
      port: 0,
      onpage: (socket) => servePage(socket, desk, (page) => server.offer(page))
    })
    const stop = async () => {
      await server.close()
      await desk.close()
    }
    running.push(stop)
    await desk.begin({ how: 'asks' })
    const page = await new Page(server).open()
    const restart = async () => {
      await running.pop()?.()
      return start()
    }
    return { host, desk, server, page, device: () => plugged, restart }
  }
  try {
    await body(await start())
  } finally {
    await running.pop()?.()
    await host.close()
    await folder.remove()
  }
}

test('device desk: who comes by a link that is mistyped, expired or taken back is told so, and can try another', () =>
  withDesk(async ({ host, page }) => {
    await page.becomes('empty')
    const space = await host.createSpace({ name: 'Notes' })
    const [taken, short, good] = [
      await space.invite(),
      await space.invite({ expiresIn: 1 }),
      await space.invite()
    ]
    await space.revokeInvite(taken.id)
    const refusals = [
      [good.link.slice(0, -1), /The invite has a mistyped character, or lacks some Copy the whole/],
      [taken.link, /lets in nobody any more .*ask for a new invite/],
      [short.link, /has expired Ask whoever invited you/]
    ] as const
    for (const [link, words] of refusals) {
      page.notices = []
      page.say({ type: 'join', link })
      await until(() => words.test(page.trouble))
      assert.is(page.stage, undefined, 'the same connection')
    }
    page.say({ type: 'join', link: good.link })
    await page.becomes('open')
    assert.is(space.members.list().length, 2)
    page.say({ type: 'join', link: good.link })
    await until(() => page.notices.some(({ type }) => type === 'failed'))
  }))

test('device desk: who waits in vain calls it off, and nothing was joined', () =>
  withDesk(async ({ host, desk, page }) => {
    const space = await host.createSpace({ name: 'Notes' })
    const { link } = await space.invite()
    await space.close()
    page.say({ type: 'join', link })
    await until(() => page.doing === 'joining')
    page.say({ type: 'give-up' })
    await until(() => page.doing === null)
    assert.match(page.trouble, /Called off/)
    assert.is(desk.stage, 'empty')
  }))

test('device desk: who comes by a device link shows digits, and is of that person once these are confirmed there', () =>
  withDesk(async ({ host, page, device }) => {
    const space = await host.createSpace()
    const own = device().identity.id
    const refused = host.identity.invite()
    page.say({ type: 'join', link: refused.link })
    const thief = await refused.asking
    await until(() => page.doing === 'comparing')
    assert.is(page.code, thief?.code)
    thief?.refuse()
    await until(() => /was not confirmed/.test(page.trouble))
    assert.is(page.code, null)
    assert.is(device().identity.id, own)
    assert.is(page.stage, 'empty')

    const invite = host.identity.invite()
    page.say({ type: 'join', link: ` ${invite.link.toUpperCase()}\n` })
    const asking = await invite.asking
    await until(() => page.code === asking?.code)
    asking?.confirm()
    await page.becomes('open')
    assert.is(device().identity.id, host.identity.id)
    assert.is(space.members.list().length, 1)
  }))

test('device desk: a link for another device is told to the page that asks, and every page who has come by it', () =>
  withDesk(async ({ host, desk, server, page, device }) => {
    await desk.join((await (await host.createSpace()).invite()).link)
    await page.becomes('open')
    const bystander = await new Page(server).open()
    await until(() => bystander.pairing?.step === 'none')
    const folder = await tempFolder()
    const phone = await openDevice({ storage: join(folder.path, 'phone'), name: 'Phone' })
    const cut = connect(phone, device())
    const make = async () => (await page.ask('pair', { type: 'pair' })).answer?.link ?? ''
    const joinBy = (link: string) =>
      phone.identity.join(link).then(
        () => 'joined',
        ({ code }: { readonly code: string }) => code
      )
    const asked = () => (bystander.pairing?.step === 'asking' ? bystander.pairing : null)
    const decide = (isOurs: boolean, code = asked()?.code ?? '?') =>
      bystander.say({ type: 'decide', code, isOurs })
    try {
      const taken = await make()
      assert.is(bystander.pairing?.step, 'waiting')
      const turnedAway = joinBy(taken)
      await until(() => asked()?.name === 'Phone')
      // Digits of somebody who came before, whom the page showed.
      decide(true, '000 000')
      await until(() => bystander.notices.some(({ type }) => type === 'failed'))
      decide(false)
      assert.is(await turnedAway, 'DEVICE_LINK_REFUSED')
      await until(() => page.pairing?.step === 'refused')

      const calledOff = await make()
      page.say({ type: 'unpair' })
      await until(() => page.pairing?.step === 'none')
      assert.is(await joinBy(calledOff), 'DEVICE_LINK_EXPIRED')

      const joined = joinBy(await make())
      await until(() => asked() !== null)
      decide(true)
      assert.is(await joined, 'joined')
      assert.equal(page.pairing, { step: 'joined', name: 'Phone' })
      assert.is(phone.identity.id, device().identity.id)
      assert.not.match(bystander.heard, 'manyhands://device/')
    } finally {
      cut()
      await phone.close()
      await folder.remove()
    }
  }))

test('device desk: a link for another device ends when the device is locked', () =>
  withDesk(async ({ host, desk, page, device }) => {
    await desk.join((await (await host.createSpace()).invite()).link)
    await page.becomes('open')
    await desk.setPassphrase(null, 'horse')
    const { answer } = await page.ask('pair', { type: 'pair' })
    page.say({ type: 'lock' })
    await page.becomes('locked')
    page.say({ type: 'unlock', passphrase: 'horse' })
    await page.becomes('open')
    await until(() => page.pairing?.step === 'none')
    const folder = await tempFolder()
    const phone = await openDevice({ storage: join(folder.path, 'phone') })
    const cut = connect(phone, device())
    try {
      await rejectsWith('DEVICE_LINK_UNANSWERED', () =>
        phone.identity.join(answer?.link ?? '', { timeout: 1000 })
      )
    } finally {
      cut()
      await phone.close()
      await folder.remove()
    }
  }))

test('device desk: the words are told to the page that asks, checked, split, and printed from a page that is served once', () =>
  withDesk(async ({ host, desk, server, page }) => {
    await desk.join((await (await host.createSpace()).invite()).link)
    await page.becomes('open')
    const bystander = await new Page(server).open()
    const { answer } = await page.ask('phrase', { type: 'phrase' })
    const phrase = answer?.phrase ?? ''
    assert.is(phrase.split(' ').length, 24)
    const split = await page.ask('split', { type: 'split', shares: 3, needed: 2 })
    const shares = split.answer?.shares ?? []
    assert.is(shares.length, 3)
    const verified = async (secret: string) => {
      const { answer: told, failed } = await page.ask('verify', { type: 'verify', secret })
      return String(told?.isRight ?? failed)
    }
    assert.is(await verified(phrase), 'true')
    assert.is(await verified(`\n${shares[2]}\n${shares[0]?.toUpperCase()}\n`), 'true')
    assert.match(await verified(shares[0] ?? ''), /2 different shares are needed/)
    assert.is(await verified(host.identity.phrase()), 'false')
    const mistyped = await verified(phrase.replace(/^\w+/, 'zzzz'))
    assert.match(mistyped, /1/)
    assert.not.match(mistyped, 'zzzz')

    const kit = await page.ask('kit', { type: 'kit', shares: null })
    const url = new URL(kit.answer?.path ?? '', server.origin)
    const response = await fetch(url)
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.is(response.headers.get('cache-control'), 'no-store')
    assert.match(await response.text(), phrase.split(' ')[0] ?? '?')
    assert.is((await fetch(url)).status, 404)
    const parts = await page.ask('kit', { type: 'kit', shares })
    const sheets = await fetch(new URL(parts.answer?.path ?? '', server.origin))
    assert.match(await sheets.text(), 'Recovery share 3 of 3')
    const secrets = [phrase, ...shares, url.pathname]
    assert.not(secrets.some((secret) => bystander.heard.includes(secret)))
  }))

test('device desk: a device that is locked tells its pages nothing but that, until it hears its passphrase', () =>
  withDesk(async ({ host, desk, page, restart }) => {
    const space = await host.createSpace()
    await desk.join((await space.invite()).link)
    await page.becomes('open')
    const unset = await page.ask('failed', { type: 'lock' })
    assert.match(unset.failed ?? '', /no passphrase/)
    const set = (from: string | null, to: string | null) =>
      page.ask('passphrase', { type: 'passphrase', from, to })
    assert.ok((await set(null, 'horse one')).answer)
    assert.match((await set('wrong one', 'horse two')).failed ?? '', /passphrase is wrong/)
    assert.ok((await set('horse one', 'horse two')).answer)
    page.say({ type: 'lock' })
    await page.becomes('locked')
    for (const request of [{ type: 'phrase' }, { type: 'ticket' }, { type: 'lock' }] as const)
      assert.ok((await page.ask('failed', request)).failed)
    const wrong = { type: 'unlock', passphrase: 'horse one' } as const
    assert.match((await page.ask('failed', wrong)).failed ?? '', /passphrase is wrong/)
    assert.equal(
      new Set(page.notices.map(({ type }) => type)),
      new Set(['hello', 'arrival', 'failed'])
    )
    page.say({ type: 'unlock', passphrase: 'horse two' })
    await page.becomes('open')
    await until(() => page.notices.some(({ type }) => type === 'documents'))
    assert.not.match(page.heard, 'horse')

    const again = await restart()
    await again.page.becomes('locked')
    again.page.say({ type: 'unlock', passphrase: 'horse two' })
    await again.page.becomes('open')
    const { answer } = await again.page.ask('passphrase', {
      type: 'passphrase',
      from: 'horse two',
      to: null
    })
    assert.ok(answer)
    const open = await again.restart()
    await open.page.becomes('open')
  }))

test('device desk: who has lost all devices comes back by shares and the ticket, to the office that was theirs', () =>
  withDesk(async ({ host, page }) => {
    const folder = await tempFolder()
    const lost = await openDevice({ storage: join(folder.path, 'lost') })
    const space = await lost.createSpace()
    const cut = connect(lost, host)
    const hosts = await host.join(await space.invite())
    const shares = await lost.identity.split({ shares: 3, needed: 2 })
    const { id } = lost.identity
    cut()
    await lost.close()
    await folder.remove()

    const entrance = hosts.ticket
    page.say({ type: 'recover', secret: shares[0] ?? '', entrance })
    await until(() => /2 different shares are needed/.test(page.trouble))
    page.say({ type: 'recover', secret: entrance, entrance: shares[0] ?? '' })
    await until(() => /That is no ticket/.test(page.trouble))
    assert.not.match(page.trouble, shares[0] ?? '?')
    page.say({ type: 'recover', secret: shares.slice(1).join('\n'), entrance })
    await page.becomes('open')
    const own = () =>
      page.notices
        .flatMap((notice) => (notice.type === 'members' ? [...notice.rows] : []))
        .findLast(({ isOwn }) => isOwn)
    await until(() => own()?.role === 'owner')
    assert.is(own()?.identity, id)
    const hostRow = hosts.members.list().find(({ isOwn }) => isOwn)
    assert.is(hostRow?.role, 'writer')
  }))

test('device desk: what this device calls somebody is shown beside what they call themselves, and told to nobody', () =>
  withDesk(async ({ host, desk, page }) => {
    const space = await host.createSpace()
    await desk.join((await space.invite()).link)
    await page.becomes('open')
    const identity = host.identity.id
    const names = () =>
      page.notices
        .flatMap((notice) => (notice.type === 'members' ? [...notice.rows] : []))
        .findLast((row) => row.identity === identity)
    await until(() => names() !== undefined)
    for (const name of ['Uncle', null]) {
      await page.ask('petname', { type: 'petname', identity, name })
      await until(() => names()?.petname === name)
    }
    assert.is(names()?.name, 'Somebody')
    assert.ok(space.members.list().every(({ petname }) => petname === null))
  }))

test.run()
