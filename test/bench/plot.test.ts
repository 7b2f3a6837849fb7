import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { drawPlot, type Plot } from '../../bench/plot.ts'

const PLOT: Plot = {
  file: 'a.svg',
  title: 'Puts <fast> & slow',
  x: 'keys',
  y: 'keys per second',
  series: [
    {
      name: 'ours',
      points: [
        [1000, 50_000],
        [10_000, 70_000],
        [100_000, 90_000]
      ]
    },
    {
      name: 'theirs',
      points: [
        [1000, 9000],
        [10_000, 3000]
      ],
      isPeer: true
    }
  ]
}

test('plot: every point of every line is drawn, more is higher, later is further right', () => {
  const svg = drawPlot(PLOT, 'today')
  const lines = [...svg.matchAll(/<polyline points="([^"]+)"/g)].map(([, points]) =>
    points!.split(' ').map((point) => point.split(',').map(Number) as [number, number])
  )
  assert.equal(
    lines.map((line) => line.length),
    [3, 2]
  )
  const [ours, theirs] = lines as [[number, number][], [number, number][]]
  assert.ok(ours[0]![0] < ours[1]![0] && ours[1]![0] < ours[2]![0])
  assert.ok(ours[0]![1] > ours[1]![1] && ours[1]![1] > ours[2]![1], 'the y axis goes down in SVG')
  assert.ok(theirs[0]![1] < theirs[1]![1] && theirs[0]![1] > ours[0]![1])
  assert.is(theirs[0]![0], ours[0]![0], 'the same x is at the same place')
})

test('plot: what is compared with is dashed, and names stand beside in the order of the right ends', () => {
  const svg = drawPlot(PLOT, 'today')
  assert.is(svg.match(/stroke-dasharray/g)?.length, 1)
  const place = (name: string): number =>
    Number(new RegExp(`y="([\\d.]+)" >${name}<`).exec(svg)?.[1])
  assert.ok(place('ours') < place('theirs'))
})

test('plot: it is well-formed whatever the texts say', () => {
  const svg = drawPlot(PLOT, 'a & b')
  assert.match(svg, 'Puts &lt;fast&gt; &amp; slow')
  assert.match(svg, 'a &amp; b')
  assert.not.match(svg, /NaN|undefined|Infinity/)
})

test('plot: one point alone, and equal values, have a place too', () => {
  for (const points of [[[5, 5]], [[1, 7] as const, [2, 7] as const]] as const) {
    const svg = drawPlot({ ...PLOT, series: [{ name: 'one', points }] }, '')
    assert.not.match(svg, /NaN|undefined|Infinity/)
  }
})

test('plot: nothing to plot is an error, not an empty picture', () => {
  assert.throws(() => drawPlot({ ...PLOT, series: [] }, ''), /Nothing to plot in a\.svg/)
})

test.run()
