/**
 * Two people who type at once, with everything that can go wrong between them: cables cut, pages loaded anew, device processes
 * killed. What may not happen is the same for each run: that a letter is lost, that two pages differ in the end, or that a store
 * says something else.
 */
import * as assert from 'uvu/assert'
import { until } from './devices.ts'
import { EditorView, textsIn } from './editor.ts'
import { seededRandom, type SeededRandom } from './random.ts'
import type { TestWindow } from './browser.ts'
import type { Editor } from '../../demo-editor/start.ts'

export interface TypingPlan {
  readonly seed: number
  readonly steps: number
  /** Pauses between keystrokes, at most; in ms. */
  readonly pause: number
  /** How many of 100 steps are of each kind; the others type. */
  readonly cut: number
  readonly reload: number
  readonly kill: number
}

interface Press {
  readonly key: string
  /** Before the next, in ms. */
  readonly pause: number
}

/** What is typed: each side has letters of its own, so that the end can be counted. */
const LETTERS = ['abcdefghijklm', 'nopqrstuvwxyz'] as const
const KEYS = [
  'Home',
  'End',
  'ArrowLeft',
  'ArrowUp',
  'Control+Home',
  'Control+End',
  'Enter'
] as const

const PATIENCE = { timeout: 60_000 }

export async function typeAtOnce(editor: Editor, window: TestWindow, plan: TypingPlan) {
  const session = await Session.open(editor, window, plan)
  for (let step = 0; step < plan.steps; step++) await session.step()
  await session.finish()
}

class Session {
  readonly #editor: Editor
  readonly #views: readonly [EditorView, EditorView]
  readonly #plan: TypingPlan
  readonly #random: SeededRandom
  /** How often each letter was typed, and how many deletions there were. */
  readonly #typed = new Map<string, number>()
  #deletions = 0

  static async open(editor: Editor, window: TestWindow, plan: TypingPlan): Promise<Session> {
    const [ann, ben] = editor.devices
    const views = [
      await EditorView.open(window, ann.url),
      await EditorView.open(window, ben.url)
    ] as const
    await views[0].create('Typing')
    await views[1].choose('Typing')
    return new Session(editor, views, plan)
  }

  private constructor(editor: Editor, views: readonly [EditorView, EditorView], plan: TypingPlan) {
    this.#editor = editor
    this.#views = views
    this.#plan = plan
    this.#random = seededRandom(plan.seed)
  }

  async step(): Promise<void> {
    const { cut, reload, kill } = this.#plan
    const roll = this.#random.below(100)
    if (roll < cut) this.#toggleCable()
    else if (roll < cut + reload) await this.#reload()
    else if (roll < cut + reload + kill) await this.#kill()
    else await Promise.all([this.#type(0, this.#burst(0)), this.#type(1, this.#burst(1))])
  }

  /** With the cable whole and all devices up, everybody agrees, nothing is lost, and the stores say the same. */
  async finish(): Promise<void> {
    const seed = `seed ${this.#plan.seed}`
    this.#editor.cable.heal()
    for (const view of this.#views)
      await view.until(/In step with one other device\s+Saved/, PATIENCE)
    await until(
      async () => (await this.#views[0].text()) === (await this.#views[1].text()),
      PATIENCE
    )
    const text = await this.#views[0].text()
    this.#count(text, seed)
    await this.#editor.close()
    for (const store of this.#editor.stores) assert.is((await textsIn(store))['Typing'], text, seed)
  }

  #toggleCable(): void {
    const { cable } = this.#editor
    if (cable.isCut) cable.heal()
    else cable.cut()
  }

  /** A page that is left keeps nothing: what it calls saved must be. */
  async #reload(): Promise<void> {
    const view = this.#views[this.#random.below(2) === 0 ? 0 : 1]
    // Its device may be starting again: until it is there, there is nothing to load.
    await view.until(/(Offline|step|Sending).*Saved/s, PATIENCE)
    const before = await view.text()
    await view.page.reload()
    await view.content.waitFor()
    if (this.#editor.cable.isCut) assert.is(await view.text(), before, 'what was saved is there')
  }

  async #kill(): Promise<void> {
    const side = this.#random.below(2) === 0 ? 0 : 1
    const { pid } = this.#editor.devices[side]
    if (pid === null) return
    process.kill(pid, 'SIGKILL')
    await this.#views[side].until(/is not running/, PATIENCE)
  }

  /** What is pressed next; drawn before it is pressed, because both sides press at once. */
  #burst(side: 0 | 1): readonly Press[] {
    return Array.from({ length: 1 + this.#random.below(12) }, () => ({
      key: this.#key(side),
      pause: this.#random.below(this.#plan.pause + 1)
    }))
  }

  #key(side: 0 | 1): string {
    const roll = this.#random.below(20)
    if (roll === 0) {
      this.#deletions++
      return 'Backspace'
    }
    if (roll < 4) return KEYS[this.#random.below(KEYS.length)] ?? 'End'
    const letter = LETTERS[side].charAt(this.#random.below(LETTERS[side].length))
    this.#typed.set(letter, (this.#typed.get(letter) ?? 0) + 1)
    return letter
  }

  async #type(side: 0 | 1, burst: readonly Press[]): Promise<void> {
    const { page, content } = this.#views[side]
    await content.focus()
    for (const { key, pause } of burst) {
      await page.keyboard.press(key)
      if (pause > 0) await page.waitForTimeout(pause)
    }
  }

  /** No letter twice, none lost but by a deletion. */
  #count(text: string, seed: string): void {
    let lost = 0
    for (const [letter, typed] of this.#typed) {
      const shown = text.split(letter).length - 1
      assert.ok(
        shown <= typed,
        `${seed}: "${letter}" was typed ${typed} times, shown ${shown} times`
      )
      lost += typed - shown
    }
    assert.ok(
      lost <= this.#deletions,
      `${seed}: ${lost} letters are gone, ${this.#deletions} deleted`
    )
  }
}
