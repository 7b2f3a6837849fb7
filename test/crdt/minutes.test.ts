/** When parts were written: equal to a slow twin that keeps one minute per part. */
import b4a from 'b4a'
import type { State } from 'compact-encoding'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Minutes } from '../../crdt/document/minutes.ts'
import { decodeStatement, encodeStatement } from '../../crdt/document/statement.ts'
import type { Source, Span } from '../../crdt/document/spans.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

const SOURCES: readonly Source[] = [7, 2 ** 32 - 1, 'a1b2']
const END = 30

function randomSpan(random: SeededRandom): Span {
  const start = random.below(END)
  const source = SOURCES[random.below(SOURCES.length)] ?? 0
  return { source, start, end: start + random.below(8) }
}

function roundTrip(minutes: Minutes): Minutes {
  const size: State = { start: 0, end: 0, buffer: null }
  minutes.preencode(size)
  const state: State = { start: 0, end: size.end, buffer: b4a.alloc(size.end) }
  minutes.encode(state)
  assert.is(state.start, size.end)
  return Minutes.decode({ ...state, start: 0 })
}

test('minutes: equal to one minute kept per part, the earlier of two, in as few runs as can be', () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = seededRandom(seed)
    const minutes = new Minutes()
    const slow = new Map<string, number>()
    for (let i = 0; i < 12; i++) {
      const span = randomSpan(random)
      const minute = 30_000_000 + random.below(5)
      minutes.add(span, minute)
      for (let at = span.start; at < span.end; at++) {
        const name = `${span.source} ${at}`
        slow.set(name, Math.min(minute, slow.get(name) ?? Infinity))
      }
    }
    for (const each of [minutes, roundTrip(minutes)]) {
      for (const source of SOURCES) {
        const runs = each.within({ source, start: 0, end: 2 * END })
        const told = runs.flatMap(({ start, end, minute }) =>
          Array.from({ length: end - start }, () => minute)
        )
        const expected = Array.from({ length: 2 * END }, (_, at) => slow.get(`${source} ${at}`))
        assert.equal(
          told,
          expected.map((minute) => minute ?? null),
          `seed ${seed}`
        )
        const isCut = runs.some(({ minute }, i) => i > 0 && runs[i - 1]?.minute === minute)
        assert.not(isCut, `seed ${seed}`)
      }
    }
  }
})

test('statement: what is said of an update comes back; what is cut short, or names sessions without end, is none', () => {
  const minutes = new Minutes()
  minutes.add({ source: 5, start: 0, end: 9 }, 29_500_000)
  const update = Uint8Array.of(1, 2, 3)
  const statement = { sessions: [1, 2 ** 32 - 1], isImport: true, minutes, update }
  const bytes = encodeStatement(statement)
  const { minutes: dated, ...rest } = decodeStatement(bytes)!
  assert.equal(rest, { sessions: statement.sessions, isImport: true, update })
  assert.equal([...dated], [...minutes])
  const plain = { sessions: [], isImport: false, minutes: new Minutes(), update }
  assert.is(b4a.toString(encodeStatement(plain), 'hex'), '00010203') // golden
  assert.equal([b4a.from([]), b4a.from([8, 1]), b4a.from([254, 0xff, 0xff])].map(decodeStatement), [
    null,
    null,
    null
  ])
})

test.run()
