/** Rule 12 of docs/MEMBERSHIP.md, and what hostile minters come to. Keys are sentences. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  askFor,
  epochId,
  Keyring,
  resolveMembership,
  type Epoch,
  type EpochCrypto,
  type Key
} from '../../acl/index.ts'
import { author, founder, meet, OPTIONS, shortHash, type Author } from '../support/acl.ts'
import { ruleFor } from '../support/told.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const hashOf = (key: Uint8Array | string): Key => shortHash(Buffer.from(key).toString())

const opened = (box: Uint8Array, ending: string): Uint8Array | null => {
  const text = Buffer.from(box).toString()
  return text.endsWith(ending) ? bytes(text.slice(0, -ending.length)) : null
}

let made = 0
const cryptoOf = (device: Key): EpochCrypto => ({
  newKey: () => bytes(`key ${made++}`),
  hashOf,
  seal: (key, to) => Buffer.concat([key, bytes(` to ${to}`)]),
  open: (box) => opened(box, ` to ${device}`),
  wrap: (key, under) => Buffer.concat([key, bytes(' under '), under]),
  unwrap: (box, under) => opened(box, ` under ${Buffer.from(under).toString()}`)
})

const viewOf = (...authors: readonly Author[]) =>
  resolveMembership(
    authors.map(({ log }) => log),
    OPTIONS
  )

const ringOf = ({ device }: Author, ...keys: readonly string[]) =>
  new Keyring(device, cryptoOf(device), keys.map(bytes))

interface Minting {
  readonly parents?: readonly string[]
  readonly to?: readonly Author[]
}

/** Says that there is an epoch with this key, for these and oneself. */
function mints(one: Author, key: string, { parents = [], to = [] }: Minting = {}): Key {
  one.write({
    kind: 'epoch',
    epoch: hashOf(key),
    parents: parents.map((each) => ({ epoch: hashOf(each), box: bytes(`${each} under ${key}`) })),
    shares: [one, ...to].map(({ device }) => ({ device, box: bytes(`${key} to ${device}`) }))
  })
  return hashOf(key)
}

const orderOf = (...authors: readonly Author[]) =>
  viewOf(...authors).epochs.usable.map(({ epoch }) => epoch)

function stateOf(epoch: Key, ...authors: readonly Author[]): Epoch['unusable'] | undefined {
  return viewOf(...authors).epochs.all.get(epoch)?.unusable
}

/** Alice founds, and lets in an admin, a writer and a reader, who know of it. */
function space() {
  const [alice, bob, carol, rita] = [founder(), author('bob'), author('carol'), author('rita')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'writer')
  alice.grants(rita, 'reader')
  meet(alice, bob, carol, rita)
  return { alice, bob, carol, rita, all: [alice, bob, carol, rita] }
}

test('RULE 13: any writer may mint, any reader who has a key pass it on', () => {
  const { alice, carol, rita, all } = space()
  const first = mints(carol, 'one')
  const byReader = mints(rita, 'two')
  rita.write({ kind: 'share', epoch: first, shares: [{ device: 'alice/1', box: bytes('x') }] })
  const told = viewOf(...all)
  assert.equal([...told.epochs.all.keys()], [first])
  assert.not(told.epochs.all.has(byReader))
  assert.is(ruleFor(told, rita, 0), 12)
  assert.ok(told.epochs.all.get(first)?.holders.has(alice.device))
  assert.ok(told.epochs.all.get(first)?.holders.has(rita.device))
})

test('RULE 13: writers use the usable one of highest generation, then of the highest-ranking minter, then the smaller id', () => {
  const { alice, bob, carol, all } = space()
  const old = mints(alice, 'old')
  const [byCarol, byBob] = [mints(carol, 'c'), mints(bob, 'b')]
  const second = mints(bob, 'b2')
  const next = mints(carol, 'next', { parents: ['c'] })
  const bobs = [byBob, second].sort()
  assert.equal(orderOf(...all), [next, old, ...bobs, byCarol])
})

test('RULE 13: an epoch is usable while all who may have its key may read: those who have a later one with it have it, too', () => {
  const { alice, bob, carol, all } = space()
  const old = mints(alice, 'old')
  const next = mints(alice, 'next', { parents: ['old'], to: [carol] })
  assert.equal(orderOf(...all), [next, old])
  meet(...all)
  carol.write({ kind: 'leave', cuts: carol.cut(carol) })
  assert.is(stateOf(next, ...all), 'held-outside')
  assert.is(stateOf(old, ...all), 'held-outside')
  bob.sees(...all)
  const after = mints(bob, 'after')
  assert.equal(orderOf(...all), [after])
})

test('RULE 13: an epoch serves only while its minter had seen every removal', () => {
  const { alice, bob, carol, all } = space()
  const old = mints(bob, 'old')
  alice.sees(bob)
  alice.revokes('carol', [carol])
  // Nobody had given Carol this key; somebody may have, unheard.
  assert.is(stateOf(old, ...all), 'before-removal')
  const next = mints(alice, 'next')
  assert.equal(orderOf(...all), [next])
})

test('RULE 13: nothing is written under an epoch, nor is it passed on, while something that its minter had seen is missing', () => {
  const { alice, bob, carol, rita } = space()
  alice.revokes('carol', [carol])
  bob.sees(alice)
  const next = mints(bob, 'next')
  const early = resolveMembership(
    [{ core: alice.core, records: alice.log.records.slice(0, 4) }, bob.log, rita.log],
    OPTIONS
  )
  assert.is(early.epochs.all.get(next)?.unusable, 'not-all-here')
  const ring = ringOf(rita, 'next')
  assert.equal(ring.heal(early.epochs, early.epochs.readers), [])
  assert.equal(ring.mint(early.epochs, []).draft.parents, [])
  const whole = viewOf(alice, bob, carol, rita)
  const healed = ring.heal(whole.epochs, whole.epochs.readers)
  assert.equal(
    healed.map(({ epoch, shares }) => [epoch, ...shares.map(({ device }) => device)]),
    [[next, 'alice/1', 'rita/1']]
  )
})

test('after two removals that had not heard of each other, neither epoch serves', () => {
  const { alice, bob, carol, all } = space()
  const dave = author('dave')
  alice.grants(dave, 'writer')
  meet(...all, dave)
  alice.revokes('dave', [dave])
  const one = mints(alice, 'one', { to: [bob, carol] })
  bob.revokes('carol', [carol])
  const two = mints(bob, 'two', { to: [alice, dave] })
  const told = viewOf(...all, dave)
  assert.equal(told.epochs.usable, [])
  assert.ok(told.epochs.all.has(one) && told.epochs.all.has(two))
  const ring = ringOf(alice, 'one', 'two')
  alice.sees(bob)
  const { draft } = ring.mint(told.epochs, told.epochs.readers)
  alice.write(draft)
  assert.equal(draft.parents.map(({ epoch }) => epoch).sort(), [one, two].sort())
  assert.equal(draft.shares.map(({ device }) => device).sort(), ['alice/1', 'bob/1', 'rita/1'])
  assert.equal(orderOf(...all, dave), [draft.epoch])
})

test('a key that does not hash to its epoch is taken by nobody, and seen', () => {
  const { alice, carol, all } = space()
  const epoch = hashOf('true')
  const box = bytes(`false to ${alice.device}`)
  carol.write({ kind: 'epoch', epoch, parents: [], shares: [{ device: alice.device, box }] })
  const ring = ringOf(alice)
  assert.not(ring.learn(viewOf(...all).epochs))
  assert.is(ring.get(epoch), null)
  assert.equal(ring.bad, [{ epoch, box, why: 'share' }])
  assert.is(ring.current(viewOf(...all).epochs), null)
})

test('a parent that is wrapped wrongly is taken by nobody, and is passed on by itself', () => {
  const { alice, bob, carol, rita, all } = space()
  const old = mints(alice, 'old', { to: [bob, carol] })
  const box = bytes('nothing under next')
  carol.write({
    kind: 'epoch',
    epoch: hashOf('next'),
    parents: [{ epoch: old, box }],
    shares: all.map(({ device }) => ({ device, box: bytes(`next to ${device}`) }))
  })
  const { epochs } = viewOf(...all)
  const ring = ringOf(rita)
  ring.learn(epochs)
  assert.equal(ring.bad, [{ epoch: old, box, why: 'parent' }])
  const healer = ringOf(bob)
  healer.learn(epochs)
  assert.equal(
    healer
      .heal(epochs, epochs.readers)
      .map(({ epoch, shares }) => [epoch, ...shares.map(({ device }) => device)]),
    [[old, rita.device]]
  )
})

test('of two keys under one id neither is written under', () => {
  const { alice, bob, all } = space()
  const epochs = ['1', '2'].map((end) => `${'a'.repeat(16)}${end}`)
  for (const epoch of epochs) bob.write({ kind: 'epoch', epoch, parents: [], shares: [] })
  const good = mints(alice, 'good')
  assert.equal(
    epochs.map((epoch) => stateOf(epoch, ...all)),
    ['same-id', 'same-id']
  )
  assert.equal(orderOf(...all), [good])
})

test('an epoch of a stranger, of a removed member, and shares of none have no effect', () => {
  const { alice, carol, all } = space()
  const mallory = author('mallory')
  const byStranger = mints(mallory, 'm')
  alice.revokes('carol', [carol])
  meet(...all)
  const past = mints(carol, 'past')
  alice.write({ kind: 'share', epoch: hashOf('none'), shares: [] })
  const told = viewOf(...all, mallory)
  assert.not(told.epochs.all.has(byStranger))
  assert.not(told.epochs.all.has(past))
  assert.is(ruleFor(told, mallory, 0), 2)
  assert.is(ruleFor(told, carol, 0), 4)
  assert.is(ruleFor(told, alice, alice.length - 1), 12)
})

test('parents that there are not count for nothing, and circles for no generation', () => {
  const { alice, bob, carol, all } = space()
  const first = mints(alice, 'first', { parents: ['unknown'] })
  const [one, two] = [
    mints(bob, 'one', { parents: ['two', 'first'] }),
    mints(carol, 'two', { parents: ['one'] })
  ]
  const above = mints(alice, 'above', { parents: ['one'] })
  const { all: epochs } = viewOf(...all).epochs
  assert.equal(
    [first, one, two, above].map((epoch) => epochs.get(epoch)?.generation),
    [1, 2, 1, 3]
  )
  assert.equal([...(epochs.get(two)?.parents ?? [])], [])
})

test('a fork costs a log, and not the keys of its device', () => {
  const { alice, bob, all } = space()
  const epoch = mints(alice, 'one', { to: [bob] })
  bob.sees(alice)
  const twin = bob.copy()
  bob.acknowledges(alice.head(1))
  twin.acknowledges(alice.head(2))
  all.push(twin)
  for (const core of [bob.core, bob.data])
    alice.write({ kind: 'fork', core, common: 0, proof: bytes('proof') })
  const told = viewOf(...all)
  assert.is(told.members.get('bob')?.devices[0]?.role, null)
  assert.ok(told.epochs.readers.includes(bob.device))
  assert.equal(orderOf(...all), [epoch])
  alice.revokes('bob', [bob])
  assert.not(viewOf(...all).epochs.readers.includes(bob.device))
  assert.equal(orderOf(...all), [])
})

test('a share with a stranger ends an epoch', () => {
  const { alice, bob, all } = space()
  const epoch = mints(alice, 'one', { to: [bob] })
  bob.write({ kind: 'share', epoch, shares: [{ device: 'stranger', box: bytes('x') }] })
  assert.is(stateOf(epoch, ...all), 'held-outside')
})

test('one share gives all keys of before', () => {
  const { alice, bob, rita, all } = space()
  mints(alice, 'one')
  mints(alice, 'two', { parents: ['one'] })
  mints(bob, 'three', { parents: ['two'], to: [rita] })
  const ring = ringOf(rita)
  assert.ok(ring.learn(viewOf(...all).epochs))
  assert.equal([...ring.keys().keys()].sort(), ['one', 'two', 'three'].map(hashOf).sort())
  assert.not(ring.learn(viewOf(...all).epochs))
})

test('what is looked at before it is learned is learned all the same', () => {
  const { alice, rita, all } = space()
  mints(alice, 'one')
  const early = viewOf(...all).epochs
  mints(alice, 'two', { parents: ['one'] })
  const late = viewOf(...all).epochs
  const ring = ringOf(rita, 'two')
  assert.not(ring.learn(early), 'the records of the second key come while it learns')
  assert.ok(ring.isLacking(late, late.readers))
  ring.mint(late, late.readers)
  assert.is(ring.get(hashOf('one')), null)
  assert.ok(ring.learn(late))
  assert.is.not(ring.get(hashOf('one')), null)
})

test('a parent that is wrapped wrongly is seen, though it was looked at before', () => {
  const { alice, rita, all } = space()
  const one = mints(alice, 'one')
  const box = bytes('nothing under two')
  const parents = [{ epoch: one, box }]
  alice.write({ kind: 'epoch', epoch: hashOf('two'), parents, shares: [] })
  const { epochs } = viewOf(...all)
  const ring = ringOf(rita, 'two')
  assert.ok(ring.isLacking(epochs, epochs.readers))
  ring.learn(epochs)
  assert.equal(ring.bad, [{ epoch: one, box, why: 'parent' }])
})

const NOTHING = new Set<string>()

test('who was given a box that does not open asks for the key, and says so when it has it', () => {
  const { alice, bob, carol, rita, all } = space()
  const epoch = hashOf('one')
  const boxes = [alice, bob, carol].map(({ device }) => ({
    device,
    box: bytes(`one to ${device}`)
  }))
  const shares = [...boxes, { device: rita.device, box: bytes('nothing') }]
  carol.write({ kind: 'epoch', epoch, parents: [], shares })
  const victim = ringOf(rita)
  victim.learn(viewOf(...all).epochs)
  for (const draft of victim.asks(viewOf(...all).epochs, NOTHING)) rita.write(draft)
  assert.equal(victim.asks(viewOf(...all).epochs, NOTHING), [], 'it asks once')
  assert.equal(
    [
      ...(viewOf(...all)
        .epochs.all.get(epoch)
        ?.asking.keys() ?? [])
    ],
    [rita.device]
  )

  const healer = ringOf(bob)
  healer.learn(viewOf(...all).epochs)
  const [answer, ...more] = healer.heal(viewOf(...all).epochs, viewOf(...all).epochs.readers)
  assert.ok(answer)
  assert.equal(more, [])
  bob.write(answer)
  assert.not(healer.isLacking(viewOf(...all).epochs, viewOf(...all).epochs.readers), 'once')

  assert.ok(victim.learn(viewOf(...all).epochs))
  for (const draft of victim.heal(viewOf(...all).epochs, [])) rita.write(draft)
  const { epochs } = viewOf(...all)
  assert.is(epochs.all.get(epoch)?.asking.size, 0)
  const another = ringOf(alice)
  another.learn(epochs)
  assert.equal(another.heal(epochs, epochs.readers), [], 'nobody else need answer')
})

test('whoever asks on, though it has the key, costs each holder one share', () => {
  const { alice, bob, rita, all } = space()
  const epoch = mints(alice, 'one', { to: [bob, rita] })
  for (let i = 0; i < 3; i++) rita.write(askFor(epoch, rita.device))
  const ring = ringOf(bob)
  ring.learn(viewOf(...all).epochs)
  const { length } = bob
  for (let i = 0; i < 3; i++)
    for (const draft of ring.heal(viewOf(...all).epochs, [bob.device, rita.device]))
      bob.write(draft)
  assert.is(bob.length, length + 1)
  const minter = ringOf(alice)
  minter.learn(viewOf(...all).epochs)
  assert.equal(minter.heal(viewOf(...all).epochs, [rita.device]), [], 'she has given it already')
})

test('a key whose record does not count is written under by nobody, and passed on to members who ask', () => {
  const { alice, bob, carol, rita, all } = space()
  mints(alice, 'one', { to: [bob, carol, rita] })
  alice.revokes('carol', [carol])
  const late = mints(carol, 'late', { to: [bob] })
  const { epochs } = viewOf(...all)
  assert.not(epochs.all.has(late))
  const [healer, reader] = [ringOf(bob), ringOf(rita)]
  for (const ring of [healer, reader]) ring.learn(epochs)
  assert.is.not(healer.get(late), null)
  assert.is.not(healer.current(epochs)?.epoch, late)
  assert.is(reader.get(late), null)
  assert.equal(healer.heal(epochs, [bob.device, rita.device]), [], 'nobody has asked')
  assert.equal(reader.asks(epochs, NOTHING), [], 'nothing that was written needs it')
  for (const draft of reader.asks(epochs, new Set([epochId(late)]))) rita.write(draft)
  const asked = viewOf(...all)
  const answer = healer.heal(asked.epochs, asked.epochs.readers)
  assert.equal(
    answer
      .filter((each) => each.epoch === late)
      .map(({ shares }) => shares.map(({ device }) => device)),
    [[rita.device]]
  )
  for (const draft of answer) bob.write(draft)
  reader.learn(viewOf(...all).epochs)
  assert.is.not(reader.get(late), null)
})

test('a stranger and a removed member are given nothing, whatever they ask for', () => {
  const { alice, bob, carol, all } = space()
  const mallory = author('mallory')
  const epoch = mints(alice, 'one', { to: [bob] })
  alice.revokes('carol', [carol])
  for (const one of [carol, mallory]) one.write(askFor(epoch, one.device))
  const { epochs } = viewOf(...all, mallory)
  assert.is(epochs.all.get(epoch)?.asking.size, 0)
  const ring = ringOf(bob)
  ring.learn(epochs)
  const given = ring.heal(epochs, epochs.readers).flatMap(({ shares }) => shares)
  assert.equal(
    given.map(({ device }) => device),
    ['rita/1']
  )
})

test('who was let in again reads what is written by who has not heard of it', () => {
  const { alice, bob, carol, rita, all } = space()
  bob.revokes('rita', [rita])
  const two = mints(bob, 'two', { to: [alice, carol] })
  const heard = viewOf(...all).epochs
  assert.not(heard.readers.includes(rita.device))
  const again = author('rita', 1, ' again')
  bob.grants(again, 'reader')
  const { epochs } = viewOf(...all, again)
  for (const draft of ringOf(bob, 'two').heal(epochs, epochs.readers)) bob.write(draft)
  const ring = ringOf(again)
  ring.learn(viewOf(...all, again).epochs)
  assert.is.not(ring.get(two), null)
  assert.is(ringOf(alice, 'two').current(heard)?.epoch, two, 'alice writes under it meanwhile')
})

test('who is granted anew from beside its removal is given no key', () => {
  const { alice, bob, carol, rita, all } = space()
  alice.grants(carol, 'admin')
  meet(...all)
  bob.revokes('rita', [rita])
  mints(bob, 'two', { to: [alice, carol] })
  const again = author('rita', 1, ' again')
  carol.grants(again, 'reader')
  const { epochs } = viewOf(...all, again)
  assert.not(epochs.readers.includes(rita.device))
  for (const one of [alice, bob, carol])
    assert.equal(ringOf(one, 'two').heal(epochs, epochs.readers), [], one.device)
})

test('whose removal was made void from above reads what was written after it', () => {
  const { alice, bob, carol, rita, all } = space()
  mints(alice, 'one', { to: [bob, carol, rita] })
  alice.revokes('bob', [bob])
  bob.revokes('rita', [rita])
  const two = mints(bob, 'two', { to: [carol] })
  const heard = viewOf(alice.copy(alice.length - 1), bob, carol, rita).epochs
  assert.not(heard.readers.includes(rita.device))
  assert.is(ringOf(carol, 'two').current(heard)?.epoch, two, 'carol writes under it meanwhile')
  const { epochs } = viewOf(...all)
  assert.ok(epochs.readers.includes(rita.device))
  for (const draft of ringOf(rita, 'one').asks(epochs, new Set([epochId(two)]))) rita.write(draft)
  const asked = viewOf(...all).epochs
  for (const draft of ringOf(carol, 'two').heal(asked, asked.readers)) carol.write(draft)
  const ring = ringOf(rita)
  ring.learn(viewOf(...all).epochs)
  assert.is.not(ring.get(two), null)
})

test.run()
