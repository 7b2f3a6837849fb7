import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import {
  compareStamps,
  DEFAULT_MAX_DRIFT,
  encodeStamp,
  HybridLogicalClock,
  MAX_COUNTER,
  MAX_MS,
  TAG_BYTES,
  type ClockOptions,
  type Stamp
} from '../../clock/index.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const IN_2099 = Date.UTC(2099, 0, 1)
const TAG = tagOf(1)
const OTHER_TAG = tagOf(2)

function tagOf(n: number): Uint8Array {
  return new Uint8Array(TAG_BYTES).fill(n)
}

/** A clock and the hand that sets its wall clock. */
function clockAt(ms: number, options: Partial<ClockOptions> = {}) {
  const wall = { ms }
  const clock = new HybridLogicalClock({ now: () => wall.ms, tag: TAG, ...options })
  return { clock, wall }
}

function stampAt(ms: number, counter = 0, tag = OTHER_TAG): Stamp {
  return { ms, counter, tag }
}

function isBefore(a: Stamp, b: Stamp): boolean {
  return Buffer.compare(encodeStamp(a), encodeStamp(b)) < 0
}

const wallReading = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: NOON - 5, max: NOON + 5 }) },
  { weight: 2, arbitrary: fc.integer({ min: NOON - 10 ** 9, max: NOON + 10 ** 9 }) },
  { weight: 1, arbitrary: fc.constantFrom(NOON + 0.25, NOON + 0.999, 0, -0, 0.5) },
  { weight: 1, arbitrary: fc.constantFrom(NaN, Infinity, -Infinity, -1, -NOON, 2 ** 48, 2 ** 60) }
)

type Step =
  | { readonly type: 'set'; readonly wall: number }
  | { readonly type: 'now' }
  | { readonly type: 'observe'; readonly stamp: Stamp }

const remoteStampFields = {
  ms: fc.oneof(
    fc.integer({ min: NOON - 5, max: NOON + 5 }),
    fc.integer({ min: NOON + DEFAULT_MAX_DRIFT - 5, max: NOON + DEFAULT_MAX_DRIFT + 5 }),
    fc.constantFrom(0, IN_2099, MAX_MS)
  ),
  counter: fc.constantFrom(0, 1, MAX_COUNTER - 1, MAX_COUNTER),
  tag: fc.constantFrom(tagOf(0), TAG, OTHER_TAG)
}
const remoteStamp: fc.Arbitrary<Stamp> = fc.record(remoteStampFields, { noNullPrototype: true })

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('set' as const), wall: wallReading }),
  fc.record({ type: fc.constant('now' as const) }),
  fc.record({ type: fc.constant('observe' as const), stamp: remoteStamp })
)

/** Long ones: left alone, fast-check prefers arrays of ten. */
const steps = fc.array(step, { maxLength: 60, size: 'max' })

test('hlc: a stamp shows the wall clock while that moves on', () => {
  const { clock, wall } = clockAt(NOON)
  assert.is(clock.last, null)
  assert.equal(clock.now(), stampAt(NOON, 0, TAG))
  wall.ms = NOON + 1
  assert.equal(clock.now(), stampAt(NOON + 1, 0, TAG))
  wall.ms = IN_2099
  assert.equal(clock.now(), stampAt(IN_2099, 0, TAG))
  assert.equal(clock.last, stampAt(IN_2099, 0, TAG))
})

test('hlc: within one millisecond the counter rises', () => {
  const { clock } = clockAt(NOON)
  assert.equal(
    [clock.now(), clock.now(), clock.now()].map((stamp) => stamp.counter),
    [0, 1, 2]
  )
})

test('hlc: a wall clock set back never lets a stamp go back', () => {
  const { clock, wall } = clockAt(NOON)
  clock.now()
  for (const back of [NOON - 1, NOON - 10 ** 9, 0]) {
    wall.ms = back
    const before = clock.last
    const stamp = clock.now()
    assert.is(stamp.ms, NOON)
    assert.ok(before !== null && isBefore(before, stamp))
  }
})

test('hlc: a reading that is no time neither throws nor moves the clock', () => {
  const { clock, wall } = clockAt(NOON)
  clock.now()
  const readings = [NaN, Infinity, -Infinity, -1, 2 ** 48, MAX_MS + 0.5, Number.MAX_VALUE]
  for (const [i, reading] of readings.entries()) {
    wall.ms = reading
    assert.equal(clock.now(), stampAt(NOON, i + 1, TAG))
  }
  wall.ms = NOON + 1.75
  assert.equal(clock.now(), stampAt(NOON + 1, 0, TAG))
})

test('hlc: a clock that never had a reading counts from 1970', () => {
  for (const reading of [NaN, -0, -5, Infinity, 0.9]) {
    const stamp = clockAt(reading).clock.now()
    assert.equal(stamp, stampAt(0, 0, TAG))
    assert.ok(Object.is(stamp.ms, 0))
  }
})

test('hlc: 2^20 stamps in one frozen millisecond rise strictly and spill into the next ones', () => {
  const { clock } = clockAt(NOON)
  let before = clock.now()
  for (let i = 1; i < 2 ** 20; i++) {
    const stamp = clock.now()
    if (compareStamps(before, stamp) !== -1) assert.unreachable(`stamp ${i} does not rise`)
    before = stamp
  }
  assert.equal(before, stampAt(NOON + 15, MAX_COUNTER, TAG))
})

test('hlc: a full counter goes on in the next millisecond', () => {
  const { clock } = clockAt(NOON, { last: stampAt(NOON, MAX_COUNTER) })
  assert.equal(clock.now(), stampAt(NOON + 1, 0, TAG))
})

test('hlc: at the last millisecond the counter still rises, and the very last stamp repeats', () => {
  const { clock } = clockAt(MAX_MS, { last: stampAt(MAX_MS, MAX_COUNTER - 2, TAG) })
  assert.equal(clock.now(), stampAt(MAX_MS, MAX_COUNTER - 1, TAG))
  const end = stampAt(MAX_MS, MAX_COUNTER, TAG)
  for (let i = 0; i < 3; i++) assert.equal(clock.now(), end)
  assert.equal(clock.last, end)
  assert.is(clock.observe(stampAt(MAX_MS, MAX_COUNTER, tagOf(255))).ok, true)
  assert.equal(clock.now(), end)
})

test('hlc: a full counter one millisecond before the end reaches the end', () => {
  const { clock } = clockAt(MAX_MS - 1, { last: stampAt(MAX_MS - 1, MAX_COUNTER) })
  assert.equal(clock.now(), stampAt(MAX_MS, 0, TAG))
})

test('hlc: it equals its simple twin, max(wall, last + 1) on 64-bit integers', () => {
  const toInteger = (stamp: Stamp) => (BigInt(stamp.ms) << 16n) + BigInt(stamp.counter)
  const toWall = (ms: number) => (ms >= 0 && ms <= MAX_MS ? BigInt(Math.floor(ms)) : 0n)
  const larger = (a: bigint, b: bigint) => (a > b ? a : b)
  fc.assert(
    fc.property(steps, (steps) => {
      const { clock, wall } = clockAt(NOON)
      const twin = { wall: BigInt(NOON), last: -1n }
      for (const step of steps) {
        if (step.type === 'set') {
          wall.ms = step.wall
          twin.wall = toWall(step.wall)
        } else if (step.type === 'now') {
          twin.last = larger(twin.wall << 16n, twin.last + 1n)
          assert.is(toInteger(clock.now()), twin.last)
        } else {
          const ahead = BigInt(step.stamp.ms) - twin.wall
          const ok = ahead <= DEFAULT_MAX_DRIFT
          if (ok) twin.last = larger(twin.last, toInteger(step.stamp))
          const expected = ok
            ? { ok: true }
            : { ok: false, reason: 'clock-skew', aheadMs: Number(ahead) }
          assert.equal(clock.observe(step.stamp), expected)
        }
      }
    }),
    { numRuns: 2000 }
  )
})

test('hlc: every stamp is greater than all given out or accepted before, whatever the wall does', () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const { clock, wall } = clockAt(NOON)
      const past: Stamp[] = []
      for (const step of steps) {
        if (step.type === 'set') wall.ms = step.wall
        if (step.type === 'observe' && clock.observe(step.stamp).ok) past.push(step.stamp)
        if (step.type === 'now') {
          const stamp = clock.now()
          assert.ok(past.every((earlier) => isBefore(earlier, stamp)))
          past.push(stamp)
        }
        assert.equal(clock.last, past.toSorted(compareStamps).at(-1) ?? null)
      }
    }),
    { numRuns: 2000 }
  )
})

test('hlc: however wild its peers, a clock stays within maxDrift of its greatest wall reading', () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const { clock, wall } = clockAt(NOON)
      let greatest = NOON
      for (const step of steps) {
        if (step.type === 'set') wall.ms = step.wall
        if (step.type === 'set' && step.wall <= MAX_MS) greatest = Math.max(greatest, step.wall)
        if (step.type === 'observe') clock.observe(step.stamp)
        // One ms more: the accepted stamp may bring a full counter, which spills once.
        if (step.type === 'now') assert.ok(clock.now().ms <= greatest + DEFAULT_MAX_DRIFT + 1)
      }
    }),
    { numRuns: 1000 }
  )
})

test('hlc: among devices with skewed clocks, cause comes before effect', () => {
  const DEVICES = 4
  const device = fc.nat({ max: DEVICES - 1 })
  const event = fc.oneof(
    fc.record({ type: fc.constant('write' as const), at: device }),
    fc.record({ type: fc.constant('send' as const), at: device, to: device }),
    fc.record({ type: fc.constant('set' as const), at: device, wall: wallReading })
  )
  const skews = fc.array(
    fc.oneof(
      fc.integer({ min: -DEFAULT_MAX_DRIFT, max: DEFAULT_MAX_DRIFT }),
      fc.constantFrom(-NOON, IN_2099 - NOON)
    ),
    { minLength: DEVICES, maxLength: DEVICES }
  )
  const sent = { accepted: 0, refused: 0 }
  fc.assert(
    fc.property(skews, fc.array(event, { maxLength: 80, size: 'max' }), (skews, events) => {
      const devices = skews.map((skew, i) => ({
        ...clockAt(NOON + skew, { tag: tagOf(i) }),
        /** Every stamp that this device's next write depends on, directly or through others. */
        past: new Set<Stamp>(),
        newest: null as { stamp: Stamp; past: Set<Stamp> } | null
      }))
      for (const event of events) {
        const from = devices[event.at]
        if (from === undefined) continue
        if (event.type === 'set') from.wall.ms = event.wall
        if (event.type === 'write') {
          const stamp = from.clock.now()
          for (const cause of from.past) assert.ok(isBefore(cause, stamp))
          from.past.add(stamp)
          from.newest = { stamp, past: new Set(from.past) }
        }
        if (event.type === 'send' && from.newest !== null) {
          const to = devices[event.to]
          const isAccepted = to?.clock.observe(from.newest.stamp).ok === true
          sent[isAccepted ? 'accepted' : 'refused']++
          if (isAccepted) for (const cause of from.newest.past) to.past.add(cause)
        }
      }
    }),
    { numRuns: 1000 }
  )
  assert.ok(
    sent.accepted > 1000 && sent.refused > 1000,
    `too little happened: ${JSON.stringify(sent)}`
  )
})

test('hlc: a stamp exactly maxDrift ahead is accepted, one millisecond more is skew', () => {
  for (const maxDrift of [0, 1000, DEFAULT_MAX_DRIFT]) {
    const { clock } = clockAt(NOON, { maxDrift })
    assert.equal(clock.observe(stampAt(NOON + maxDrift + 1)), {
      ok: false,
      reason: 'clock-skew',
      aheadMs: maxDrift + 1
    })
    assert.is(clock.last, null)
    assert.equal(clock.observe(stampAt(NOON + maxDrift)), { ok: true })
    assert.equal(clock.now(), stampAt(NOON + maxDrift, 1, TAG))
  }
})

test('hlc: drift is measured against the wall clock, not against where the clock was pulled', () => {
  const { clock } = clockAt(NOON)
  assert.is(clock.observe(stampAt(NOON + DEFAULT_MAX_DRIFT)).ok, true)
  assert.equal(clock.observe(stampAt(NOON + DEFAULT_MAX_DRIFT + 60_000)), {
    ok: false,
    reason: 'clock-skew',
    aheadMs: DEFAULT_MAX_DRIFT + 60_000
  })
  assert.equal(clock.last, stampAt(NOON + DEFAULT_MAX_DRIFT))
})

test('hlc: the default drift is five minutes', () => {
  const { clock } = clockAt(NOON)
  assert.is(clock.observe(stampAt(NOON + 300_001)).ok, false)
  assert.is(clock.observe(stampAt(NOON + 300_000)).ok, true)
})

test('hlc: an old stamp is accepted and changes nothing', () => {
  const { clock } = clockAt(NOON)
  const own = clock.now()
  assert.equal(clock.observe(stampAt(0, MAX_COUNTER)), { ok: true })
  assert.is(clock.last, own)
})

test('hlc: of two stamps of one instant the greater tag is remembered, the next counter beats both', () => {
  const { clock } = clockAt(NOON)
  clock.now()
  clock.observe(stampAt(NOON, 0, OTHER_TAG))
  assert.equal(clock.last, stampAt(NOON, 0, OTHER_TAG))
  assert.equal(clock.now(), stampAt(NOON, 1, TAG))
})

test('hlc: a restart goes on after the newest stamp of its own cores', () => {
  const { clock } = clockAt(NOON - 60_000, { last: stampAt(NOON, 41, TAG) })
  assert.is(clock.repaired, null)
  assert.equal(clock.last, stampAt(NOON, 41, TAG))
  assert.equal(clock.now(), stampAt(NOON, 42, TAG))
})

test('hlc: a device that once started in 2099 is repaired at the next start, not muted', () => {
  const wrong = clockAt(IN_2099).clock.now()
  const { clock } = clockAt(NOON, { last: wrong })
  assert.equal(clock.repaired, { from: wrong, to: NOON })
  assert.is(clock.last, null)
  const stamp = clock.now()
  assert.equal(stamp, stampAt(NOON, 0, TAG))
  assert.equal(clockAt(NOON, { tag: OTHER_TAG }).clock.observe(stamp), { ok: true })
})

test('hlc: recovery believes a stamp exactly maxDrift ahead, one millisecond more is repaired', () => {
  for (const maxDrift of [0, 1000, DEFAULT_MAX_DRIFT]) {
    const last = stampAt(NOON + maxDrift, 7, TAG)
    assert.is(clockAt(NOON, { last, maxDrift }).clock.repaired, null)
    const further = stampAt(NOON + maxDrift + 1, 7, TAG)
    assert.equal(clockAt(NOON, { last: further, maxDrift }).clock.repaired, {
      from: further,
      to: NOON
    })
  }
})

test('hlc: a clock that starts without a last stamp is not repaired', () => {
  assert.is(clockAt(NOON).clock.repaired, null)
  assert.is(clockAt(NOON, { last: null }).clock.repaired, null)
})

test('hlc: a device that lives in 1970 reports the others as skew and is never blocked', () => {
  const { clock, wall } = clockAt(0)
  let before = clock.now()
  for (let second = 1; second <= 100; second++) {
    wall.ms = second * 1000
    const aheadMs = NOON - wall.ms
    assert.equal(clock.observe(stampAt(NOON)), { ok: false, reason: 'clock-skew', aheadMs })
    const stamp = clock.now()
    assert.equal(stamp, stampAt(wall.ms, 0, TAG))
    assert.ok(isBefore(before, stamp))
    before = stamp
  }
  assert.equal(clockAt(NOON).clock.observe(before), { ok: true })
  wall.ms = NOON // The clock is set right at last: from here on it follows.
  assert.equal(clock.observe(stampAt(NOON)), { ok: true })
  assert.equal(clock.now(), stampAt(NOON, 1, TAG))
})

test('hlc: the tag is copied, so a reused buffer does not rewrite stamps', () => {
  for (const tag of [tagOf(1), Buffer.alloc(TAG_BYTES, 1)]) {
    const { clock } = clockAt(NOON, { tag })
    tag.fill(9)
    assert.equal(clock.now(), stampAt(NOON, 0, TAG))
  }
})

test('hlc: a wrong tag or a negative drift is a TypeError naming it', () => {
  const isNamed = (name: string) => (error: Error) =>
    error instanceof TypeError && error.message.includes(`"${name}" expected`)
  for (const length of [0, 7, 9]) {
    assert.throws(() => clockAt(NOON, { tag: new Uint8Array(length) }), isNamed('tag'))
  }
  for (const maxDrift of [-1, NaN]) {
    assert.throws(() => clockAt(NOON, { maxDrift }), isNamed('maxDrift'))
  }
})

test.run()
