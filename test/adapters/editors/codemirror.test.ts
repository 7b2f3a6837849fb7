import { textsOf } from '../../support/dom.ts' // before the editor
import { EditorState } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { test } from 'uvu'
import { UndoManager } from 'yjs'
import { yCollab } from 'y-codemirror.next'
import { editorLaws } from '../../contract/editor.ts'

editorLaws({
  name: 'CodeMirror 6',
  cursors: (element) => textsOf(element, '.cm-ySelectionInfo'),
  mount(parent, { doc, awareness }, user) {
    awareness.setLocalStateField('user', { name: user, color: '#30bced', colorLight: '#30bced33' })
    const text = doc.getText('body')
    const undoManager = new UndoManager(text)
    const view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text.toJSON(),
        extensions: [
          yCollab(text, awareness, { undoManager }),
          EditorView.contentAttributes.of({ tabindex: '0' })
        ]
      })
    })
    return {
      text: () => view.state.doc.toString(),
      content: () => view.state.doc.toString(),
      insert: (at, insert) => view.dispatch({ changes: { from: at, insert } }),
      remove: (at, count) => view.dispatch({ changes: { from: at, to: at + count } }),
      format: () => {},
      focus(at) {
        view.focus()
        view.dispatch({ selection: { anchor: at } })
      },
      undo: () => undoManager.undo(),
      redo: () => undoManager.redo(),
      destroy: () => view.destroy()
    }
  }
})

test.run()
