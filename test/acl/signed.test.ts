/** What was found signed before is not checked again; and a chain of successors is told to its end. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MembershipResolver, resolveMembership, type MembershipOptions } from '../../acl/index.ts'
import {
  author,
  dataHead,
  founder,
  meet,
  OPTIONS,
  succession,
  type Author
} from '../support/acl.ts'

/** The same options, and how often they were asked about a core. */
function counting(): { readonly options: MembershipOptions; readonly asked: () => number } {
  let asked = 0
  const { verify } = OPTIONS
  const core: typeof verify.core = (...claim) => {
    asked++
    return verify.core(...claim)
  }
  return { options: { ...OPTIONS, verify: { ...verify, core } }, asked: () => asked }
}

function space(): readonly Author[] {
  const [alice, bob] = [founder(), author('bob')]
  alice.grants(bob, 'writer')
  meet(alice, bob)
  const later = succession(bob, '-2')
  return [alice, bob, later]
}

const nameOf = (each: Author, length: number) =>
  `${each.core} ${length} ${each.head(length).treeHash}`

test('signed: what was found signed before is not checked again, and comes to the same', () => {
  const authors = space()
  const logs = authors.map(({ log }) => log)
  const first = counting()
  const resolver = new MembershipResolver(first.options)
  const before = resolver.add(logs)
  const heads = authors.flatMap((each) => each.records.map((_, i) => each.head(i + 1)))
  assert.ok(first.asked() > 0)
  assert.ok(heads.every((head) => resolver.isSigned(head)))

  const again = counting()
  const signed = new Set(heads.map(({ core, length, treeHash }) => `${core} ${length} ${treeHash}`))
  const after = resolveMembership(logs, { ...again.options, signed })
  assert.is(again.asked(), 0)
  assert.equal([...after.cores.values()], [...before.cores.values()])
})

test('signed: what is not named is checked, whatever else of its log is', () => {
  const [alice, bob] = [founder(), author('bob')]
  const forged = bob.claims.map((each) => ({ ...each, signature: Uint8Array.of(1) }))
  alice.grants(bob, 'writer', forged)
  const signed = new Set([
    nameOf(alice, 1),
    `${alice.core} 2 another`,
    `bob/1/acl 2 ${alice.head(2).treeHash}`
  ])
  const resolver = new MembershipResolver({ ...OPTIONS, signed })
  const { members } = resolver.add([alice.log])
  assert.ok(members.has('alice'))
  assert.not(members.has('bob'))
  assert.is(resolver.isSigned(alice.head(1)), true)
  assert.is(resolver.isSigned(alice.head(2)), false)
  assert.is(resolver.isSigned(bob.head(1)), false, 'of what is not held')
})

test('signed: a chain of many successors counts to its end', () => {
  const [alice, bob] = [founder(), author('bob')]
  alice.grants(bob, 'writer')
  bob.sees(alice)
  const chain = [bob]
  for (let i = 2; i <= 200; i++) {
    const old = chain.at(-1) ?? bob
    chain.push(succession(old, `-${i}`, [old.head(), dataHead(old.data, 5)]))
  }
  const { cores } = resolveMembership(
    [alice, ...chain].map(({ log }) => log),
    OPTIONS
  )
  for (const { core, data } of chain.slice(1)) {
    assert.is(cores.get(core)?.length, Infinity)
    assert.equal([cores.get(data)?.length, cores.get(data)?.role], [Infinity, 'writer'])
  }
})

test.run()
