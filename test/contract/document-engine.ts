/**
 * What every document engine must do, whatever library is behind it. A new engine is one file in crdt/document and one
 * `EngineKind` here.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DocumentEngine, EngineDoc } from '../../crdt/document/engine.ts'
import {
  bytesOf,
  ORIGIN,
  session as sessionOf,
  sourceOf as sourceOfWriter,
  WRITERS,
  type Written
} from '../support/document-session.ts'
import { seededRandom, shuffled, type SeededRandom } from '../support/random.ts'

export interface EngineKind<D extends EngineDoc> {
  readonly engine: DocumentEngine<D>
  /** One random edit, as an application makes it. */
  edit(doc: D, random: SeededRandom): void
  /** Puts a text at the end of one. */
  paste(doc: D, text: string): void
  /** Everything that an application sees. */
  shown(doc: D): unknown
  /** Makes an application's observer throw at the next change. */
  throwOnChange(doc: D, error: Error): void
}

export function documentEngineContract<D extends EngineDoc>(kind: EngineKind<D>): void {
  const { engine } = kind
  const shown = (doc: D) => kind.shown(doc)
  const law = (title: string, body: () => void) => test(`${engine.name}: ${title}`, body)

  const session = (random: SeededRandom, steps?: number) => sessionOf(kind, random, steps)
  const sourceOf = (writer: number) => sourceOfWriter(engine, writer)

  function built(updates: readonly Uint8Array[]): D {
    const doc = engine.create('d')
    assert.equal(engine.apply(doc, updates, null).refused, [])
    return doc
  }

  law('any order, grouping and repetition of updates gives one document', () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = seededRandom(seed)
      const all = session(random)
      const updates = bytesOf(all)
      const expected = shown(built(updates))
      const doc = engine.create('d')
      for (const update of shuffled([...updates, ...updates.slice(0, 5)], random)) {
        engine.apply(doc, [update], null)
      }
      assert.equal(shown(doc), expected, `seed ${seed}`)
      assert.equal(shown(built([engine.state(doc)])), expected, `seed ${seed}: from its state`)
      const grouped = [0, 1, 2].flatMap((writer) => {
        const own = all.filter((each) => each.writer === writer)
        return own.length === 0 ? [] : [engine.pack(own.map(({ update }) => update))]
      })
      assert.equal(shown(built(grouped)), expected, `seed ${seed}: grouped`)
    }
  })

  law(
    'a snapshot of what one writer brought in says what its updates said, whatever of the others is there',
    () => {
      for (let seed = 0; seed < 12; seed++) {
        const random = seededRandom(seed)
        const all = session(random)
        const writer = random.below(WRITERS)
        const isOwn = (each: Written) => each.writer === writer
        const snapshot = engine.contribution(
          all.map((each) => ({ bytes: each.bytes, isOwn: isOwn(each) }))
        )
        assert.ok(snapshot, `seed ${seed}`)
        const own = bytesOf(all.filter(isOwn))
        const others = bytesOf(all.filter((each) => !isOwn(each)))
        for (const cut of [others.length, 0, random.below(others.length + 1)]) {
          const rest = others.slice(0, cut)
          assert.equal(
            shown(built([snapshot, ...rest])),
            shown(built([...own, ...rest])),
            `seed ${seed}`
          )
        }
        const spans = [...(engine.spans(snapshot) ?? [])]
        assert.ok(
          spans.every(({ source }) => source === sourceOf(writer)),
          `seed ${seed}: nothing of the others is in it`
        )
      }
    }
  )

  law('there is no snapshot while something that own updates stand on is missing', () => {
    const [first, second] = madeOnOneAnother()
    assert.is(engine.contribution([{ bytes: second, isOwn: true }]), null)
    const both = [
      { bytes: first, isOwn: false },
      { bytes: second, isOwn: true }
    ]
    assert.ok(engine.contribution(both))
  })

  law('what stands on what is not here waits, and is there as soon as that is', () => {
    const [first, second] = madeOnOneAnother()
    const doc = engine.create('d')
    const nothing = shown(doc)
    assert.equal(engine.apply(doc, [second], null).refused, [])
    assert.equal(shown(doc), nothing)
    engine.apply(doc, [first], null)
    assert.equal(shown(doc), shown(built([first, second])))
  })

  law(
    'only so much waits in memory: the rest is held back, and due when something of it comes',
    () => {
      const { first, rest } = longSession()
      const doc = engine.create('d')
      const { held, missing } = engine.apply(doc, rest, null)
      assert.ok(held.length > 0 && held.length < rest.length, `${held.length} of ${rest.length}`)
      assert.not(engine.isDue(doc, missing))
      engine.apply(doc, [first], null)
      assert.ok(engine.isDue(doc, missing))
      engine.apply(doc, rest, null)
      assert.equal(shown(doc), shown(built([first, ...rest])))
    }
  )

  law('updates name their sources, and can be reduced to some of them', () => {
    for (let seed = 0; seed < 10; seed++) {
      const all = session(seededRandom(seed))
      for (const { writer, bytes } of all) {
        const spans = [...(engine.spans(bytes) ?? [])]
        assert.ok(
          spans.every(({ source, start, end }) => source === sourceOf(writer) && start < end)
        )
        const none = engine.spans(engine.only(bytes, () => false))
        assert.ok(none?.isEmpty)
        const same = engine.spans(engine.only(bytes, () => true))
        assert.equal([...(same ?? [])], spans)
      }
    }
  })

  law('no bytes make it throw, and what cannot be read changes nothing', () => {
    const random = seededRandom(1)
    const all = bytesOf(session(random))
    for (let i = 0; i < 60; i++) {
      const bytes = Uint8Array.from(all[random.below(all.length)] ?? [])
      const cut = bytes.subarray(0, random.below(bytes.length + 1))
      if (random.below(2) === 0) bytes[random.below(bytes.length)] = random.below(256)
      for (const broken of [bytes, cut]) {
        engine.spans(broken)
        engine.apply(engine.create('d'), [broken], null)
      }
    }
    const doc = built(all)
    const before = shown(doc)
    assert.equal(engine.apply(doc, [new Uint8Array(0), Uint8Array.of(99, 1)], null).refused, [0, 1])
    assert.equal(shown(doc), before)
  })

  law(
    'what is needed of updates past a seal is what admitted ones stand on: with it nothing waits',
    () => {
      let needed = 0
      for (let seed = 0; seed < 15; seed++) {
        const random = seededRandom(seed)
        const all = session(random)
        const sealed = random.below(WRITERS)
        const from = random.below(all.length + 1)
        const isPast = (each: Written, i: number) => each.writer === sealed && i >= from
        const admitted = bytesOf(all.filter((each, i) => !isPast(each, i)))
        const past = bytesOf(all.filter(isPast))
        const indices = engine.needed(admitted, past)
        needed += indices.length
        const taken = indices.map((i) => engine.partsAlone(past[i] ?? new Uint8Array(0)))
        const doc = built([...admitted, ...taken])
        // All that was admitted is in: its own contribution can be told.
        const one = all.filter((each, i) => each.writer !== sealed && !isPast(each, i))
        const isWhole = engine.contribution([
          ...one.map(({ bytes }) => ({ bytes, isOwn: true })),
          ...admitted.map((bytes) => ({ bytes, isOwn: false })),
          ...taken.map((bytes) => ({ bytes, isOwn: false }))
        ])
        assert.ok(isWhole, `seed ${seed}`)
        engine.destroy(doc)
      }
      assert.ok(needed > 5, `${needed}`)
    }
  )

  law('two bound documents are the same, whichever is edited, until they are parted', () => {
    const random = seededRandom(7)
    const [doc, other] = [engine.create('d'), engine.create('d')]
    kind.edit(doc, random)
    kind.edit(other, random)
    const part = engine.bind(doc, other, {
      origin: ORIGIN,
      onsubdoc: () => {},
      ondestroy: () => {}
    })
    for (let i = 0; i < 20; i++) kind.edit(random.below(2) === 0 ? doc : other, random)
    assert.equal(shown(doc), shown(other))
    part()
    const before = shown(doc)
    for (let i = 0; i < 5; i++) kind.edit(other, random)
    assert.equal(shown(doc), before)
  })

  law('what an observer throws is told, and the update is in', () => {
    const [first] = madeOnOneAnother()
    const doc = engine.create('d')
    const error = new Error('an observer')
    kind.throwOnChange(doc, error)
    const { thrown, refused } = engine.apply(doc, [first], ORIGIN)
    assert.is(thrown, error)
    assert.equal(refused, [])
    assert.equal(shown(doc), shown(built([first])))
  })

  /** An update of one writer, and one of another who knew it. */
  function madeOnOneAnother(): readonly [Uint8Array, Uint8Array] {
    for (let seed = 0; seed < 1000; seed++) {
      const [first, second] = pair(seededRandom(seed))
      const isOn =
        second !== undefined && engine.needed([second], first === undefined ? [] : [first])
      if (first !== undefined && second !== undefined && isOn && isOn.length > 0)
        return [first, second]
    }
    throw new Error('No edit stands on another one')
  }

  function pair(random: SeededRandom): readonly Uint8Array[] {
    const made: Uint8Array[] = []
    for (const writer of [0, 1]) {
      const doc = engine.create('d')
      engine.writeAs(doc, sourceOf(writer))
      engine.apply(doc, made, ORIGIN)
      const stop = engine.observe(doc, ORIGIN, {
        onupdate: (update) => made.push(engine.pack([update])),
        onsubdoc: () => {}
      })
      while (made.length === writer) kind.edit(doc, random)
      stop()
    }
    return made
  }

  /** An update, and more than a megabyte of others of the same writer that stand on it. */
  function longSession() {
    const random = seededRandom(3)
    const updates: Uint8Array[] = []
    const doc = engine.create('d')
    engine.writeAs(doc, sourceOf(0))
    const stop = engine.observe(doc, ORIGIN, {
      onupdate: (update) => updates.push(engine.pack([update])),
      onsubdoc: () => {}
    })
    for (let i = 0; i < 24; i++) kind.paste(doc, noise(random, 20_000))
    stop()
    const [first = new Uint8Array(0), ...rest] = updates
    return { first, rest }
  }
}

/** Text that does not shrink much. */
function noise(random: SeededRandom, length: number): string {
  return String.fromCharCode(...Array.from({ length }, () => 0x4e00 + random.below(0x5000)))
}
