/** `why`: the winner and the conflicts it names are the view's, and its rule is true by its own words. */
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { explanationToText, type Space } from '../../index.ts'
import { compareStamps } from '../../clock/index.ts'
import { encodeValue, type PlacedRegister } from '../../crdt/index.ts'
import { explainKey, type Explanation } from '../../multiwriter/explain.ts'
import type { Said } from '../../multiwriter/view.ts'
import { foldSlowly } from '../oracle/fold.ts'
import { connect, openTwoDevices, until } from '../support/devices.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'

const CORES = 4
const core = (n: number) => b4a.alloc(32, n)

/** Values that do not decode are among them. */
const anySaid = (n: number) =>
  fc
    .record({
      seq: fc.nat(3),
      ms: fc.nat(2),
      seen: fc.uniqueArray(fc.tuple(fc.nat(CORES), fc.nat(4)), { selector: ([of]) => of }),
      content: fc.constantFrom('value', 'value', 'deleted', 'malformed')
    })
    .map(({ seq, ms, seen, content }): Said => {
      const position = { core: core(n), seq }
      const value =
        content === 'deleted'
          ? null
          : content === 'malformed'
            ? b4a.from([0xff])
            : encodeValue(`${n} ${seq}`)
      const head = {
        position,
        stamp: { ms, counter: 0, tag: b4a.alloc(8, n) },
        seen: seen.map(([of, upTo]) => ({ core: core(of), seq: upTo }))
      }
      return {
        core: core(n),
        entry: { type: 'value', head, registers: [{ ...head, path: [], value }] },
        writer: z32.encode(core(n)),
        isOwn: n === 0,
        seq
      }
    })

const anyPlace = fc
  .subarray([0, 1, 2, 3], { minLength: 1 })
  .chain((cores) => fc.tuple(...cores.map(anySaid)))

/** What stands at the one place there is here. */
type Whole = PlacedRegister & { readonly writer: string }

function wholeOf({ entry, writer }: Said): Whole {
  const register = entry.type === 'value' ? entry.registers[0] : undefined
  if (register === undefined) throw new Error('no value')
  return { ...register, writer }
}

const isMalformed = ({ value }: Whole) => value !== null && value[0] === 0xff

/** The view's fold, in the words of the slow twin. */
function foldReadable(registers: readonly Whole[], admitted: (core: Uint8Array) => number) {
  for (let rest = registers; rest.length > 0;) {
    const { winner, conflicts } = foldSlowly(rest, admitted)
    const unreadable = [winner, ...conflicts].filter(isMalformed)
    // Two deletions agree.
    const disagreeing = conflicts.filter(({ value }) => value !== null || winner.value !== null)
    if (unreadable.length === 0) return { winner, conflicts: disagreeing, rest }
    rest = rest.filter((each) => !unreadable.includes(each))
  }
  return null
}

const writers = (list: readonly { readonly writer: string }[]) => list.map(({ writer }) => writer)

test('why: winner and conflicts are those of the fold, and the rule holds by its own words', () => {
  fc.assert(
    fc.property(
      anyPlace,
      fc.array(fc.nat(5), { minLength: 5, maxLength: 5 }),
      (entries, lengths) => {
        const admitted = (of: Uint8Array) => lengths[of[0] ?? 0] ?? 0
        const said = {
          key: b4a.from('k'),
          entries,
          unsupported: [],
          isOwnUnsupported: false,
          refused: []
        }
        const explanation = explainKey('k', said, admitted, (value) => value)
        const outcome = (name: string) =>
          explanation.entries.filter((each) => each.outcome === name)
        const registers = entries.map(wholeOf)
        const expected = foldReadable(registers, admitted)
        assert.equal(writers(outcome('winner')), expected === null ? [] : [expected.winner.writer])
        assert.equal(writers(outcome('conflict')), writers(expected?.conflicts ?? []))
        const judged = registers.filter((each) => expected?.rest.includes(each) === true)
        checkRule(explanation, judged, expected?.winner ?? null)
      }
    ),
    { numRuns: 20_000 }
  )
})

/** Each rule's sentence, said again over the entries. */
function checkRule(
  explanation: Explanation<string, unknown>,
  judged: readonly Whole[],
  winner: Whole | null
) {
  const { entries, rule } = explanation
  const weakly = new Set(
    entries.flatMap(({ seen }) =>
      seen.filter(({ means }) => means === 'covers-weakly').map((each) => each.writer)
    )
  )
  const others = judged.filter((each) => each !== winner)
  const isCovered = ({ writer }: Whole) =>
    entries.some((each) =>
      each.seen.some((item) => item.writer === writer && item.means === 'covers')
    )
  const open = others.filter((each) => !isCovered(each))
  const rivals = open.filter(({ writer }) => !weakly.has(writer))
  switch (rule) {
    case 'nothing':
      return assert.is(winner, null)
    case 'only-entry':
      return assert.is(judged.length, 1)
    case 'seen-all-others':
      assert.ok(judged.length > 1)
      return assert.equal(open, [])
    case 'others-covered-weakly':
      assert.ok(open.length > 0)
      return assert.equal(rivals, [])
    case 'all-deletions':
      return assert.ok(open.length > 0 && [winner, ...open].every((each) => each?.value === null))
    case 'edit-beats-deletion': {
      assert.ok(winner !== null && winner.value !== null)
      assert.ok(rivals.some(({ value }) => value === null))
      return checkGreatest(
        winner,
        rivals.filter(({ value }) => value !== null)
      )
    }
    case 'greatest-stamp': {
      assert.ok(winner !== null && rivals.length > 0)
      assert.ok(rivals.every(({ value }) => (value === null) === (winner?.value === null)))
      return checkGreatest(winner, rivals)
    }
    default:
      throw new Error(`${rule} has no place here`)
  }
}

function checkGreatest(winner: Whole | null, rivals: readonly Whole[]): void {
  for (const rival of rivals)
    assert.ok(winner !== null && compareStamps(winner.stamp, rival.stamp) >= 0)
}

async function everywhere(spaces: readonly Space[], key: string, value: unknown): Promise<void> {
  await until(async () => {
    const entries = await Promise.all(spaces.map((space) => space.db.get(key)))
    return entries.every((entry) => entry?.value === value)
  })
}

test('why: names who overwrote what, who was concurrent, and says it for a person', async () => {
  let ms = Date.UTC(2026, 10, 22, 12)
  const two = await openTwoDevices({ device: { now: () => ms++ } })
  const { spaceA, spaceB } = two
  assert.equal((await spaceA.db.why('k')).rule, 'nothing')
  await spaceA.db.put('k', 'one')
  const alone = await spaceA.db.why('k')
  assert.is(alone.rule, 'only-entry')
  assert.equal(
    alone.entries.map(({ value, isOwn, outcome }) => [value, isOwn, outcome]),
    [['one', true, 'winner']]
  )

  const cut = two.connect()
  await everywhere([spaceB], 'k', 'one')
  await spaceB.db.put('k', 'two')
  await everywhere([spaceA], 'k', 'two')
  const seen = await spaceA.db.why('k')
  assert.is(seen.rule, 'seen-all-others')
  assert.equal(
    seen.entries.map(({ value, outcome }) => [value, outcome]),
    [
      ['two', 'winner'],
      ['one', 'covered']
    ]
  )
  assert.equal(seen.entries[0]?.seen, [{ writer: spaceA.writer, seq: 0, means: 'covers' }])
  assert.equal(seen.entries[1]?.coveredBy, [spaceB.writer])

  cut()
  await until(() => spaceA.peers().length === 0 && spaceB.peers().length === 0)
  await spaceA.db.put('k', 'three')
  await spaceB.db.del('k')
  two.connect()
  await until(async () => (await spaceA.db.get('k'))?.conflicts.length === 1)
  const concurrent = await spaceA.db.why('k')
  assert.is(concurrent.rule, 'edit-beats-deletion')
  assert.equal(
    concurrent.entries.map(({ value, deleted, outcome }) => [value, deleted, outcome]),
    [
      ['three', false, 'winner'],
      [null, true, 'conflict']
    ]
  )
  const text = explanationToText(concurrent, { showTime: ({ ms }) => new Date(ms).toISOString() })
  assert.match(text, /^"k": An edit beats a deletion/)
  assert.match(text, /wins {6}"three"\n\s+by you, 2026-11-22T12:00:00\.\d{3}Z, block 1/)
  assert.match(text, new RegExp(`conflict {2}\\(deleted\\)\n\\s+by ${spaceB.writer.slice(0, 8)}`))
  assert.match(explanationToText(concurrent), /2026-11-2\d \d\d:\d\d:\d\d\.\d{3}/)
  await two.close()
})

test('why: equals get over random histories of two devices, in sub-databases too', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  const random = seededRandom(11)
  const keys = ['a', 'b', 'c']
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 6; i++) {
      const db = (random.below(2) === 0 ? spaceA : spaceB).db.sub('s')
      const key = keys[random.below(3)] ?? 'a'
      await (random.below(3) === 0 ? db.del(key) : db.put(key, `${round} ${i}`))
    }
    const cut = connect(spaceA, spaceB)
    await until(() => lengths(spaceA) === lengths(spaceB))
    cut()
    await until(() => spaceA.peers().length === 0 && spaceB.peers().length === 0)
    for (const key of keys) await checkAgainstGet(spaceA, spaceB, key)
  }
  await two.close()
})

const lengths = (space: Space) =>
  space
    .writers()
    .map(({ writer, length }) => `${writer} ${length}`)
    .sort()
    .join()

async function checkAgainstGet(a: Space, b: Space, key: string): Promise<void> {
  const entry = await a.db.sub('s').get(key)
  const { entries } = await a.db.sub('s').why(key)
  const winner = entries.find(({ outcome }) => outcome === 'winner')
  assert.is(winner?.value ?? null, entry?.value ?? null, key)
  if (entry !== null) {
    const conflicts = entries.filter(({ outcome }) => outcome === 'conflict')
    assert.equal(
      conflicts.map(({ writer, seq }) => [writer, seq]),
      entry.conflicts.map(({ writer, seq }) => [writer, seq])
    )
  }
  const plain = (explanation: Explanation<string, unknown>) =>
    explanation.entries.map(({ isOwn: _, ...rest }) => rest)
  assert.equal(plain(await b.db.sub('s').why(key)), plain(await a.db.sub('s').why(key)))
}

test('why: a value in bytes shows as hex that is no text, a long one is cut', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await spaceA.db.put('bytes', { photo: new Uint8Array([1, 255]), text: '0x01ff' })
  assert.match(
    explanationToText(await spaceA.db.why('bytes')),
    /photo: Only one log has an entry here\.\n\s+wins\s+<01ff>\n[^]*wins\s+"0x01ff"/
  )
  await spaceA.db.put('long', 'x'.repeat(10_000))
  assert.ok(explanationToText(await spaceA.db.why('long')).length < 1000)
  await two.close()
})

test('why: bad input is an error at once', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await rejectsWith('KEY_INVALID', () => spaceA.db.why(''))
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.db.why('k', { waits: true } as never))
  await two.close()
  await rejectsWith('BEE_CLOSED', () => spaceA.db.why('k'))
})

test.run()
