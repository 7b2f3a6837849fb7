/** A real Chromium for tests, and what a page says that nobody should have to read. */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { test } from 'uvu'
import { findChromium } from '../../scripts/programs.mjs'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** The largest wait for anything on a page: a busy machine is slow, a broken page is slower. */
const PATIENCE_MS = 10_000

/**
 * Declares tests that share one browser, each in a window of its own. Without Chromium they are skipped, or fail where CI says
 * that it should be there.
 */
export function inBrowser(tests: Readonly<Record<string, (window: TestWindow) => Promise<void>>>) {
  const path = findChromium()
  if (path === null && process.env['CI'] === undefined) {
    console.log('skipped: there is no Chromium on this machine (scripts/programs.mjs says more)')
    for (const title of Object.keys(tests)) test.skip(title)
    return
  }
  let browser: Browser | null = null
  test.before(async () => {
    if (path === null) throw new Error('CI is set, and there is no Chromium (scripts/programs.mjs)')
    browser = await chromium.launch({ executablePath: path, args: FLAGS })
  })
  test.after(async () => {
    await browser?.close()
  })
  for (const [title, body] of Object.entries(tests)) {
    test(title, async () => {
      if (browser === null) throw new Error('The browser did not start')
      const window = await TestWindow.open(browser)
      try {
        await body(window)
      } finally {
        await window.close()
      }
    })
  }
}

/** A browser window without a past, and everything that its pages complain about. */
export class TestWindow {
  readonly context: BrowserContext
  /** Console errors and warnings (refusals of the Content-Security-Policy among them), and what was thrown. */
  readonly complaints: string[] = []
  /** Addresses outside this machine that a page asked for. */
  readonly foreign: string[] = []

  static async open(browser: Browser): Promise<TestWindow> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    context.setDefaultTimeout(PATIENCE_MS)
    return new TestWindow(browser, context)
  }

  readonly #browser: Browser
  #other: BrowserContext | null = null

  private constructor(browser: Browser, context: BrowserContext) {
    this.#browser = browser
    this.context = context
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text())
    })
    context.on('weberror', (error) => this.complaints.push(String(error.error())))
    context.on('request', (request) => {
      if (new URL(request.url()).hostname !== '127.0.0.1') this.foreign.push(request.url())
    })
  }

  async page(url: string): Promise<Page> {
    const page = await this.context.newPage()
    await page.goto(url)
    return page
  }

  /** A page of the same address, as if it had been served without a Content-Security-Policy. */
  async withoutPolicy(url: string): Promise<Page> {
    this.#other = await this.#browser.newContext({ bypassCSP: true })
    const page = await this.#other.newPage()
    await page.goto(url)
    return page
  }

  async close(): Promise<void> {
    await this.#other?.close()
    await this.context.close()
  }
}
