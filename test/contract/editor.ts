/** What every editor must do that is bound to our provider: what its users see on two devices, offline and together. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { SpaceProvider } from '../../adapters/yjs/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { closePage, mountPoint, type PageElement } from '../support/dom.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

/** An editor, used as a person uses it: places are counted in what it shows. */
export interface Mounted {
  text(): string
  /** All it holds, formats included. */
  content(): string
  insert(at: number, text: string): void
  remove(at: number, count: number): void
  /** Makes something bold, where there is such a thing. */
  format(at: number, count: number): void
  focus(at: number): void
  undo(): void
  redo(): void
  destroy(): void
}

export interface EditorKind {
  readonly name: string
  /** The binding shows only what it hears of: it is mounted before the document is filled. */
  readonly isMountedFirst?: boolean
  /** The binding compares texts by 16 bits, and may so take two characters beyond them that meet in a merge apart. */
  readonly takesPairsApart?: boolean
  /** The names at the cursors of the others. */
  cursors(element: PageElement, provider: SpaceProvider): readonly string[]
  mount(parent: PageElement, provider: SpaceProvider, user: string): Mounted
}

interface Side {
  readonly provider: SpaceProvider
  readonly editor: Mounted
  readonly element: PageElement
}

async function mount(kind: EditorKind, space: Space, user: string): Promise<Side> {
  const { isMountedFirst = false } = kind
  const provider = new SpaceProvider(space, 'd', new Y.Doc(), { connect: !isMountedFirst })
  if (!isMountedFirst) await provider.whenSynced
  const element = mountPoint()
  const editor = kind.mount(element, provider, user)
  provider.connect()
  await provider.whenSynced
  return { provider, element, editor }
}

function unmount({ editor, provider }: Side): void {
  editor.destroy()
  provider.destroy()
  provider.doc.destroy()
}

async function open(kind: EditorKind) {
  const two = await openTwoDevices()
  const a = await mount(kind, two.spaceA, 'Ann')
  const b = await mount(kind, two.spaceB, 'Bob')
  const isSame = () =>
    a.editor.content() === b.editor.content() &&
    Y.equalSnapshots(Y.snapshot(a.provider.doc), Y.snapshot(b.provider.doc))
  return {
    a,
    b,
    mountLater: () => mount(kind, two.spaceA, 'Ann'),
    connect: () => two.connect(),
    same: () => until(isSame),
    close: async () => {
      assert.equal(two.spaceA.refusals(), [])
      assert.equal(two.spaceB.refusals(), [])
      unmount(a)
      unmount(b)
      await two.close()
    }
  }
}

/** What is typed within half a second is undone in one go. */
const PAUSE_MS = 600

const WORDS = ['one ', 'two ', 'x', 'größer ', 'a rather long word ']

const EMOJI = '😀'

function typeSomething({ editor }: Side, words: readonly string[], random: SeededRandom): void {
  const { length } = editor.text()
  const at = random.below(length + 1)
  const count = Math.min(random.below(6), length - at)
  // Half of a character beyond 16 bits is nothing that a person can take away.
  const isWhole = !/[\ud800-\udfff]/.test(editor.text().slice(at - 1, at + count + 1))
  const what = random.below(5)
  if (what === 0 && isWhole) editor.remove(at, count)
  else if (what === 1 && isWhole) editor.format(at, count)
  else if (isWhole) editor.insert(at, words[random.below(words.length)] ?? '')
}

/** To be called once in a file, and followed by `test.run()`. */
export function editorLaws(kind: EditorKind): void {
  test.after(closePage)
  const words = kind.takesPairsApart === true ? WORDS : [...WORDS, EMOJI]

  test(`${kind.name}: what is typed on two devices at once, cut off and together, is the same in both editors`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    const random = seededRandom(11)
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 25; i++) for (const side of [a, b]) typeSomething(side, words, random)
      assert.is.not(a.editor.content(), b.editor.content())
      const cut = connect()
      await same()
      for (let i = 0; i < 25; i++) {
        for (const side of [a, b]) typeSomething(side, words, random)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await same()
      cut()
    }
    assert.ok(a.editor.text().length > 100)
    await close()
  })

  test(`${kind.name}: an editor that is mounted later shows what was typed before`, async () => {
    const { a, mountLater, close } = await open(kind)
    a.editor.insert(0, 'typed before')
    a.editor.format(0, 5)
    const later = await mountLater()
    assert.is(later.editor.content(), a.editor.content())
    assert.is(later.editor.text().trim(), 'typed before')
    unmount(later)
    await close()
  })

  test(`${kind.name}: undoing takes back what was typed here, not what the other typed meanwhile`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    connect()
    await same()
    b.editor.insert(0, 'start ')
    await until(() => a.editor.text().startsWith('start '))
    a.editor.insert(6, 'mine ')
    await until(() => b.editor.text().startsWith('start mine '))
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    b.editor.insert(0, 'theirs ')
    await until(() => a.editor.text().startsWith('theirs start mine '))
    a.editor.undo()
    assert.is(a.editor.text().trim(), 'theirs start')
    await same()
    a.editor.redo()
    assert.is(a.editor.text().trim(), 'theirs start mine')
    await same()
    b.editor.undo()
    assert.is(b.editor.text().trim(), 'start mine')
    await same()
    await close()
  })

  test(`${kind.name}: each sees the other's cursor with a name, until the connection is cut`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    const seenBy = ({ element, provider }: Side) => kind.cursors(element, provider).join()
    const cut = connect()
    a.editor.insert(0, 'some text')
    await same()
    a.editor.focus(3)
    await until(() => seenBy(b).includes('Ann'))
    assert.not(seenBy(b).includes('Bob'))
    b.editor.focus(5)
    await until(() => seenBy(a).includes('Bob'))
    a.editor.focus(1)
    await until(() => seenBy(b).includes('Ann'))
    cut()
    await until(() => seenBy(b) === '')
    await close()
  })
}
