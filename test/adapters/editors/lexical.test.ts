import { layOut, mountPoint, textsOf } from '../../support/dom.ts' // before the editor
import { registerRichText } from '@lexical/rich-text'
import {
  createUndoManager,
  createYjsBinding,
  initLocalState,
  setLocalStateFocus,
  syncCursorPositions,
  syncLexicalUpdateToYjs,
  syncYjsChangesToLexical,
  type Provider
} from '@lexical/yjs'
import {
  $createParagraphNode,
  $createRangeSelection,
  $getRoot,
  $isElementNode,
  $setSelection,
  createEditor,
  type PointType,
  type RangeSelection
} from 'lexical'
import { test } from 'uvu'
import { UndoManager } from 'yjs'
import { editorLaws } from '../../contract/editor.ts'

const COLOR = '#30bced'

function paragraphs() {
  return $getRoot().getChildren().filter($isElementNode)
}

/** To a place in the shown text; the end of a paragraph counts one. */
function move(point: PointType, at: number): void {
  let rest = at
  for (const paragraph of paragraphs()) {
    const isHere = rest <= paragraph.getTextContentSize() || paragraph.getNextSibling() === null
    for (const text of isHere ? paragraph.getAllTextNodes() : []) {
      if (rest <= text.getTextContentSize()) return point.set(text.getKey(), rest, 'text')
      rest -= text.getTextContentSize()
    }
    if (isHere) return point.set(paragraph.getKey(), paragraph.getChildrenSize(), 'element')
    rest -= paragraph.getTextContentSize() + 1
  }
}

/** What stands from one place to another is selected. */
function $select(at: number, count: number): RangeSelection {
  const selection = $createRangeSelection()
  move(selection.anchor, at)
  move(selection.focus, at + count)
  $setSelection(selection)
  return selection
}

editorLaws({
  name: 'Lexical',
  isMountedFirst: true,
  takesPairsApart: true,
  cursors: (element) => textsOf(element, '.cursor-name'),
  mount(parent, spaceProvider, user) {
    // Its type of an awareness says what the states hold, which no provider's does.
    const provider = spaceProvider as unknown as Provider
    const { doc } = spaceProvider
    const theme = { collaboration: { cursorName: 'cursor-name' } }
    const onError = (error: Error) => {
      throw error
    }
    const editor = createEditor({ namespace: 'body', theme, onError })
    const binding = createYjsBinding({ editor, id: 'body', doc, docMap: new Map() })
    const root = binding.root.getSharedType()
    const undoManager = createUndoManager(binding, root)
    root.observeDeep((events, { origin }) => {
      if (origin === binding) return
      syncYjsChangesToLexical(binding, provider, events, origin instanceof UndoManager)
    })
    editor.registerUpdateListener((update) => {
      const { prevEditorState, editorState, dirtyElements, dirtyLeaves } = update
      const { normalizedNodes, tags } = update
      syncLexicalUpdateToYjs(
        binding,
        provider,
        prevEditorState,
        editorState,
        dirtyElements,
        dirtyLeaves,
        normalizedNodes,
        tags
      )
    })
    const element = mountPoint()
    const cursors = mountPoint()
    layOut(cursors)
    parent.append(element)
    parent.append(cursors)
    binding.cursorsContainer = cursors
    editor.setRootElement(element)
    registerRichText(editor)
    initLocalState(provider, user, COLOR, false, {})
    provider.awareness.on('update', () => syncCursorPositions(binding, provider))
    const change = (update: () => void) => editor.update(update, { discrete: true })
    provider.on('sync', () => {
      if (!binding.root.isEmpty()) return
      change(() => $getRoot().append($createParagraphNode()))
      undoManager.clear()
    })
    const text = () =>
      editor.read(() =>
        paragraphs()
          .map((each) => each.getTextContent())
          .join('\n')
      )
    return {
      text,
      // Where bold meets plain, the binding may show a letter as one in one editor and as the other in the other; the documents agree.
      content: text,
      insert: (at, text) => change(() => $select(at, 0).insertText(text)),
      remove: (at, count) => change(() => $select(at, count).removeText()),
      format: (at, count) => change(() => $select(at, count).formatText('bold')),
      focus(at) {
        setLocalStateFocus(provider, user, COLOR, true, {})
        change(() => $select(at, 0))
      },
      undo: () => undoManager.undo(),
      redo: () => undoManager.redo(),
      destroy() {
        undoManager.destroy()
        editor.setRootElement(null)
      }
    }
  }
})

test.run()
