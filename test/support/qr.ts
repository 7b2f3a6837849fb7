/** Reading QR codes from pixels, as a phone does: jsQR knows nothing of what made them. */
import jsQRModule from 'jsqr'
import type { Locator, Page } from 'playwright-core'

// What the package exports by name is called in a file that is not of its kind.
const jsQR = 'default' in jsQRModule ? jsQRModule.default : jsQRModule

export interface Pixels {
  /** Red, green, blue and alpha of each, row by row. */
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number
}

/** What the code in a picture says; null where none can be read. */
export function readCode({ data, width, height }: Pixels): string | null {
  // As phones do it: a code of light on dark is none for many.
  return jsQR(data, width, height, { inversionAttempts: 'dontInvert' })?.data ?? null
}

const PIXELS_PER_MODULE = 4

/** Half blocks as a terminal shows them, two modules in a character: light on dark, or dark on light. */
export function terminalPixels(lines: readonly string[], isLightOnDark: boolean): Pixels {
  const rows = lines.flatMap((line) => [
    Array.from(line, (char) => char === '█' || char === '▀'),
    Array.from(line, (char) => char === '█' || char === '▄')
  ])
  const width = Math.max(...rows.map(({ length }) => length)) * PIXELS_PER_MODULE
  const height = rows.length * PIXELS_PER_MODULE
  const data = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let at = 0; at < width * height; at++) {
    const x = Math.floor((at % width) / PIXELS_PER_MODULE)
    const y = Math.floor(at / width / PIXELS_PER_MODULE)
    const isInk = rows[y]?.[x] === true
    data.fill(isInk === isLightOnDark ? 255 : 0, at * 4, at * 4 + 3)
  }
  return { data, width, height }
}

/** What the code says that stands on a page. @param page one that may run scripts */
export async function readShown(page: Page, shown: Locator): Promise<string | null> {
  const picture = (await shown.screenshot()).toString('base64')
  // Text crosses to the browser and back faster than numbers; it is a script, as no page's names are known here.
  const pixels = await page.evaluate<{ width: number; height: number; red: string }>(`(async () => {
    const image = new Image()
    image.src = 'data:image/png;base64,${picture}'
    await image.decode()
    const { width, height } = image
    const context = new OffscreenCanvas(width, height).getContext('2d')
    context.drawImage(image, 0, 0)
    const { data } = context.getImageData(0, 0, width, height)
    let red = ''
    for (let at = 0; at < data.length; at += 4) red += data[at] < 128 ? '1' : '0'
    return { width, height, red }
  })()`)
  const { width, height, red } = pixels
  const data = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let at = 0; at < red.length; at++) if (red[at] === '1') data.fill(0, at * 4, at * 4 + 3)
  return readCode({ width, height, data })
}
