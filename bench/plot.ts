/**
 * A plot of lines as SVG: both axes logarithmic, because what is told is how a cost grows. No script, no outside font; the card
 * has a ground of its own, so that it reads on any page, and follows the reader's light or dark setting where that is known.
 */
export interface Plot {
  /** In docs/plots. */
  readonly file: string
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: readonly Series[]
}

export interface Series {
  readonly name: string
  readonly points: readonly Point[]
  /** For what it is compared with. */
  readonly isPeer?: boolean
}

/** Both positive. */
type Point = readonly [x: number, y: number]

const WIDTH = 780
const HEIGHT = 400

/** The place of the lines; on its right are their names. */
const BOX = { left: 78, top: 56, right: 500, bottom: 324 }

/** Tell apart on white and on near-black, and for most colour-blind readers in this order. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#b5629b', '#b58900', '#3fa7d6', '#8a8a8a']

const STYLE = `
  .card { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d8dee4 }
  text { font: 13px sans-serif; fill: #24292f } .title { font-size: 16px; font-weight: bold }
  .quiet { fill: #57606a; font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d } .grid { stroke: #2a3038 }
    text { fill: #e6edf3 } .quiet { fill: #9da7b1 }
  }
`

/** @param source one line for the foot: when and where it was measured */
export function drawPlot(plot: Plot, source: string): string {
  const points = plot.series.flatMap((series) => series.points)
  if (points.length === 0) throw new TypeError(`Nothing to plot in ${plot.file}`)
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b)
  const toX = scale([xs[0]!, xs.at(-1)!], [BOX.left + 24, BOX.right - 24])
  const ticks = ticksOver(points.map(([, y]) => y))
  const toY = scale([ticks[0]!, ticks.at(-1)!], [BOX.bottom, BOX.top])
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escape(plot.title)}</title><style>${STYLE}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8"/>`,
    text(20, 30, plot.title, 'class="title"'),
    ...ticks.map((y) => gridLine(toY(y), formatTick(y))),
    ...xs.map((x) => text(toX(x), BOX.bottom + 20, formatTick(x), 'text-anchor="middle"')),
    text((BOX.left + BOX.right) / 2, BOX.bottom + 42, plot.x, 'text-anchor="middle"'),
    upright(plot.y),
    ...plot.series.map((series, i) => drawSeries(series, i, toX, toY)),
    ...drawLegend(plot.series, toY),
    text(20, HEIGHT - 12, source, 'class="quiet"'),
    '</svg>\n'
  ].join('\n')
}

type Scale = (value: number) => number

function scale([from, to]: Point, [start, end]: Point): Scale {
  if (from === to) return () => (start + end) / 2
  const span = Math.log(to / from)
  return (value) => start + (Math.log(value / from) / span) * (end - start)
}

/** 1, 2, 5, 10, 20 ... around all values; only the powers of ten once they span more than three of them. */
function ticksOver(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.ceil(Math.log10(Math.max(...values)))
  const steps = high - low > 3 ? [1] : [1, 2, 5]
  const all: number[] = []
  for (let power = low; power <= high; power++)
    for (const step of steps) all.push(step * 10 ** power)
  const first = all.findLastIndex((tick) => tick <= Math.min(...values))
  const last = all.findIndex((tick) => tick >= Math.max(...values))
  return all.slice(Math.max(0, first), last === first ? last + 2 : last + 1)
}

function drawSeries({ points, isPeer = false }: Series, i: number, toX: Scale, toY: Scale): string {
  const colour = colourOf(i)
  const places = points.map(([x, y]) => [toX(x).toFixed(1), toY(y).toFixed(1)] as const)
  const path = places.map(([x, y]) => `${x},${y}`).join(' ')
  const dash = isPeer ? ' stroke-dasharray="6 4"' : ''
  const line = `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`
  const dots = places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3.5" fill="${colour}"/>`)
  return [line, ...dots].join('')
}

const LINE_HEIGHT = 20

/** Names stand in the order of the lines' right ends, near them as far as they leave room for each other. */
function drawLegend(series: readonly Series[], toY: Scale): string[] {
  const named = series
    .map(({ name, points }, i) => ({ name, colour: colourOf(i), y: toY(points.at(-1)?.[1] ?? 1) }))
    .sort((a, b) => a.y - b.y)
  let free = BOX.top
  return named.map(({ name, colour, y }, i) => {
    const below = named.length - 1 - i
    const place = Math.max(free, Math.min(y, BOX.bottom - below * LINE_HEIGHT))
    free = place + LINE_HEIGHT
    const dot = `<circle cx="${BOX.right + 14}" cy="${place.toFixed(1)}" r="4.5" fill="${colour}"/>`
    return dot + text(BOX.right + 26, place + 4.5, name)
  })
}

const colourOf = (i: number): string => COLOURS[i % COLOURS.length]!

function gridLine(y: number, label: string): string {
  const place = y.toFixed(1)
  const line = `<line class="grid" x1="${BOX.left}" x2="${BOX.right}" y1="${place}" y2="${place}"/>`
  return line + text(BOX.left - 8, y + 4.5, label, 'text-anchor="end"')
}

function upright(label: string): string {
  const middle = (BOX.top + BOX.bottom) / 2
  return text(22, middle, label, `text-anchor="middle" transform="rotate(-90 22 ${middle})"`)
}

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escape(content)}</text>`

const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** 5M, 20k, 100, 0.5. */
function formatTick(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(2))}M`
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(2))}k`
  return String(Number(value.toPrecision(2)))
}
