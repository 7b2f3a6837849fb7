/** The twelve rules of docs/MEMBERSHIP.md, one test each in the same words; and what forks cost. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { resolveMembership, type Head } from '../../acl/index.ts'
import {
  author,
  dataHead,
  founder,
  meet,
  OPTIONS,
  recovery,
  shortHash,
  succession,
  type Author
} from '../support/acl.ts'
import { lengthIn, roleIn, ruleFor, told } from '../support/told.ts'

const FIRST = shortHash('owners/alice/1/acl')
const afterAdding = (generation: string, { identity, device, core }: Author): string =>
  shortHash(`${generation}/add/${identity}/${device}/${core}`)

function votesFor(voter: Author, generation: string, next: Author): void {
  const { member, claims: cores } = next
  voter.write({ kind: 'vote', generation, change: { kind: 'add', member, cores } })
}

function votesAgainst(voter: Author, generation: string, other: Author, length = 0): void {
  const cuts =
    length === 0 ? voter.cut(other) : [dataHead(other.core, length), dataHead(other.data, length)]
  voter.write({
    kind: 'vote',
    generation,
    change: { kind: 'remove', identity: other.identity, cuts }
  })
}

/** Alice, Bob and Carol own the space, and know it. @returns the name of their generation */
function threeOwners(alice: Author, bob: Author, carol: Author): string {
  votesFor(alice, FIRST, bob)
  const second = afterAdding(FIRST, bob)
  bob.sees(alice)
  votesFor(alice, second, carol)
  votesFor(bob, second, carol)
  meet(alice, bob, carol)
  return afterAdding(second, carol)
}

test('RULE 1: the founder’s acl core is the root and the space’s address; the founder is the first owner', () => {
  const alice = founder()
  const mallory = author('mallory')
  mallory.write({ kind: 'found', member: mallory.member, cores: mallory.claims })
  const space = told(alice, mallory)
  assert.equal(space.owners, ['alice'])
  assert.is(roleIn(space, 'mallory'), null)
  assert.is(ruleFor(space, mallory, 0), 2)
  const empty = resolveMembership([mallory.log], OPTIONS)
  assert.is(empty.members.size, 0)
  assert.is(ruleFor(empty, mallory, 0), 1)
})

test('RULE 2: rank belongs to an office; admins by distance of the grant from the founder, then the granter’s rank, then position in the granter’s log', () => {
  const alice = founder()
  const [bob, carol, dave, erin] = [author('bob'), author('carol'), author('dave'), author('erin')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  bob.sees(alice)
  carol.sees(alice)
  carol.grants(dave, 'admin')
  bob.grants(erin, 'admin')
  dave.sees(carol)
  const space = told(alice, bob, carol, dave, erin)
  const ranks = ['alice', 'bob', 'carol', 'erin', 'dave'].map(
    (name) => space.members.get(name)?.rank
  )
  assert.equal(ranks, [0, 1, 2, 3, 4])
})

test('RULE 2: who leaves ends its own office, and comes back as what it is granted then', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  meet(alice, bob, carol)
  bob.write({ kind: 'leave', cuts: bob.cut(bob) })
  alice.sees(bob)
  const again = author('bob', 1, '-2')
  alice.grants(again, 'reader')
  const space = told(alice, bob, carol)
  assert.is(space.members.get('bob')?.rank, null)
  assert.is(roleIn(space, 'bob'), 'reader')
  carol.sees(alice)
  carol.revokes('bob', [again])
  assert.is(roleIn(told(alice, bob, carol), 'bob'), null, 'Carol ranks above a reader')
})

test('RULE 2: a record counts under an office only if its causal past holds the grant of that office', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  bob.grants(carol, 'writer') // before anybody made Bob an admin
  alice.grants(bob, 'admin')
  bob.sees(alice)
  bob.grants(dave, 'writer')
  const space = told(alice, bob)
  assert.is(roleIn(space, 'carol'), null)
  assert.is(ruleFor(space, bob, 0), 2)
  assert.is(roleIn(space, 'dave'), 'writer')
})

test('RULE 3: you act only on those of lower rank, give at most your own role, and never change your own; on owners nobody acts alone', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  const generation = threeOwners(alice, bob, carol)
  assert.ok(generation.length > 0)
  alice.grants(dave, 'admin')
  const erin = author('erin')
  alice.grants(erin, 'admin')
  dave.sees(alice)
  erin.sees(alice)
  dave.revokes('carol', [carol])
  erin.revokes('dave', [dave]) // the earlier admin ranks higher
  alice.revokes('carol', [carol]) // an owner of higher rank, alone
  alice.revokes('alice', [])
  dave.write({
    kind: 'grant',
    member: carol.member,
    role: 'owner',
    prefixes: null,
    cores: carol.claims
  })
  const space = told(alice, bob, carol, dave, erin)
  assert.equal(space.owners, ['alice', 'bob', 'carol'])
  assert.is(ruleFor(space, dave, 0), 3)
  assert.is(ruleFor(space, erin, 0), 3)
  assert.is(roleIn(space, 'dave'), 'admin')
  assert.is(ruleFor(space, alice, alice.length - 2), 3)
  assert.is(ruleFor(space, alice, alice.length - 1), 3)
  assert.is(ruleFor(space, dave, 1), 7)
})

test('RULE 4: what lies past a cut is void, with all that rested on it; mutual removals have one outcome', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  meet(alice, bob, carol)
  bob.revokes('carol', [carol])
  carol.revokes('bob', [bob])
  carol.grants(dave, 'writer')
  const space = told(alice, bob, carol)
  assert.is(roleIn(space, 'bob'), 'admin')
  assert.is(roleIn(space, 'carol'), null)
  assert.is(roleIn(space, 'dave'), null)
  assert.is(ruleFor(space, carol, 0), 4)
})

test('RULE 5: of several seals of one core the highest-ranking author’s decides; of one author’s, the one that has seen the others', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'writer')
  meet(alice, bob, carol)
  bob.write({ kind: 'seal', cuts: [dataHead(carol.data, 3)] })
  assert.is(lengthIn(told(alice, bob), carol.data), 3)
  alice.write({ kind: 'seal', cuts: [dataHead(carol.data, 5)] })
  assert.is(lengthIn(told(alice, bob), carol.data), 5)
  alice.write({ kind: 'seal', cuts: [dataHead(carol.data, 9)] })
  bob.sees(alice)
  bob.write({ kind: 'seal', cuts: [dataHead(carol.data, 1)] })
  assert.is(lengthIn(told(alice, bob), carol.data), 9, 'restored')
})

test('RULE 6: a seal counts as raised to its floor: the greatest length of that core acknowledged, in the seal’s causal past, by its author or anyone of higher rank', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  alice.grants(dave, 'writer')
  alice.acknowledges(dataHead(dave.data, 7))
  meet(alice, bob, carol)
  carol.acknowledges(dataHead(dave.data, 50)) // of lower rank than Bob: does not bind him
  bob.sees(carol)
  bob.write({ kind: 'seal', cuts: [dataHead(dave.data, 0)] })
  const space = told(alice, bob, carol)
  assert.is(lengthIn(space, dave.data), 7)
  assert.equal(space.raised, [
    { by: { core: bob.core, index: 0 }, core: dave.data, named: 0, length: 7 }
  ])
})

test('RULE 7: owners are a closed list, changed only by a ballot: votes of more than half of all current owners', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  const generation = threeOwners(alice, bob, carol)
  votesFor(alice, generation, dave)
  assert.equal(told(alice, bob, carol).owners, ['alice', 'bob', 'carol'])
  assert.is(told(alice, bob, carol).pendingBallots.length, 1)
  votesFor(bob, generation, dave)
  votesAgainst(bob, generation, carol, 9) // not Bob's first vote of this generation
  const space = told(alice, bob, carol)
  assert.equal(space.owners, ['alice', 'bob', 'carol', 'dave'])
  assert.is(space.generation, afterAdding(generation, dave))
  assert.is(ruleFor(space, bob, bob.length - 1), 7)
})

test('RULE 7: a core’s cut is the greatest length that the votes of a majority name or exceed', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  const generation = threeOwners(alice, bob, carol)
  votesAgainst(alice, generation, carol, 9)
  votesAgainst(bob, generation, carol, 4)
  const space = told(alice, bob, carol)
  assert.equal(space.owners, ['alice', 'bob'])
  assert.is(lengthIn(space, carol.data), 4)
})

test('RULE 8: an identity admits and revokes its own devices, with no more rights than its own; among them the earlier has the higher rank', () => {
  const alice = founder()
  const [bob, phone, tablet] = [author('bob'), author('bob', 2), author('bob', 3)]
  alice.grants(bob, 'writer')
  bob.sees(alice)
  bob.grants(phone, 'admin')
  phone.sees(bob)
  bob.sees(phone)
  phone.grants(tablet, 'writer')
  phone.revokes('bob', [], 'bob/1')
  const space = told(alice, bob, phone, tablet)
  const devices = space.members.get('bob')?.devices.map(({ device, role }) => [device, role])
  assert.equal(devices, [
    ['bob/1', 'writer'],
    ['bob/2', 'writer'],
    ['bob/3', 'writer']
  ])
  assert.is(ruleFor(space, phone, 1), 8)
  bob.sees(phone)
  bob.revokes('bob', [phone], 'bob/2')
  assert.is(lengthIn(told(alice, bob, phone, tablet), phone.core), 2)
})

test('RULE 8: an identity revokes a device of its own before anybody has let it in, and who has not heard lets it in in vain', () => {
  const alice = founder()
  const [bob, desktop, phone] = [author('bob'), author('bob', 2), author('bob', 3)]
  alice.grants(bob, 'writer')
  bob.sees(alice)
  bob.grants(desktop, 'writer')
  desktop.sees(bob)
  bob.revokes('bob', [], 'bob/3')
  desktop.grants(phone, 'writer')
  const space = told(alice, bob, desktop, phone)
  assert.equal([...space.revokedDevices('bob')], ['bob/3'])
  assert.is(lengthIn(space, phone.core), 0)
  assert.equal(
    space.members.get('bob')?.devices.map(({ device, role }) => [device, role]),
    [
      ['bob/1', 'writer'],
      ['bob/2', 'writer'],
      ['bob/3', null]
    ]
  )
  // The device that came before it can take that back.
  bob.sees(desktop)
  bob.grants(phone, 'writer')
  assert.is(lengthIn(told(alice, bob, desktop, phone), phone.core), Infinity)
})

test('RULE 8: a reader’s own device only reads, and a writer’s writes where its identity may', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  const [phone, desktop, laptop] = [author('bob', 2), author('bob', 3), author('carol', 2)]
  alice.grants(bob, 'reader')
  alice.grants(carol, 'writer', carol.claims, ['a', 'b'])
  meet(alice, bob, carol)
  bob.grants(phone, 'writer')
  carol.grants(laptop, 'writer', laptop.claims, ['ab', 'c'])
  const tablet = recovery(desktop)
  const space = told(alice, bob, carol, tablet)
  const standings = [phone, tablet, laptop].map(({ data }) => space.cores.get(data))
  assert.equal(
    standings.map((each) => each?.role),
    ['reader', 'reader', 'writer']
  )
  assert.equal(standings[2]?.prefixes, [Buffer.from('ab')])
})

test('GRANTS: of several grants of one core all that any of them allows', () => {
  const alice = founder()
  const bob = author('bob')
  alice.grants(bob, 'reader')
  const prefixes = () => told(alice, bob).cores.get(bob.data)?.prefixes
  assert.is(prefixes(), null)
  alice.grants(bob, 'writer', bob.claims, [])
  assert.equal(prefixes(), [], 'nothing')
  alice.grants(bob, 'writer', bob.claims, ['a'])
  alice.grants(bob, 'writer', bob.claims, ['b'])
  assert.equal(prefixes(), [Buffer.from('a'), Buffer.from('b')])
  alice.grants(bob, 'admin')
  assert.is(prefixes(), null)
})

test('RULE 8: a lost first device is revoked by the phrase, which outranks the devices of its own identity only', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  alice.grants(bob, 'admin')
  bob.sees(alice)
  bob.grants(carol, 'writer') // a thief, on Bob's laptop
  const desktop = recovery(author('bob', 2).sees(bob), { revoked: ['bob/1', 'carol/1'], cuts: [] })
  const space = told(alice, bob, carol, desktop)
  assert.is(lengthIn(space, bob.core), 0)
  assert.is(roleIn(space, 'carol'), null)
  assert.is(roleIn(space, 'bob'), 'admin')
  assert.is(space.members.get('bob')?.devices[0]?.device, 'bob/2')
})

test('RULE 9: a device key may at any time replace its own cores by new ones; tails beyond that length still count', () => {
  const alice = founder()
  const [bob, carol, dave] = [author('bob'), author('carol'), author('dave')]
  alice.grants(bob, 'admin')
  bob.sees(alice)
  bob.grants(carol, 'writer')
  const next = succession(bob, '-b', [bob.head(), dataHead(bob.data, 4)])
  next.grants(dave, 'writer')
  bob.grants(author('erin'), 'writer') // the tail
  const space = told(alice, bob, next)
  assert.equal(
    ['carol', 'dave', 'erin'].map((name) => roleIn(space, name)),
    ['writer', 'writer', 'writer']
  )
  assert.equal(space.cores.get(next.data)?.continues, { core: bob.data, length: 4 })
  alice.sees(bob)
  alice.write({ kind: 'seal', cuts: [bob.head(1), dataHead(bob.data, 3)] })
  const sealed = told(alice, bob, next)
  assert.is(lengthIn(sealed, next.data), 0, 'a successor of more than counts is void')
})

test('RULE 9: a log in which nothing stands is succeeded like another', () => {
  const alice = founder()
  const bob = author('bob')
  alice.grants(bob, 'writer')
  const next = succession(bob, '-b', [bob.head(), dataHead(bob.data, 4)])
  const space = told(alice, bob, next)
  assert.is(bob.head().length, 0)
  assert.equal([lengthIn(space, next.core), lengthIn(space, next.data)], [Infinity, Infinity])
})

test('RULE 9: what a log says of its own device takes back neither itself nor what it goes on from', () => {
  const alice = founder()
  const bob = author('bob')
  alice.grants(bob, 'writer')
  bob.sees(alice)
  bob.acknowledges(dataHead(bob.data, 3))
  const next = succession(bob, '-2')
  next.acknowledges(dataHead(bob.data, 6))
  next.write({ kind: 'leave', cuts: [] })
  const space = told(alice, bob, next)
  assert.is(roleIn(space, 'bob'), null)
  assert.equal(
    [bob.core, next.core, bob.data].map((core) => lengthIn(space, core)),
    [1, 3, 6],
    'the acknowledgement before it binds it'
  )
})

test('RULE 9: two successors of one core are a fork: the one counts that others acknowledge, and it goes on', () => {
  const alice = founder()
  const bob = author('bob')
  alice.grants(bob, 'writer')
  bob.sees(alice)
  bob.acknowledges()
  const [one, two] = [succession(bob, '-one'), succession(bob, '-two')]
  const lengths = () => [one, two].map(({ core }) => lengthIn(told(alice, bob, one, two), core))
  assert.equal(lengths(), [Infinity, 0], 'the lesser by its key, while nobody has')
  alice.sees(two)
  alice.acknowledges(two.head())
  assert.equal(lengths(), [0, Infinity])
  two.acknowledges()
  assert.equal(lengths(), [0, Infinity])
})

test('RULE 9: of two successors that nobody has acknowledged the one counts that has let in more others', () => {
  const alice = founder()
  const [one, two] = [succession(alice, '-one'), succession(alice, '-two')]
  const later = succession(two, '-later')
  const space = () => told(alice, one, two, later)
  const lengths = () => [one, two, later].map(({ core }) => lengthIn(space(), core))
  assert.equal(lengths(), [Infinity, 0, 0])
  later.grants(author('bob'), 'writer')
  assert.equal(lengths(), [0, Infinity, Infinity])
  assert.is(roleIn(space(), 'bob'), 'writer')
  one.grants(author('carol'), 'writer')
  assert.equal(lengths(), [Infinity, 0, 0])
  assert.is(roleIn(space(), 'bob'), null)
})

test('RULE 10: unlisted cores count with length 0, except under a later grant that has seen the revocation; such a grant is void if its author ranks below the revoker', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  const fresh = author('carol', 1, '-fresh')
  alice.grants(bob, 'admin')
  alice.grants(carol, 'writer')
  meet(alice, bob, carol)
  alice.revokes('carol')
  bob.grants(fresh, 'writer') // has not seen it
  assert.is(lengthIn(told(alice, bob), fresh.core), 0)
  bob.sees(alice)
  bob.grants(fresh, 'writer')
  const before = told(alice, bob)
  assert.is(lengthIn(before, fresh.core), 0)
  assert.is(ruleFor(before, bob, 1), 10)
  alice.sees(bob)
  alice.grants(fresh, 'writer')
  const after = told(alice, bob)
  assert.equal(
    [fresh.core, carol.core].map((core) => lengthIn(after, core)),
    [Infinity, 0]
  )
})

test('RULE 11: a space never ends without an owner: an owner leaves only by a ballot; removal of the only owner is void', () => {
  const alice = founder()
  const bob = author('bob')
  alice.write({ kind: 'leave', cuts: [] })
  votesAgainst(alice, FIRST, alice, 1)
  const alone = told(alice)
  assert.equal(alone.owners, ['alice'])
  assert.equal(
    [1, 2].map((index) => ruleFor(alone, alice, index)),
    [11, 7]
  )
  votesFor(alice, FIRST, bob)
  const second = afterAdding(FIRST, bob)
  bob.sees(alice)
  votesAgainst(alice, second, alice, 9)
  votesAgainst(bob, second, alice, 9)
  assert.equal(told(alice, bob).owners, ['bob'])
})

/** An invite of so many, in its author's log. */
const invites = (by: Author, uses: number, role: 'admin' | 'writer' = 'writer') =>
  by.write({
    kind: 'invite',
    key: `invite of ${by.identity}`,
    role,
    prefixes: null,
    uses,
    expires: 1
  })

const letsIn = (by: Author, { member, claims: cores }: Author, invite: Head) =>
  by.write({ kind: 'grant', member, role: 'writer', prefixes: null, cores, invite })

test('RULE 12: of the grants that name one invite and count otherwise, those to the first devices count, as many as it has uses', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  const [xenia, yuri] = [author('xenia'), author('yuri')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  meet(alice, bob, carol)
  const invite = invites(carol, 1)
  meet(alice, bob, carol)
  // Offline, each of two lets somebody else in.
  letsIn(bob, xenia, invite)
  letsIn(alice, yuri, invite)
  assert.is(roleIn(told(bob, carol), 'xenia'), null, 'without the log of Alice nobody is in')
  const early = told(bob, carol, alice.copy(3))

  assert.is(roleIn(early, 'xenia'), 'writer', 'while nobody knows of Yuri')
  const space = told(alice, bob, carol)
  assert.equal([roleIn(space, 'xenia'), roleIn(space, 'yuri')], [null, 'writer'])
  assert.is(ruleFor(space, bob, bob.length - 1), 12)
  assert.equal(
    space.invites.map(({ devices }) => devices),
    [[yuri.device]]
  )
  // Let in by both, one device is one use; what is void otherwise is none.
  letsIn(bob, yuri, invite)
  assert.is(ruleFor(told(alice, bob, carol), bob, bob.length - 1), null)
})

test('RULE 12: a grant that names an invite counts if it had seen the invite; an invite, if its author may give the role', () => {
  const alice = founder()
  const [bob, carol, xenia] = [author('bob'), author('carol'), author('xenia')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'writer')
  meet(alice, bob, carol)
  const [ofBob, ofCarol] = [invites(bob, 2, 'admin'), invites(carol, 2)]
  letsIn(alice, xenia, ofBob) // of which Alice has not heard
  assert.is(ruleFor(told(alice, bob, carol), alice, alice.length - 1), 12)
  alice.sees(bob, carol)
  letsIn(alice, xenia, ofBob)
  letsIn(alice, author('yuri'), alice.head(2)) // which is none
  const space = told(alice, bob, carol)
  assert.is(roleIn(space, 'xenia'), 'writer')
  assert.is(roleIn(space, 'yuri'), null)
  assert.equal(
    space.invites.map(({ head }) => head),
    [ofBob]
  )
  assert.is(ruleFor(space, carol, ofCarol.length - 1), 2)
  alice.write({ kind: 'withdraw', invite: ofBob })
  letsIn(alice, author('zoe'), ofBob) // Alice answers for it
  const later = told(alice, bob, carol)
  assert.equal(
    later.invites.map(({ isWithdrawn, devices }) => [isWithdrawn, devices.length]),
    [[true, 2]]
  )
})

test('FORKS: a forked core is cut at the greatest length acknowledged on one branch, of the highest-ranking acknowledger', () => {
  const alice = founder()
  const [bob, carol] = [author('bob'), author('carol')]
  alice.grants(bob, 'admin')
  alice.grants(carol, 'admin')
  meet(alice, bob, carol)
  bob.acknowledges()
  const twin = bob.copy()
  bob.grants(author('dave'), 'writer')
  twin.grants(author('erin'), 'writer')
  const cut = told(alice, carol, bob, twin)
  assert.equal(
    ['dave', 'erin'].map((name) => roleIn(cut, name)),
    [null, null]
  )
  carol.sees(twin)
  carol.acknowledges(twin.head())
  alice.sees(bob)
  alice.acknowledges(bob.head())
  const space = told(alice, carol, bob, twin)
  assert.equal(
    ['dave', 'erin'].map((name) => roleIn(space, name)),
    ['writer', null]
  )
  assert.equal(
    space.forks.map(({ core, common, length }) => [core, common, length]),
    [[bob.core, 1, 2]]
  )
})

test.run()
