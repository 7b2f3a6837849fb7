import { textsOf } from '../../support/dom.ts' // before the editor
import { Editor } from '@tiptap/core'
import { Collaboration } from '@tiptap/extension-collaboration'
import { CollaborationCaret } from '@tiptap/extension-collaboration-caret'
import { StarterKit } from '@tiptap/starter-kit'
import { test } from 'uvu'
import { editorLaws } from '../../contract/editor.ts'

/** Where a character of the shown text stands among ProseMirror's positions; paragraphs count one. */
function placeOf({ state }: Editor, at: number): number {
  let rest = at
  let place = 1
  state.doc.descendants((node, position) => {
    if (!node.isTextblock || rest < 0) return true
    place = position + 1 + Math.min(rest, node.content.size)
    rest -= node.content.size + 1
    return false
  })
  return place
}

editorLaws({
  name: 'Tiptap (ProseMirror)',
  cursors: (element) => textsOf(element, '.collaboration-carets__label'),
  mount(element, provider, user) {
    const editor = new Editor({
      element,
      extensions: [
        StarterKit.configure({ undoRedo: false }),
        Collaboration.configure({ document: provider.doc, field: 'body' }),
        CollaborationCaret.configure({ provider, user: { name: user, color: '#30bced' } })
      ]
    })
    const range = (at: number, count: number) => ({
      from: placeOf(editor, at),
      to: placeOf(editor, at + count)
    })
    return {
      text: () => editor.state.doc.textBetween(0, editor.state.doc.content.size, '\n'),
      content: () => JSON.stringify(editor.getJSON()),
      insert: (at, text) =>
        editor.view.dispatch(editor.state.tr.insertText(text, placeOf(editor, at))),
      remove(at, count) {
        const { from, to } = range(at, count)
        editor.view.dispatch(editor.state.tr.delete(from, to))
      },
      format: (at, count) => editor.chain().setTextSelection(range(at, count)).toggleBold().run(),
      focus(at) {
        editor.view.focus()
        editor.commands.setTextSelection(placeOf(editor, at))
      },
      undo: () => editor.commands.undo(),
      redo: () => editor.commands.redo(),
      destroy: () => editor.destroy()
    }
  }
})

test.run()
