/** Every editor in docs/EDITORS.md is mounted on two devices by the lines that stand there, and typed into. */
import { closePage, mountPoint, pressUndo, type PageElement } from '../support/dom.ts' // before the editors
import '../support/monaco.ts'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EditorView as CodeMirror } from '@codemirror/view'
import type { Editor as Tiptap } from '@tiptap/core'
import { $getRoot, type LexicalEditor } from 'lexical'
import type { editor as monaco } from 'monaco-editor'
import type { EditorView as ProseMirror } from 'prosemirror-view'
import type Quill from 'quill'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SpaceProvider } from '../../adapters/yjs/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { examplesIn, load, makeProject } from '../support/docs.ts'

/** What an example exports. */
interface Example<E> {
  readonly edit: (space: Space, id: string, parent: PageElement, name: string) => Promise<Edited<E>>
}

interface Edited<E> {
  readonly editor: E
  readonly provider: SpaceProvider
}

/** How a test uses an editor. */
interface Hand<E> {
  /** At the end. */
  readonly type: (editor: E, text: string) => void
  readonly text: (editor: E) => string
  readonly destroy: (editor: E) => void
}

const examples = await examplesIn('docs/EDITORS.md')
const project = await makeProject()
const tested: string[] = []

test.after(async () => {
  closePage()
  await rm(project, { recursive: true, force: true })
})

function law<E>(heading: string, { type, text, destroy }: Hand<E>): void {
  tested.push(heading)
  test(`docs: two devices write one text in ${heading}, and Ctrl-Z takes back only one's own`, async () => {
    const example = examples.find((each) => each.heading === heading)
    if (example === undefined) throw new Error(`No example under "${heading}"`)
    const { edit } = (await load(project, example)) as Example<E>
    const two = await openTwoDevices()
    const place = mountPoint()
    const a = await edit(two.spaceA, 'd', place, 'Ann')
    const b = await edit(two.spaceB, 'd', mountPoint(), 'Bob')
    const isSame = () => text(a.editor) === text(b.editor)
    type(a.editor, 'Ann ')
    type(b.editor, 'Bob ')
    two.connect()
    await until(() => isSame() && /Ann/.test(text(a.editor)) && /Bob/.test(text(a.editor)))
    pressUndo(place)
    await until(() => isSame() && !/Ann/.test(text(a.editor)))
    assert.match(text(b.editor), /Bob/)
    for (const { provider } of [a, b]) provider.destroy()
    // Whenever it hears of cursors, y-prosemirror sets a timer that it does not call off, and that throws out of an editor that is
    // gone. From here on it hears of none.
    await sleep(50)
    for (const { editor } of [a, b]) destroy(editor)
    await two.close()
  })
}

law<CodeMirror>('CodeMirror 6', {
  type: (view, insert) => view.dispatch({ changes: { from: view.state.doc.length, insert } }),
  text: (view) => view.state.doc.toString(),
  destroy: (view) => view.destroy()
})

law<Tiptap>('Tiptap', {
  type: (editor, text) => editor.commands.insertContentAt(editor.state.doc.content.size - 1, text),
  text: (editor) => editor.getText(),
  destroy: (editor) => editor.destroy()
})

law<ProseMirror>('ProseMirror', {
  type: ({ dispatch, state }, text) =>
    dispatch(state.tr.insertText(text, state.doc.content.size - 1)),
  text: ({ state }) => state.doc.textContent,
  destroy: (view) => view.destroy()
})

law<Quill>('Quill 2', {
  type(quill, text) {
    quill.focus()
    quill.insertText(quill.getLength() - 1, text, 'user')
  },
  text: (quill) => quill.getText(),
  destroy: () => {}
})

law<LexicalEditor>('Lexical', {
  type: (editor, text) =>
    editor.update(() => $getRoot().selectEnd().insertText(text), { discrete: true }),
  text: (editor) => editor.read(() => $getRoot().getTextContent()),
  destroy: (editor) => editor.setRootElement(null)
})

law<monaco.IStandaloneCodeEditor>('Monaco', {
  type(editor, text) {
    editor.updateOptions({ occurrencesHighlight: 'off' }) // its timer throws when the editor is gone before it
    editor.trigger('keyboard', 'type', { text })
  },
  text: (editor) => editor.getValue(),
  destroy(editor) {
    const model = editor.getModel()
    editor.dispose()
    model?.dispose()
  }
})

test('docs: collaboration takes at most 20 lines beside the imports, in every editor', () => {
  assert.equal(
    examples.map(({ heading }) => heading),
    tested
  )
  for (const { heading, code } of examples) {
    const lines = code.split('\n').filter((line) => line !== '' && !line.startsWith('import '))
    assert.ok(lines.length <= 20, `${heading}: ${lines.length} lines`)
  }
})

test.run()
