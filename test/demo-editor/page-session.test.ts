/** A page and its device, message by message: what is acknowledged is durable, and what is no message harms nobody. */
import { once } from 'node:events'
import { join } from 'node:path'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness'
import { writeSyncStep1, writeUpdate } from 'y-protocols/sync'
import * as Y from 'yjs'
import { DeviceDesk } from '../../demo-editor/device-desk.ts'
import { Notebook, unlessRemoved } from '../../demo-editor/notebook.ts'
import { PageDocument } from '../../demo-editor/page/page-document.ts'
import { PageServer } from '../../demo-editor/page-server.ts'
import { servePage } from '../../demo-editor/page-session.ts'
import {
  frame,
  KIND,
  parseFrame,
  type DocumentRow,
  type Notice,
  type Request
} from '../../demo-editor/protocol.ts'
import { openDevice } from '../../index.ts'
import type { Device, LiveDocument, Space } from '../../multiwriter/index.ts'
import {
  connect,
  openTwoDevices,
  tempFolder,
  until,
  type TwoDevices,
  type TwoDevicesOptions
} from '../support/devices.ts'

interface SealedSetting {
  readonly page: FakePage
  readonly server: PageServer
  readonly owner: Space
  readonly removed: Space
  /** Whose page it is. */
  readonly reader: Space
  /** Takes the rights of the one, who writes on, and is heard by the reader until that hears of it. */
  readonly revoke: (write: (live: LiveDocument) => void) => Promise<void>
}

/** An owner, somebody who is removed, and a reader with a page; all have the document 'a' with the text 'one two '. */
async function withRemoved(body: (setting: SealedSetting) => Promise<void>): Promise<void> {
  const folder = await tempFolder()
  const devices = await Promise.all(
    ['a', 'b', 'c'].map((name) => openDevice({ storage: join(folder.path, name) }))
  )
  const [a, b, c] = devices as [Device, Device, Device]
  const owner = await a.createSpace()
  const [removed, reader] = [await b.openSpace(owner.ticket), await c.openSpace(owner.ticket)]
  const desk = await deskOf(c)
  const server = await serve(desk)
  let shown: FakePage | null = null
  try {
    for (const each of [removed, reader]) await owner.addWriter(each.writer)
    const live = await removed.documents.open('a')
    live.doc.getText('text').insert(0, 'one two ')
    await live.flush()
    const cuts = [connect(owner, removed), connect(owner, reader), connect(removed, reader)]
    for (const space of [owner, removed, reader])
      await until(() => space.members.list().length === 3)
    const page = await FakePage.open(server)
    shown = page
    page.show('a', 1)
    await until(() => page.text('a') === 'one two ')
    const held = await owner.documents.open('a')
    await until(() => held.doc.getText('text').toJSON() === 'one two ')
    const revoke = async (write: (live: LiveDocument) => void) => {
      for (const cut of cuts) cut()
      await owner.members.revoke(b.id)
      write(live)
      await live.flush()
      connect(removed, reader)
    }
    await body({ page, server, owner, removed, reader, revoke })
  } finally {
    shown?.leave()
    await server.close()
    await desk.close()
    for (const device of devices) await device.close()
    await folder.remove()
  }
}

/** That shows the first space of a device, if it has one. */
async function deskOf(device: Device, owner = { name: 'Ann', hue: 0 }): Promise<DeviceDesk> {
  const desk = new DeviceDesk({
    owner,
    open: () => Promise.resolve(device),
    plug: () => () => {}
  })
  await desk.open()
  await desk.begin({ how: 'asks' })
  return desk
}

async function serve(desk: DeviceDesk): Promise<PageServer> {
  const server: PageServer = await PageServer.listen({
    files: {},
    token: 't',
    port: 0,
    onpage: (socket) => servePage(socket, desk, (page) => server.offer(page))
  })
  return server
}

interface Setting {
  readonly two: TwoDevices
  readonly desk: DeviceDesk
  readonly server: PageServer
  readonly page: () => Promise<FakePage>
}

async function withDevice(
  body: (setting: Setting) => Promise<void>,
  device: TwoDevicesOptions['device'] = {}
): Promise<void> {
  const two = await openTwoDevices({ device })
  const desk = await deskOf(two.a)
  const server = await serve(desk)
  try {
    await body({ two, desk, server, page: () => FakePage.open(server) })
  } finally {
    await server.close()
    await desk.close().catch(unlessRemoved)
    await two.close().catch(unlessRemoved)
  }
}

/** Says what a page could say, and keeps what it hears. */
class FakePage {
  readonly #documents = new Map<number, PageDocument>()
  /** Replaced ones as well. */
  readonly #made: PageDocument[] = []
  /** What has left the texts that are shown. */
  readonly sealed: string[] = []
  readonly notices: Notice[] = []
  /** The list, as it was told piece by piece. */
  readonly rows = new Map<string, DocumentRow>()
  /** What was heard on channels. */
  readonly frames: { readonly channel: number; readonly kind: number }[] = []
  /** What it writes under, by channel. */
  readonly clientIds = new Map<number, number>()
  acknowledged = 0
  closed: number | null = null

  socket!: WebSocket

  static async open(server: PageServer): Promise<FakePage> {
    const page = new FakePage()
    await page.#connect(server)
    return page
  }

  private constructor() {}

  async #connect(server: PageServer): Promise<void> {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/?token=t`, {
      origin: server.origin
    })
    this.socket = socket
    this.#listen(socket)
    await once(socket, 'open')
  }

  #listen(socket: WebSocket): void {
    socket.on('close', (code) => (this.closed = code))
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) {
        this.#note(JSON.parse(data.toString()))
        return
      }
      const { channel, kind, decoder } = parseFrame(data)
      this.frames.push({ channel, kind })
      const shown = this.#documents.get(channel)
      if (shown !== undefined) return shown.hear(kind, decoder)
      if (kind === KIND.ack) this.acknowledged = decoding.readVarUint(decoder)
      if (kind === KIND.clientId) this.clientIds.set(channel, decoding.readVarUint(decoder))
    })
  }

  #note(notice: Notice): void {
    this.notices.push(notice)
    if (notice.type !== 'documents') return
    for (const row of notice.rows) this.rows.set(row.id, row)
    for (const id of notice.gone) this.rows.delete(id)
  }

  /** Opens a document as a page does. */
  show(id: string, channel: number): PageDocument {
    const document = new PageDocument(id, channel, false, (bytes) => this.socket.send(bytes))
    this.#documents.set(channel, document)
    this.#made.push(document)
    document.on('sealed', (text) => this.sealed.push(text))
    document.on('reload', () => {
      this.#documents.delete(channel)
      this.show(id, channel + 1).replace(document)
    })
    this.ask({ type: 'open', id, channel })
    return document
  }

  /** As a page that is closed: what it showed keeps no timer. */
  leave(): void {
    for (const document of this.#made) document.destroy()
  }

  /** The document that is shown. */
  shown(id: string): PageDocument | undefined {
    return [...this.#documents.values()].find((each) => each.id === id)?.shown
  }

  text(id: string): string | undefined {
    return this.shown(id)?.text.toJSON()
  }

  /** The connection breaks, and there is another one. */
  async reconnect(server: PageServer): Promise<void> {
    this.socket.terminate()
    for (const each of this.#documents.values()) each.disconnected()
    await this.#connect(server)
    for (const [channel, each] of this.#documents) {
      each.reconnected()
      this.ask({ type: 'open', id: each.id, channel })
    }
  }

  ask(request: Request): void {
    this.socket.send(JSON.stringify(request))
  }

  async open(id: string, channel: number): Promise<void> {
    this.ask({ type: 'open', id, channel })
    await until(() => this.frames.some((each) => each.channel === channel))
  }

  sync(channel: number, number: number, write: (encoder: encoding.Encoder) => void): void {
    this.socket.send(
      frame(channel, KIND.sync, (encoder) => {
        encoding.writeVarUint(encoder, number)
        write(encoder)
      })
    )
  }

  edit(channel: number, number: number, text: string, clientId?: number): void {
    const doc = new Y.Doc()
    if (clientId !== undefined) doc.clientID = clientId
    doc.getText('text').insert(0, text)
    this.sync(channel, number, (encoder) => writeUpdate(encoder, Y.encodeStateAsUpdate(doc)))
  }
}

test('page session: an edit is acknowledged once it is on the log', () =>
  withDevice(async ({ two, page }) => {
    const ann = await page()
    await ann.open('a', 5)
    const before = two.spaceA.writers().find(({ isOwn }) => isOwn)?.length ?? 0
    ann.edit(5, 1, 'kept')
    await until(() => ann.acknowledged === 1)
    const after = two.spaceA.writers().find(({ isOwn }) => isOwn)?.length ?? 0
    assert.ok(after > before)
    const { doc } = await two.spaceA.documents.open('a')
    assert.is(doc.getText('text').toJSON(), 'kept')
  }))

test('page session: what is typed under the id of an opening is proved to be the device’s; each opening has another', () =>
  withDevice(async ({ two, page }) => {
    const ids: (number | undefined)[] = []
    for (const text of ['first ', 'second ']) {
      const ann = await page()
      await ann.open('a', 1)
      const id = ann.clientIds.get(1)
      ids.push(id)
      ann.edit(1, 1, text, id)
      await until(() => ann.acknowledged === 1)
      ann.socket.terminate()
    }
    assert.is.not(ids[0], ids[1])
    const ann = await page()
    await ann.open('a', 1)
    ann.edit(1, 1, 'from elsewhere ')
    await until(() => ann.acknowledged === 1)
    const live = await two.spaceA.documents.open('a')
    const text = live.doc.getText('text').toJSON()
    const runs = live.authorship().map(({ from, to, writer, isProven }) => {
      assert.is(writer, two.spaceA.writer)
      return [text.slice(from, to), isProven] as const
    })
    const proved = runs.flatMap(([words, isProven]) => (isProven ? words.split(' ') : []))
    assert.equal(new Set(proved), new Set(['first', 'second', '']))
    assert.equal(
      runs.flatMap(([words, isProven]) => (isProven ? [] : words)),
      ['from elsewhere ']
    )
  }))

test('page session: two pages of one device see each other at once, and what was before them', () =>
  withDevice(async ({ page }) => {
    const [one, other] = [await page(), await page()]
    await one.open('a', 0)
    one.edit(0, 1, 'x')
    await until(() => one.acknowledged === 1)
    await other.open('a', 7)
    const heard = other.frames.length
    one.edit(0, 2, 'y')
    await until(() => other.frames.length > heard)
    other.sync(7, 1, (encoder) => writeSyncStep1(encoder, new Y.Doc()))
    await until(() => other.acknowledged === 1)
  }))

test('page session: what is no message closes this page, and leaves the device and its texts alone', () =>
  withDevice(async ({ two, page }) => {
    const bystander = await page()
    await bystander.open('a', 1)
    bystander.edit(1, 1, 'safe')
    await until(() => bystander.acknowledged === 1)
    const hostile: ((page: FakePage) => void)[] = [
      ({ socket }) => socket.send('no json'),
      ({ socket }) => socket.send('null'),
      ({ socket }) => socket.send('{"type":"format the disk"}'),
      ({ socket }) => socket.send('{"type":"open","id":"../../x","channel":1}'),
      ({ socket }) => socket.send('{"type":"open","id":"a","channel":-1}'),
      ({ socket }) => socket.send('{"type":"name","id":"a","title":"  "}'),
      ({ socket }) => socket.send(`{"type":"name","id":"a","title":"${'x'.repeat(201)}"}`),
      ({ socket }) => socket.send(JSON.stringify({ type: '\u6f22'.repeat(100) })),
      ({ socket }) => socket.send(`{"type":"open","id":"${'x'.repeat(1_000_000)}","channel":1}`),
      ({ socket }) => socket.send('{"type":"open","id":"a","channel":1e300}'),
      ({ socket }) => socket.send('{"type":"authorship","channel":"1"}'),
      ({ socket }) => socket.send('{"type":"revoke","identity":"nobody"}'),
      ({ socket }) => socket.send('{"type":"verify"}'),
      ({ socket }) => socket.send('{"type":"passphrase","from":null,"to":""}'),
      ({ socket }) => socket.send('{"type":"split","shares":1e9,"needed":2}'),
      ({ socket }) => socket.send('{"type":"kit","shares":[]}'),
      ({ socket }) => socket.send(`{"type":"unlock","passphrase":"${'x'.repeat(20_001)}"}`),
      ({ socket }) => socket.send(new Uint8Array(1000).fill(0xff)),
      ({ socket }) => socket.send(new Uint8Array()),
      ({ socket }) => socket.send(new Uint8Array([0xff])),
      ({ socket }) => socket.send(frame(1, KIND.ack, () => {})),
      (each) => each.sync(1, 1, (encoder) => encoding.writeVarUint(encoder, 9)),
      (each) =>
        each.sync(1, 1, (encoder) => writeUpdate(encoder, new Uint8Array([3, 250, 250, 250]))),
      ({ socket }) =>
        socket.send(
          frame(1, KIND.awareness, (encoder) =>
            encoding.writeVarUint8Array(encoder, new Uint8Array([9, 9, 9]))
          )
        )
    ]
    for (const say of hostile) {
      const each = await page()
      await each.open('a', 1)
      say(each)
      await until(() => each.closed !== null).catch(() => {})
      assert.is(each.closed, 4400, String(say))
    }
    bystander.edit(1, 2, 'still ')
    await until(() => bystander.acknowledged === 2)
    const { doc } = await two.spaceA.documents.open('a')
    assert.is(doc.getText('text').length, 'safe'.length + 'still '.length)
  }))

test('page session: a page that floods its device is closed, and the others are served', () =>
  withDevice(async ({ page }) => {
    const bystander = await page()
    await bystander.open('a', 1)
    const floods: ((page: FakePage) => void)[] = [
      (each) => {
        for (let i = 0; i < 20_000; i++) each.ask({ type: 'name', id: 'a', title: `${i}` })
      },
      (each) => {
        for (let i = 0; i < 2000; i++) each.ask({ type: 'open', id: `doc-${i}`, channel: i })
      }
    ]
    for (const flood of floods) {
      const each = await page()
      flood(each)
      await until(() => each.closed !== null)
      assert.is(each.closed, 4400, String(flood))
      bystander.edit(1, 1, 'x')
      await until(() => bystander.acknowledged === 1)
      bystander.acknowledged = 0
    }
  }))

test('page session: a page that has too much open is told so', () =>
  withDevice(async ({ page }) => {
    const ann = await page()
    for (let i = 0; i < 100; i++) await ann.open(`doc-${i}`, i)
    ann.ask({ type: 'open', id: 'one-more', channel: 100 })
    await until(() => ann.notices.some(({ type }) => type === 'failed'))
    ann.ask({ type: 'release', channel: 0 })
    await ann.open('one-more', 100)
    assert.is(ann.closed, null)
  }))

test('page session: what others hold at a document has a limit, and more harms nobody', () =>
  withDevice(async ({ page }) => {
    const [ann, other] = [await page(), await page()]
    await Promise.all([ann.open('a', 1), other.open('a', 1)])
    const awareness = new Awareness(new Y.Doc())
    awareness.setLocalState({ user: { name: 'x'.repeat(1_000_000) } })
    const update = encodeAwarenessUpdate(awareness, [awareness.clientID])
    awareness.destroy()
    ann.socket.send(
      frame(1, KIND.awareness, (encoder) => encoding.writeVarUint8Array(encoder, update))
    )
    ann.edit(1, 1, 'x')
    other.edit(1, 1, 'y')
    await until(() => other.acknowledged === 1)
    await until(() => ann.acknowledged === 1 || ann.closed !== null)
  }))

test('page session: a page that leaves in the middle of its edits has those that it was told are kept', () =>
  withDevice(async ({ two, page }) => {
    const ann = await page()
    await ann.open('a', 1)
    for (let i = 1; i <= 200; i++) ann.edit(1, i, 'x')
    await until(() => ann.acknowledged > 0)
    const kept = ann.acknowledged
    ann.socket.terminate()
    const again = await page()
    await again.open('a', 1)
    again.edit(1, 1, 'y')
    await until(() => again.acknowledged === 1)
    const live = await two.spaceA.documents.open('a')
    assert.ok(live.doc.getText('text').length > kept)
  }))

test('page session: a clock that jumps while somebody types loses nothing, and a later title wins', async () => {
  const clock = { ms: Date.UTC(2027, 0, 1) }
  const setting = async ({ two, page }: Setting) => {
    const ann = await page()
    await ann.open('a', 1)
    two.connect()
    const DAY = 86_400_000
    for (const [i, jump] of [0, 400 * DAY, -800 * DAY, 30 * DAY].entries()) {
      clock.ms += jump
      ann.edit(1, i + 1, `${i}`)
      ann.ask({ type: 'name', id: 'a', title: `Title ${i}` })
      await until(() => ann.acknowledged === i + 1 && ann.rows.get('a')?.title === `Title ${i}`)
    }
    const { documents } = two.spaceB
    const { doc } = await documents.open('a')
    await until(() => doc.getText('text').length === 4)
    await until(async () => {
      const listed = await documents.metadata.get('a')
      return JSON.stringify([listed?.value, listed?.conflicts]) === '[{"title":"Title 3"},[]]'
    })
  }
  await withDevice(setting, { now: () => clock.ms })
})

test('page session: messages for a channel that is not open are late, not wrong', () =>
  withDevice(async ({ page }) => {
    const ann = await page()
    await ann.open('a', 1)
    ann.ask({ type: 'release', channel: 1 })
    ann.edit(1, 1, 'late')
    ann.edit(99, 1, 'nowhere')
    await ann.open('b', 2)
    ann.edit(2, 1, 'here')
    await until(() => ann.acknowledged === 1)
    assert.is(ann.closed, null)
  }))

test('page session: the past of a document is told, compared and brought back', () =>
  withDevice(async ({ page }) => {
    const ann = await page()
    ann.ask({ type: 'name', id: 'a', title: 'A' })
    await ann.open('a', 1)
    ann.edit(1, 1, 'one')
    await until(() => ann.acknowledged === 1)
    const heard = async <T extends Notice['type']>(type: T) => {
      const isIt = (notice: Notice): notice is Extract<Notice, { readonly type: T }> =>
        notice.type === type
      await until(() => ann.notices.some(isIt))
      const found = ann.notices.find(isIt)
      ann.notices.length = 0
      assert.ok(found !== undefined)
      return found
    }
    ann.ask({ type: 'history', id: 'a' })
    const { moments, people } = await heard('history')
    const [{ version, writer } = { version: '', writer: '' }] = moments
    assert.is(moments.length, 1)
    assert.equal(people[writer], { name: 'Ann', hue: 0 })
    ann.ask({ type: 'compare', id: 'a', from: 'start', to: { version } })
    assert.equal((await heard('compare')).pieces, [{ kind: 'inserted', text: 'one', writer }])
    ann.edit(1, 2, 'two')
    await until(() => ann.acknowledged === 2)
    ann.ask({ type: 'compare', id: 'a', from: { version }, to: 'now' })
    const { pieces } = await heard('compare')
    assert.equal(
      pieces.filter(({ kind }) => kind === 'inserted').map(({ text }) => text),
      ['two']
    )
    ann.ask({ type: 'restore', id: 'a', version })
    await heard('restore')
    ann.ask({ type: 'compare', id: 'a', from: { version }, to: 'now' })
    assert.equal((await heard('compare')).pieces, [{ kind: 'same', text: 'one', writer: null }])
    ann.ask({ type: 'restore', id: 'a', version: 'nonsense' })
    assert.is((await heard('failed')).request, 'restore')
    assert.is(ann.closed, null)
    ann.ask({ type: 'compare', id: 'a', from: 'yesterday' as never, to: 'now' })
    await until(() => ann.closed !== null)
  }))

test('page session: what is sealed vanishes from the page, is told, and no undo of the page brings it back', () =>
  withRemoved(async ({ page, owner, reader, revoke }) => {
    await revoke(({ doc }) => doc.getText('text').insert(8, 'gone. '))
    await until(() => page.text('a') === 'one two gone. ')
    const shown = page.shown('a')
    assert.ok(shown !== undefined)
    const undo = new Y.UndoManager(shown.text)
    shown.text.delete(8, 3)
    await until(() => shown.unsaved === 0)
    connect(owner, reader)
    await until(() => page.text('a') === 'one two ')
    assert.is(page.shown('a'), shown, 'it goes on')
    assert.equal(page.sealed, ['e. '])
    undo.undo()
    assert.is(page.text('a'), 'one two ')
    shown.text.insert(8, 'three')
    await until(() => shown.unsaved === 0)
    const live = await reader.documents.open('a')
    assert.is(live.doc.getText('text').toJSON(), 'one two three')
  }))

test('page session: a document that is made anew is opened anew, and nothing that was typed is lost', () =>
  withRemoved(async ({ page, owner, reader, revoke }) => {
    await revoke(({ doc }) => doc.getText('text').delete(0, 4))
    await until(() => page.text('a') === 'two ')
    const before = page.shown('a')
    connect(owner, reader)
    // What a fast typist types at any moment meanwhile.
    let typed = 0
    const type = () => {
      const text = page.shown('a')?.text
      text?.insert(text.length, `${typed++ % 10}`)
    }
    const written = () => '0123456789'.repeat(100).slice(0, typed)
    await until(async () => {
      type()
      await new Promise((resolve) => setTimeout(resolve, 15))
      return before !== page.shown('a')
    })
    const after = page.shown('a')
    assert.is(page.text('a'), `one two ${written()}`)
    assert.equal(page.sealed, [])
    await until(() => after?.unsaved === 0)
    const live = await reader.documents.open('a')
    assert.is(live.doc.getText('text').toJSON(), `one two ${written()}`)
    assert.ok(live.authorship(8).every(({ isProven }) => isProven))
    const undo = new Y.UndoManager(after?.text ?? [])
    type()
    undo.undo()
    assert.is(page.text('a'), `one two ${written().slice(0, -1)}`)
  }))

test('page session: who is restored is read again in the page', () =>
  withRemoved(async ({ page, owner, removed, reader, revoke }) => {
    await revoke(({ doc }) => doc.getText('text').insert(8, 'late '))
    await until(() => page.text('a') === 'one two late ')
    connect(owner, reader)
    await until(() => page.text('a') === 'one two ')
    await until(async () => (await owner.members.excluded()).length === 1)
    const left = () =>
      page.notices
        .flatMap((notice) => (notice.type === 'members' ? notice.rows : []))
        .findLast(({ role }) => role === null)?.left
    await until(() => (left()?.changes ?? 0) > 0)
    const person = owner.members
      .list()
      .find(({ devices }) => devices[0]?.writers[0] === removed.writer)
    await owner.members.restore(person?.identity ?? '')
    await until(() => page.text('a') === 'one two late ')
    await until(() => left() === null)
  }))

test('page session: a page that was away brings back nothing that was sealed meanwhile, and all that was typed in it', () =>
  withRemoved(async ({ page, owner, reader, revoke, server }) => {
    await revoke(({ doc }) => doc.getText('text').insert(8, '[ ]'))
    await until(() => page.text('a') === 'one two [ ]')
    page.socket.terminate()
    await until(() => page.closed !== null)
    page.shown('a')?.text.insert(9, 'mine')
    page.shown('a')?.text.delete(0, 4)
    connect(owner, reader)
    const live = await reader.documents.open('a')
    await until(() => live.doc.getText('text').toJSON() === 'one two ')
    await live.close()
    await page.reconnect(server)
    await until(() => page.text('a') === 'two mine')
    await until(() => page.shown('a')?.unsaved === 0)
    const again = await reader.documents.open('a')
    assert.is(again.doc.getText('text').toJSON(), 'two mine')
  }))

test('page session: a page is told who wrote what, by name, and what was brought in', () =>
  withDevice(async ({ two, page }) => {
    const other = new Notebook(two.spaceB, { name: 'Ben', hue: 1 })
    const theirs = await other.open('a')
    const ann = await page()
    await ann.open('a', 1)
    two.connect()
    ann.edit(1, 1, 'brought ')
    await until(() => theirs.live.doc.getText('text').length === 8)
    theirs.live.doc.getText('text').insert(8, 'ben ')
    const live = await two.spaceA.documents.open('a')
    await until(() => live.doc.getText('text').length === 12)
    live.doc.getText('text').insert(12, 'ann ')
    await until(async () => (await two.spaceA.db.sub('people').get(two.spaceB.writer)) !== null)
    ann.ask({ type: 'authorship', channel: 1 })
    await until(() => ann.notices.some(({ type }) => type === 'authorship'))
    const told = ann.notices.find((notice) => notice.type === 'authorship')
    assert.is(told?.length, 16)
    const shown = told?.stretches.map(([from, to, author]) => [from, to, told.authors[author]])
    assert.equal(shown, [
      [0, 8, { name: 'Ann', hue: 0, isProven: false }],
      [8, 12, { name: 'Ben', hue: 1, isProven: true }],
      [12, 16, { name: 'Ann', hue: 0, isProven: true }]
    ])
    ann.ask({ type: 'authorship', channel: 7 })
    await until(() => ann.notices.some(({ type }) => type === 'failed'))
    assert.is(ann.closed, null)
    await theirs.close()
    await other.close()
  }))

test('page session: who is in is told, and who is removed by a page; whose device was removed is told so, and why nothing is kept', () =>
  withDevice(async ({ two, page }) => {
    const theirs = await deskOf(two.b, { name: 'Ben', hue: 1 })
    const server = await serve(theirs)
    two.connect()
    const [ann, ben] = [await page(), await FakePage.open(server)]
    await ben.open('a', 1)
    ben.edit(1, 1, 'x')
    await until(() => ben.acknowledged === 1)
    const rows = (each: FakePage) =>
      each.notices.flatMap((notice) => (notice.type === 'members' ? [notice.rows] : [])).at(-1) ??
      []
    const told = (each: FakePage) =>
      rows(each).map(({ name, role, isOwn, seen }) => [name, role, isOwn, seen])
    await until(() => rows(ann)[1]?.name === 'Ben' && rows(ann)[1]?.seen === 'here')
    assert.equal(told(ann)[1], ['Ben', 'writer', false, 'here'])
    const [owner, member] = rows(ann)
    ben.ask({ type: 'revoke', identity: owner?.identity ?? '' })
    await until(() => ben.notices.some(({ type }) => type === 'failed'))
    ann.ask({ type: 'revoke', identity: member?.identity ?? '' })
    await until(() => rows(ann)[1]?.role === null && typeof rows(ann)[1]?.seen === 'number')
    await until(() => rows(ben)[1]?.role === null)
    assert.ok(rows(ben)[1]?.isOwn)
    ben.edit(1, 2, 'y')
    ben.notices.length = 0
    ben.ask({ type: 'name', id: 'a', title: 'Mine' })
    await until(() => ben.notices.some(({ type }) => type === 'failed'))
    ben.notices.length = 0
    ben.ask({ type: 'history', id: 'a' })
    ben.ask({ type: 'release', channel: 1 })
    await until(() => ben.notices.some(({ type }) => type === 'history'))
    assert.is(ben.acknowledged, 1)
    assert.is(ben.closed, null)
    assert.not(ben.notices.some(({ type }) => type === 'failed'))
    await server.close()
    await theirs.close().catch(unlessRemoved)
  }))

test('page session: titles given on two devices at once are both shown, and a name settles it', () =>
  withDevice(async ({ two, page }) => {
    const other = new Notebook(two.spaceB, { name: 'Ben', hue: 1 })
    const ann = await page()
    const row = () => ann.rows.get('a')
    ann.ask({ type: 'name', id: 'a', title: 'By Ann' })
    await other.name('a', 'By Ben')
    await until(() => ann.rows.size === 1)
    two.connect()
    await until(() => row()?.otherTitles.length === 1)
    assert.equal(
      new Set([row()?.title, ...(row()?.otherTitles ?? [])]),
      new Set(['By Ann', 'By Ben'])
    )
    ann.ask({ type: 'name', id: 'a', title: 'By Ann' })
    await until(() => row()?.title === 'By Ann' && row()?.otherTitles.length === 0)
    ann.ask({ type: 'delete', id: 'a' })
    await until(() => ann.rows.size === 0)
    await other.close()
  }))

test('page session: of a long list a change is told alone, and typing tells nothing', () =>
  withDevice(async ({ two, page }) => {
    const { metadata } = two.spaceA.documents
    const ids = Array.from({ length: 2000 }, (_, i) => `doc-${i}`)
    await Promise.all(ids.map((id) => metadata.put(id, { title: id })))
    const ann = await page()
    await until(() => ann.rows.size === 2000)
    const told = () => ann.notices.filter(({ type }) => type === 'documents')
    const before = told().length
    ann.ask({ type: 'name', id: 'doc-7', title: 'Another' })
    await until(() => ann.notices.some(({ type }) => type === 'named'))
    await ann.open('doc-7', 1)
    for (let i = 1; i <= 50; i++) ann.edit(1, i, 'x')
    await until(() => ann.acknowledged === 50)
    ann.ask({ type: 'delete', id: 'doc-8' })
    await until(() => ann.rows.size === 1999)
    assert.equal(told().slice(before), [
      {
        type: 'documents',
        rows: [{ id: 'doc-7', title: 'Another', otherTitles: [] }],
        gone: []
      },
      { type: 'documents', rows: [], gone: ['doc-8'] }
    ])
  }))

test('page session: a deletion by another device, and an edit that undoes it, reach the list', () =>
  withDevice(async ({ two, page }) => {
    const ann = await page()
    ann.ask({ type: 'name', id: 'a', title: 'By Ann' })
    await until(() => ann.rows.has('a'))
    await ann.open('a', 1)
    ann.edit(1, 1, 'x')
    await until(() => ann.acknowledged === 1)
    const cut = two.connect()
    await until(async () => (await two.spaceB.documents.metadata.get('a')) !== null)
    await two.spaceB.documents.delete('a')
    await until(() => !ann.rows.has('a'))
    cut()
    ann.edit(1, 2, 'y')
    await until(() => ann.rows.has('a'))
  }))

test('page session: the page is told how many changes no other device has', () =>
  withDevice(async ({ two, desk, page }) => {
    const ann = await page()
    const sync = () =>
      ann.notices.flatMap((each) => (each.type === 'sync' ? [each.sync] : [])).at(-1)
    await ann.open('a', 1)
    ann.edit(1, 1, 'x')
    await until(() => (sync()?.unsynced ?? 0) > 0 && sync()?.peers === 0)
    const cut = two.connect()
    await until(() => sync()?.unsynced === 0 && sync()?.peers === 1)
    cut()
    await until(() => sync()?.peers === 0)
    assert.is(desk.notebook?.sync.unsynced, 0, 'what the other has, it has for good')
  }))

test.run()
