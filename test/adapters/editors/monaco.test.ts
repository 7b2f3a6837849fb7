import { classesOf } from '../../support/dom.ts' // before the editor
import { monaco, MonacoBinding } from '../../support/monaco.ts'
import { test } from 'uvu'
import { UndoManager } from 'yjs'
import { editorLaws } from '../../contract/editor.ts'

editorLaws({
  name: 'Monaco',
  // The binding marks the places of others by classes with their client ids; names are the application's business.
  cursors: (element, { awareness }) =>
    classesOf(element, '.yRemoteSelectionHead').flatMap((name) => {
      const [, client] = /^yRemoteSelectionHead-(\d+)$/.exec(name) ?? []
      const user: unknown = awareness.getStates().get(Number(client))?.['user']
      return client === undefined ? [] : [String(user)]
    }),
  mount(parent, { doc, awareness }, user) {
    awareness.setLocalStateField('user', user)
    const text = doc.getText('body')
    const editor = monaco.editor.create(parent, {
      dimension: { width: 400, height: 300 },
      minimap: { enabled: false }, // drawn on a canvas
      occurrencesHighlight: 'off' // its timer throws when the editor is gone before it
    })
    const model = editor.getModel()
    if (model === null) throw new Error('No model')
    model.setEOL(monaco.editor.EndOfLineSequence.LF)
    const binding = new MonacoBinding(text, model, new Set([editor]), awareness)
    const undoManager = new UndoManager(text, { trackedOrigins: new Set([binding]) })
    const range = (at: number, count: number) =>
      monaco.Range.fromPositions(model.getPositionAt(at), model.getPositionAt(at + count))
    const change = (at: number, count: number, inserted: string) =>
      editor.executeEdits('test', [{ range: range(at, count), text: inserted }])
    return {
      text: () => editor.getValue(),
      content: () => editor.getValue(),
      insert: (at, inserted) => change(at, 0, inserted),
      remove: (at, count) => change(at, count, ''),
      format: () => {},
      focus(at) {
        editor.focus()
        editor.setPosition(model.getPositionAt(at))
      },
      undo: () => undoManager.undo(),
      redo: () => undoManager.redo(),
      destroy() {
        undoManager.destroy()
        editor.dispose()
        model.dispose()
      }
    }
  }
})

test.run()
