import { mountPoint, textsOf } from '../../support/dom.ts' // before the editor
import Quill from 'quill'
import QuillCursors from 'quill-cursors'
import { test } from 'uvu'
import { QuillBinding } from 'y-quill'
import { UndoManager } from 'yjs'
import { editorLaws } from '../../contract/editor.ts'

Quill.register('modules/cursors', QuillCursors)

editorLaws({
  name: 'Quill 2',
  cursors: (element) => textsOf(element, '.ql-cursor-name'),
  mount(parent, { doc, awareness }, user) {
    awareness.setLocalStateField('user', { name: user, color: '#30bced' })
    const element = mountPoint()
    parent.append(element)
    const quill = new Quill(element, { modules: { cursors: true, toolbar: false } })
    const text = doc.getText('body')
    const binding = new QuillBinding(text, quill, awareness)
    const undoManager = new UndoManager(text, { trackedOrigins: new Set([binding]) })
    return {
      text: () => quill.getText(),
      content: () => JSON.stringify(quill.getContents()),
      insert: (at, inserted) => quill.insertText(at, inserted, 'user'),
      remove: (at, count) => quill.deleteText(at, count, 'user'),
      format: (at, count) => quill.formatText(at, count, 'bold', at % 2 === 0, 'user'),
      focus: (at) => quill.setSelection(at, 0, 'user'),
      undo: () => undoManager.undo(),
      redo: () => undoManager.redo(),
      destroy() {
        undoManager.destroy()
        binding.destroy()
      }
    }
  }
})

test.run()
