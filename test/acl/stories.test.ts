/** What people do to each other, each told in random orders of delivery. The table in docs/MEMBERSHIP.md names these tests. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mayAct } from '../../acl/index.ts'
import {
  attest,
  author,
  claim,
  dataHead,
  founder,
  meet,
  recovery,
  shortHash,
  succession,
  type Author
} from '../support/acl.ts'
import { story } from '../support/story.ts'
import { lengthIn, roleIn, ruleFor, told } from '../support/told.ts'

/** Alice founds, and makes these people admins; everybody knows. */
function admins(...names: readonly string[]): [Author, ...Author[]] {
  const alice = founder()
  const others = names.map((name) => author(name))
  for (const other of others) alice.grants(other, 'admin')
  meet(alice, ...others)
  return [alice, ...others]
}

/** Owners, in this order, made by votes that all of them gave. @returns them, and the name of their generation */
function owners(...names: readonly string[]): {
  readonly all: Author[]
  readonly generation: string
} {
  const all = [founder()]
  let generation = shortHash('owners/alice/1/acl')
  for (const name of names) {
    const next = author(name)
    for (const owner of all) vote(owner, generation, next)
    generation = added(generation, next)
    all.push(next)
    meet(...all)
  }
  return { all, generation }
}

function vote(voter: Author, generation: string, { member, claims }: Author): void {
  voter.write({ kind: 'vote', generation, change: { kind: 'add', member, cores: claims } })
}

function voteOut(voter: Author, generation: string, other: Author): void {
  const { identity } = other
  voter.write({
    kind: 'vote',
    generation,
    change: { kind: 'remove', identity, cuts: voter.cut(other) }
  })
}

const added = (generation: string, { identity, device, core }: Author): string =>
  shortHash(`${generation}/add/${identity}/${device}/${core}`)
const removed = (generation: string, { identity }: Author): string =>
  shortHash(`${generation}/remove/${identity}`)

function get(all: readonly Author[], at: number): Author {
  const one = all[at]
  if (one === undefined) throw new Error(`Nobody at ${at}`)
  return one
}

story('the founder removes an admin, who meanwhile removes the founder', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  alice.revokes('bob', [bob])
  bob.revokes('alice', [alice])
  const space = told(alice, bob)
  assert.equal(space.owners, ['alice'])
  assert.is(roleIn(space, 'bob'), null)
})

story('two admins remove each other, and an unrelated third removal changes nothing', () => {
  const [alice, bob, carol, dave, erin] = admins('bob', 'carol', 'dave', 'erin') as Author[] as [
    Author,
    Author,
    Author,
    Author,
    Author
  ]
  bob.revokes('carol', [carol])
  carol.revokes('bob', [bob])
  const without = told(alice, bob, carol, dave)
  dave.revokes('erin', [erin])
  const space = told(alice, bob, carol, dave, erin)
  assert.equal(
    ['bob', 'carol', 'dave', 'erin'].map((name) => roleIn(space, name)),
    ['admin', null, 'admin', null]
  )
  assert.is(roleIn(without, 'carol'), null)
})

story('three admins remove each other in a circle', () => {
  const [alice, bob, carol, dave] = admins('bob', 'carol', 'dave') as Author[] as [
    Author,
    Author,
    Author,
    Author
  ]
  bob.revokes('carol', [carol])
  carol.revokes('dave', [dave])
  dave.revokes('bob', [bob])
  const space = told(alice, bob, carol, dave)
  // Bob ranks highest: Carol is out, so what she did meanwhile is void, and Dave stays.
  assert.equal(
    ['bob', 'carol', 'dave'].map((name) => roleIn(space, name)),
    ['admin', null, 'admin']
  )
})

story(
  'a removed writer writes offline and replays old grants, of this space and of another',
  () => {
    const [alice, bob, carol] = admins('bob', 'carol') as Author[] as [Author, Author, Author]
    alice.revokes('carol', [carol])
    bob.sees(alice)
    const fresh = author('carol', 1, '-fresh')
    carol.write({ kind: 'ack', lengths: [dataHead(carol.data, 99)] }, [])
    carol.grants(fresh, 'admin')
    const member = attest('carol', 'carol/9')
    const foreign = claim(member, 'carol/9/acl', 'acl', 'another space')
    carol.write({ kind: 'grant', member, role: 'admin', prefixes: null, cores: [foreign] })
    bob.write({ kind: 'grant', member, role: 'admin', prefixes: null, cores: [foreign] })
    const space = told(alice, bob, carol)
    assert.is(roleIn(space, 'carol'), null)
    assert.equal(
      [carol.core, carol.data, fresh.core].map((core) => lengthIn(space, core)),
      [0, 0, 0]
    )
    assert.is(ruleFor(space, bob, 0), 0)
    assert.is(space.cores.has('carol/9/acl'), false)
  }
)

story('a removed admin had invited a helper, and invites another afterwards', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const [early, late] = [author('early'), author('late')]
  bob.grants(early, 'writer')
  alice.sees(bob)
  alice.revokes('bob', [bob])
  bob.grants(late, 'writer')
  const space = told(alice, bob)
  assert.equal(
    ['bob', 'early', 'late'].map((name) => roleIn(space, name)),
    [null, 'writer', null]
  )
})

story('one admin promotes a writer, another meanwhile removes them', () => {
  const [alice, bob, carol] = admins('bob', 'carol') as Author[] as [Author, Author, Author]
  const dave = author('dave')
  alice.grants(dave, 'writer')
  meet(alice, bob, carol, dave)
  carol.grants(dave, 'admin')
  bob.revokes('dave', [dave])
  assert.is(roleIn(told(alice, bob, carol, dave), 'dave'), null)
  alice.sees(bob, carol)
  const fresh = author('dave', 1, '-fresh')
  alice.grants(fresh, 'writer')
  const space = told(alice, bob, carol, dave)
  assert.is(roleIn(space, 'dave'), 'writer', 'readmitted')
  assert.equal(
    [dave.data, fresh.data].map((core) => lengthIn(space, core)),
    [0, Infinity]
  )
})

story('an admin is demoted: a revocation, then a grant of less', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const [carol, dave] = [author('carol'), author('dave')]
  bob.grants(carol, 'writer')
  alice.sees(bob)
  alice.revokes('bob', [bob])
  const fresh = author('bob', 1, '-fresh')
  alice.grants(fresh, 'writer')
  fresh.sees(alice)
  fresh.grants(dave, 'writer')
  const space = told(alice, bob, fresh)
  assert.equal(
    ['bob', 'carol', 'dave'].map((name) => roleIn(space, name)),
    ['writer', 'writer', null]
  )
  assert.is(space.members.get('bob')?.rank, null)
})

story('a removed writer is let in again, under fresh cores, and not by who ranks below', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const carol = author('carol')
  alice.grants(carol, 'writer')
  meet(alice, bob, carol)
  alice.revokes('carol', [carol])
  carol.write({ kind: 'ack', lengths: [dataHead(alice.data, 1)] }) // late
  bob.sees(alice)
  const [by, own] = [author('carol', 1, '-bob'), author('carol', 1, '-alice')]
  bob.grants(by, 'writer')
  const before = told(alice, bob, carol)
  assert.is(roleIn(before, 'carol'), null)
  assert.is(ruleFor(before, bob, 0), 10)
  alice.grants(own, 'writer')
  const space = told(alice, bob, carol, own)
  assert.is(roleIn(space, 'carol'), 'writer')
  assert.equal(
    [carol.core, by.core, own.core].map((core) => lengthIn(space, core)),
    [0, 0, Infinity],
    'what was sealed stays sealed'
  )
})

story('the last owner leaves', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  alice.write({ kind: 'leave', cuts: [] })
  bob.write({ kind: 'leave', cuts: [] })
  const space = told(alice, bob)
  assert.equal(space.owners, ['alice'])
  assert.equal([roleIn(space, 'alice'), roleIn(space, 'bob')], ['owner', null])
})

story('a stolen owner device is voted out, whatever it wrote and writes', () => {
  const { all, generation } = owners('bob', 'carol')
  const [alice, bob, thief] = [get(all, 0), get(all, 1), get(all, 2)]
  thief.grants(author('helper'), 'admin')
  voteOut(alice, generation, thief)
  voteOut(bob, generation, thief)
  thief.grants(author('another'), 'admin')
  thief.revokes('bob', [bob])
  const space = told(alice, bob, thief)
  assert.equal(space.owners, ['alice', 'bob'])
  assert.equal(
    ['carol', 'helper', 'another'].map((name) => roleIn(space, name)),
    [null, null, null]
  )
})

story('a removed owner votes late, in a generation where it had not, to raise its own cut', () => {
  const { all, generation } = owners('bob', 'mallory', 'dave')
  const [alice, bob, mallory, dave] = [get(all, 0), get(all, 1), get(all, 2), get(all, 3)]
  for (const one of [alice, bob, dave]) voteOut(one, generation, mallory)
  const length = mallory.length
  mallory.grants(author('helper'), 'admin')
  vote(mallory, generation, author('erin'))
  const space = told(...all)
  assert.is(lengthIn(space, mallory.core), length)
  assert.is(roleIn(space, 'helper'), null)
})

story('a removed owner takes back its old votes by its phrase, to undo its removal', () => {
  const { all, generation } = owners('mallory', 'bob')
  const [alice, mallory, bob] = [get(all, 0), get(all, 1), get(all, 2)]
  voteOut(alice, generation, mallory)
  voteOut(bob, generation, mallory)
  const cuts = [dataHead(mallory.core, 0)] // its vote for Bob was needed
  const back = recovery(author('mallory', 2).sees(mallory), {
    revoked: ['mallory/1'],
    cuts,
    movesVote: true
  })
  assert.equal(told(alice, mallory, bob, back).owners, ['alice', 'bob'])
})

story('a removed owner votes late for its own removal, to raise its cut', () => {
  const { all, generation } = owners('bob', 'mallory')
  const [alice, bob, mallory] = [get(all, 0), get(all, 1), get(all, 2)]
  voteOut(alice, generation, mallory)
  const length = mallory.length
  mallory.acknowledges()
  alice.sees(mallory)
  bob.sees(mallory)
  voteOut(bob, generation, mallory)
  assert.is(lengthIn(told(...all), mallory.core), length, 'where both others agree')
  mallory.grants(author('helper'), 'admin')
  voteOut(mallory, generation, mallory)
  assert.is(lengthIn(told(...all), mallory.core), length)
})

story('an owner leaves by its own vote and another, which says how far its cores count', () => {
  const { all, generation } = owners('bob', 'carol')
  const [alice, carol] = [get(all, 0), get(all, 2)]
  voteOut(carol, generation, carol)
  alice.sees(carol)
  voteOut(alice, generation, carol)
  const space = told(...all)
  assert.equal(space.owners, ['alice', 'bob'])
  assert.is(lengthIn(space, carol.core), carol.length)
})

story(
  'a removed owner chooses its cut by keeping a vote that another owner’s phrase took back',
  () => {
    const { all, generation } = owners('bob', 'mallory', 'dave')
    const [alice, bob, mallory, dave] = [get(all, 0), get(all, 1), get(all, 2), get(all, 3)]
    const out = (by: Author, length: number) =>
      by.write({
        kind: 'vote',
        generation,
        change: { kind: 'remove', identity: 'mallory', cuts: [dataHead(mallory.data, length)] }
      })
    out(dave, 5) // by a thief, whose votes Dave's phrase takes back
    alice.sees(dave)
    out(alice, 5)
    out(bob, 0)
    out(mallory, 5)
    const back = recovery(author('dave', 2), { revoked: ['dave/1'], movesVote: true })
    vote(alice, removed(generation, mallory), author('erin'))
    const cut = lengthIn(told(...all, back), mallory.data)
    mallory.sees(dave)
    vote(mallory, 'another', author('frank'))
    assert.is(lengthIn(told(...all, back), mallory.data), cut)
  }
)

story('who left does not go on acting in another core, nor by taking it back there', () => {
  const alice = founder()
  const [bob, second, carol] = [author('bob'), author('bob', 1, '-2'), author('carol')]
  alice.grants(bob, 'admin')
  alice.grants(second, 'admin')
  alice.grants(carol, 'writer')
  meet(alice, bob, second, carol)
  second.write({ kind: 'leave', cuts: [...second.cut(bob), ...second.cut(second)] })
  bob.grants(author('helper'), 'admin')
  bob.sees(second)
  bob.write({ kind: 'seal', cuts: [dataHead(bob.core, 9)] })
  bob.revokes('carol', [carol])
  const space = told(alice, bob, second, carol)
  assert.is(space.members.get('bob')?.rank, null)
  assert.equal([roleIn(space, 'helper'), roleIn(space, 'carol')], [null, 'writer'])
})

story('an admin with fresh sock puppets against the founder', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const puppets = [1, 2, 3].map((i) => author(`puppet${i}`))
  for (const puppet of puppets) bob.grants(puppet, 'admin')
  meet(alice, bob, ...puppets)
  for (const puppet of puppets) {
    puppet.revokes('alice', [alice])
    voteOut(puppet, shortHash('owners/alice/1/acl'), alice)
    puppet.revokes('bob', [bob])
  }
  const space = told(alice, bob, ...puppets)
  assert.equal(space.owners, ['alice'])
  assert.equal([roleIn(space, 'alice'), roleIn(space, 'bob')], ['owner', 'admin'])
})

story(
  'split ballots: different first votes block a generation, until somebody who has not voted joins one',
  () => {
    const { all, generation } = owners('bob', 'carol')
    const [alice, bob, carol] = [get(all, 0), get(all, 1), get(all, 2)]
    const [dave, erin] = [author('dave'), author('erin')]
    vote(alice, generation, dave)
    vote(bob, generation, erin)
    vote(bob, generation, dave) // too late: it has given its vote
    assert.equal(
      told(...all)
        .pendingBallots.map(({ identity }) => identity)
        .sort(),
      ['dave', 'erin']
    )
    vote(carol, generation, erin)
    assert.equal(told(...all).owners, ['alice', 'bob', 'carol', 'erin'])
  }
)

story('a fresh admin seals everybody at 0', () => {
  const [alice, bob, carol] = admins('bob', 'carol') as Author[] as [Author, Author, Author]
  const writer = author('dave')
  alice.grants(writer, 'writer')
  alice.acknowledges(dataHead(writer.data, 40), dataHead(bob.data, 12))
  const fresh = author('fresh')
  alice.grants(fresh, 'admin')
  fresh.sees(alice)
  fresh.write({
    kind: 'seal',
    cuts: [alice, bob, carol, writer].map(({ data }) => dataHead(data, 0))
  })
  const space = told(alice, bob, carol, fresh)
  const lengths = [alice, bob, carol, writer].map(({ data }) => lengthIn(space, data))
  assert.equal(lengths, [Infinity, Infinity, Infinity, 40])
})

story('an admin backdates its heads to seal below what it had seen', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const writer = author('dave')
  alice.grants(writer, 'writer')
  alice.acknowledges(dataHead(writer.data, 40))
  bob.sees(alice)
  bob.write({ kind: 'seal', cuts: [dataHead(writer.data, 0)] }, [alice.head(2)])
  // Who hides what it has seen is believed: the founder restores, and outranks.
  assert.is(lengthIn(told(alice, bob), writer.data), 0)
  alice.sees(bob)
  alice.write({ kind: 'seal', cuts: [dataHead(writer.data, 40)] })
  assert.is(lengthIn(told(alice, bob), writer.data), 40)
})

story('one core is rotated twice', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const second = author('bob', 1, '-2')
  const third = author('bob', 1, '-3')
  bob.grants(second, 'admin')
  bob.write({ kind: 'seal', cuts: [bob.head(), dataHead(bob.data, 5)] })
  second.sees(bob)
  second.grants(third, 'admin')
  second.write({ kind: 'seal', cuts: [second.head(), dataHead(second.data, 9)] })
  third.sees(second)
  third.grants(author('carol'), 'writer')
  bob.grants(author('dave'), 'writer') // by whoever has the old key
  const space = told(alice, bob, second, third)
  assert.equal(
    [bob, second, third].map(({ data }) => lengthIn(space, data)),
    [5, 9, Infinity]
  )
  assert.equal([roleIn(space, 'carol'), roleIn(space, 'dave')], ['writer', null])
  assert.is(space.members.get('bob')?.rank, 1)
})

story('a successor of a core whose seal was lowered', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  bob.acknowledges()
  const next = succession(bob, '-2', [bob.head(), dataHead(bob.data, 8)])
  assert.is(lengthIn(told(alice, bob, next), next.data), Infinity)
  alice.write({ kind: 'seal', cuts: [dataHead(bob.data, 6)] })
  const space = told(alice, bob, next)
  assert.equal([lengthIn(space, bob.data), lengthIn(space, next.data)], [6, 0])
  assert.is(lengthIn(space, next.core), Infinity, 'its acl core goes on')
})

story('a void successor is granted by an admin, to bring back what the phrase had cut', () => {
  const { all } = owners('bob')
  const [alice, bob] = [get(all, 0), get(all, 1)]
  const frank = author('frank')
  alice.grants(frank, 'admin')
  frank.sees(alice)
  bob.grants(author('helper'), 'admin') // by a thief, on Bob's laptop
  const next = succession(bob, '-2', [bob.head(), dataHead(bob.data, 8)])
  const back = recovery(author('bob', 2), { cuts: [bob.head(0), dataHead(bob.data, 6)] })
  const lengths = () =>
    [next.core, next.data].map((core) => lengthIn(told(...all, frank, next, back), core))
  assert.equal(lengths(), [0, 0])
  frank.grants(next, 'admin')
  assert.equal(lengths(), [0, 0], 'its device goes on under fresh cores')
  const fresh = author('bob', 1, '-3')
  frank.grants(fresh, 'admin')
  const space = told(...all, frank, next, back, fresh)
  assert.is(lengthIn(space, fresh.core), Infinity)
})

story('an owner forks its own acl log and shows each half of the space another branch', () => {
  const { all } = owners('bob', 'carol')
  const [alice, bob, carol] = [get(all, 0), get(all, 1), get(all, 2)]
  const twin = carol.copy()
  carol.grants(author('dave'), 'admin')
  twin.grants(author('erin'), 'admin')
  alice.sees(carol)
  alice.acknowledges(carol.head())
  bob.sees(twin)
  bob.acknowledges(twin.head())
  const space = told(alice, bob, carol, twin)
  assert.equal([roleIn(space, 'dave'), roleIn(space, 'erin')], ['admin', null])
  assert.equal(space.owners, ['alice', 'bob', 'carol'])
  assert.is(lengthIn(space, carol.core), carol.length)
})

story('the founder forks the root itself', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const twin = alice.copy(1)
  twin.grants(author('mallory'), 'admin')
  const unseen = told(alice, bob, twin)
  assert.equal(unseen.owners, ['alice'])
  assert.is(lengthIn(unseen, alice.core), 1)
  // Whom a branch made an admin is not asked about that branch with the rank it gave; but it is asked.
  bob.acknowledges(alice.head())
  assert.is(
    lengthIn(told(alice, bob, twin), alice.core),
    1,
    'Bob is nobody where the branches part'
  )
})

story('pruning needs the word of every device that could still object', () => {
  const [alice, bob] = admins('bob') as [Author, Author]
  const phone = author('dave', 2)
  const dave = author('dave')
  alice.grants(dave, 'writer')
  dave.sees(alice)
  dave.grants(phone, 'writer')
  alice.acknowledges(dataHead(dave.data, 9))
  bob.acknowledges(dataHead(dave.data, 7))
  assert.is(
    told(alice, bob, dave, phone).finalLength(dave.data),
    0,
    'Dave’s phone has said nothing'
  )
  phone.sees(dave)
  phone.acknowledges(dataHead(dave.data, 8))
  const space = told(alice, bob, dave, phone)
  assert.is(space.finalLength(dave.data), 7)
  assert.is(space.acknowledged('alice/1', dave.data), 9)
})

story('who may do what now is answered by the same rules', () => {
  const { all, generation } = owners('bob')
  const [alice, bob] = [get(all, 0), get(all, 1)]
  const [carol, dave] = [author('carol'), author('dave')]
  alice.grants(carol, 'admin')
  carol.sees(alice)
  carol.grants(dave, 'writer')
  dave.sees(carol)
  dave.grants(author('dave', 2), 'writer')
  const space = told(alice, bob, carol, dave)
  const ask = (by: string, act: Parameters<typeof mayAct>[2]) => mayAct(space, by, act).ok
  assert.ok(ask('carol', { kind: 'revoke', identity: 'dave' }))
  assert.not(ask('carol', { kind: 'revoke', identity: 'bob' }))
  assert.not(ask('alice', { kind: 'revoke', identity: 'bob' }), 'nobody acts alone on an owner')
  assert.not(ask('dave', { kind: 'grant', identity: 'erin', role: 'reader' }))
  assert.ok(ask('dave', { kind: 'grant', identity: 'dave', role: 'writer' }))
  assert.not(ask('dave', { kind: 'grant', identity: 'dave', role: 'admin' }))
  assert.not(ask('alice', { kind: 'grant', identity: 'erin', role: 'owner' }))
  assert.not(ask('carol', { kind: 'vote' }))
  assert.ok(ask('bob', { kind: 'vote' }))
  assert.not(ask('bob', { kind: 'leave' }))
  assert.ok(ask('dave', { kind: 'revoke', identity: 'dave', device: 'dave/2' }))
  assert.not(ask('dave', { kind: 'revoke', identity: 'dave', device: 'dave/1' }))
  assert.not(ask('dave', { kind: 'revoke', identity: 'dave' }))
  assert.equal(mayAct(space, 'carol', { kind: 'revoke', identity: 'bob' }), {
    ok: false,
    rule: 3,
    why: 'on owners nobody acts alone'
  })
  assert.is(space.generation, generation)
  assert.is.not(removed(generation, bob), generation)
})

test.run()
