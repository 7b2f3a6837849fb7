/** What every editor must do that is bound to our provider: what its users see on two devices, offline and together. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { SpaceProvider } from '../../adapters/yjs/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { closePage, mountPoint, textsOf, type PageElement } from '../support/dom.ts'
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
  /** Finds the names at the cursors of the others. */
  readonly cursors: string
  mount(parent: PageElement, provider: SpaceProvider, user: string): Mounted
}

interface Side {
  readonly provider: SpaceProvider
  readonly editor: Mounted
  readonly element: PageElement
}

async function open(kind: EditorKind) {
  const two = await openTwoDevices()
  const sides: Side[] = []
  for (const [user, space] of [
    ['Ann', two.spaceA],
    ['Bob', two.spaceB]
  ] as const) {
    const provider = new SpaceProvider(space, 'd', new Y.Doc())
    await provider.whenSynced
    const element = mountPoint()
    sides.push({ provider, element, editor: kind.mount(element, provider, user) })
  }
  const [a, b] = sides
  if (a === undefined || b === undefined) throw new Error('Not opened')
  const isSame = () =>
    a.editor.content() === b.editor.content() &&
    Y.equalSnapshots(Y.snapshot(a.provider.doc), Y.snapshot(b.provider.doc))
  return {
    a,
    b,
    connect: () => two.connect(),
    same: () => until(isSame),
    close: async () => {
      assert.equal(two.spaceA.refusals(), [])
      assert.equal(two.spaceB.refusals(), [])
      for (const { editor, provider } of sides) {
        editor.destroy()
        provider.destroy()
        provider.doc.destroy()
      }
      await two.close()
    }
  }
}

const WORDS = ['one ', 'two ', 'x', 'größer ', '😀', 'a rather long word ']

function typeSomething({ editor }: Side, random: SeededRandom): void {
  const { length } = editor.text()
  const at = random.below(length + 1)
  const count = Math.min(random.below(6), length - at)
  // Half of a character beyond 16 bits is nothing that a person can take away.
  const isWhole = !/[\ud800-\udfff]/.test(editor.text().slice(at - 1, at + count + 1))
  const what = random.below(5)
  if (what === 0 && isWhole) editor.remove(at, count)
  else if (what === 1 && isWhole) editor.format(at, count)
  else if (isWhole) editor.insert(at, WORDS[random.below(WORDS.length)] ?? '')
}

/** To be called once in a file, and followed by `test.run()`. */
export function editorLaws(kind: EditorKind): void {
  test.after(closePage)

  test(`${kind.name}: what is typed on two devices at once, cut off and together, is the same in both editors`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    const random = seededRandom(11)
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 25; i++) for (const side of [a, b]) typeSomething(side, random)
      assert.is.not(a.editor.content(), b.editor.content())
      const cut = connect()
      await same()
      for (let i = 0; i < 25; i++) {
        for (const side of [a, b]) typeSomething(side, random)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await same()
      cut()
    }
    assert.ok(a.editor.text().length > 100)
    await close()
  })

  test(`${kind.name}: an editor that is mounted later shows what was typed before`, async () => {
    const { a, close } = await open(kind)
    a.editor.insert(0, 'typed before')
    a.editor.format(0, 5)
    const later = kind.mount(mountPoint(), a.provider, 'Ann')
    assert.is(later.content(), a.editor.content())
    assert.is(later.text().trim(), 'typed before')
    later.destroy()
    await close()
  })

  test(`${kind.name}: undoing takes back what was typed here, not what the other typed meanwhile`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    connect()
    b.editor.insert(0, 'start ')
    await until(() => a.editor.text().startsWith('start '))
    a.editor.insert(6, 'mine ')
    await until(() => b.editor.text().startsWith('start mine '))
    b.editor.insert(0, 'theirs ')
    await until(() => a.editor.text().startsWith('theirs start mine '))
    a.editor.undo()
    assert.is(a.editor.text().trim(), 'theirs start')
    await same()
    a.editor.redo()
    assert.is(a.editor.text().trim(), 'theirs start mine')
    await same()
    b.editor.undo()
    assert.not(b.editor.text().includes('theirs'))
    assert.ok(b.editor.text().includes('mine'))
    await same()
    await close()
  })

  test(`${kind.name}: each sees the other's cursor with a name, until the connection is cut`, async () => {
    const { a, b, connect, same, close } = await open(kind)
    const seenBy = ({ element }: Side) => textsOf(element, kind.cursors).join()
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
