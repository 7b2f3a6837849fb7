/** Anchors: 32 bytes that commit to a space, and what somebody outside says about them; the authority is openssl. */
import b4a from 'b4a'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { anchorHash } from '../../multiwriter/anchors/anchors.ts'
import type { Anchor, Space } from '../../multiwriter/index.ts'
import { Authority, withOpenssl } from '../support/authority.ts'
import { openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

interface HexLog {
  readonly core: string
  readonly length: number
  readonly treeHash: string
}

const vector = JSON.parse(
  await readFile(new URL('../vectors/anchor.json', import.meta.url), 'utf8')
) as {
  readonly address: string
  readonly acl: readonly HexLog[]
  readonly data: readonly HexLog[]
  readonly hash: string
}

const folders = [await tempFolder(), await tempFolder()] as const
const [authority, stranger] = [new Authority(folders[0].path), new Authority(folders[1].path)]

test.after(async () => {
  for (const folder of folders) await folder.remove()
})

async function withTwo(task: (two: TwoDevices) => Promise<void>): Promise<void> {
  const two = await openTwoDevices()
  two.connect()
  await two.spaceA.db.put('a', 1)
  await two.spaceB.db.put('b', 2)
  await until(async () => (await two.spaceA.db.get('b')) !== null)
  await until(async () => (await two.spaceB.db.get('a')) !== null)
  try {
    await task(two)
  } finally {
    await two.close()
  }
}

async function verdictsOf(space: Space, anchor: Anchor, trusted = [authority.certificate]) {
  const { proofs } = await space.anchors.verify(anchor, { authorities: trusted })
  return proofs.map(({ verdict, problem, authority: name }) => ({ verdict, problem, name }))
}

test('anchor: the 32 bytes are those of the golden vector', () => {
  const { address, acl, data, hash } = vector
  const logOf = (log: HexLog) => ({
    core: b4a.from(log.core, 'hex'),
    length: log.length,
    treeHash: b4a.from(log.treeHash, 'hex')
  })
  const made = anchorHash(b4a.from(address, 'hex'), acl.map(logOf), data.map(logOf))
  assert.is(b4a.toString(made, 'hex'), hash)
})

test('anchor: devices that hold the same have the same 32 bytes, and any write has others', () =>
  withTwo(async ({ spaceA, spaceB }) => {
    const same = async () => {
      const [a, b] = await Promise.all([spaceA.anchor(), spaceB.anchor()])
      return b4a.equals(a.hash, b.hash)
    }
    await until(same)
    const before = await spaceA.anchor()
    assert.is(before.hash.byteLength, 32)
    assert.equal(await spaceA.anchor(), before)
    await spaceA.db.put('a', 1.5)
    assert.not.equal((await spaceA.anchor()).hash, before.hash)
    // A membership record alone, too.
    const between = await spaceA.anchor()
    await spaceA.members.acknowledge()
    const after = await spaceA.anchor()
    assert.not.equal(after.hash, between.hash)
    assert.is((await spaceA.checkout(before.version).db.get('a'))?.value, 1)
  }))

withOpenssl(
  'anchor: a token of an authority says when, on every device, after a restart as well',
  () =>
    withTwo(async ({ spaceA, spaceB, b }) => {
      const anchor = await spaceA.anchor()
      const response = authority.stamp(await spaceA.anchors.request(anchor))
      await spaceA.anchors.attach(anchor, { kind: 'rfc3161', bytes: response })
      await until(async () => (await verdictsOf(spaceB, anchor).catch(() => [])).length === 1)
      assert.equal(await verdictsOf(spaceB, anchor), [
        { verdict: 'holds', problem: null, name: 'Clock' }
      ])

      await spaceB.close()
      const again = await b.openSpace(spaceB.address)
      const { proofs } = await again.anchors.verify(anchor, {
        authorities: [authority.certificate]
      })
      const [proof] = proofs
      assert.ok(proof?.time instanceof Date && Math.abs(Date.now() - proof.time.getTime()) < 60_000)
      const kept = []
      for await (const each of again.anchors.list()) kept.push(each)
      assert.is(kept.length, 1)
      assert.equal(kept[0]?.hash, anchor.hash)
      assert.is(kept[0]?.version, anchor.version)
    })
)

withOpenssl(
  'anchor: what openssl stamps of a file of the 32 bytes does as well, with or without its response',
  () =>
    withTwo(async ({ spaceA }) => {
      const anchor = await spaceA.anchor()
      const response = authority.stampFile(anchor.hash)
      for (const bytes of [response, authority.tokenOf(response)]) {
        await spaceA.anchors.attach(anchor, { kind: 'rfc3161', bytes })
      }
      const verdicts = await verdictsOf(spaceA, anchor)
      assert.equal(
        verdicts.map(({ verdict }) => verdict),
        ['holds', 'holds']
      )
    })
)

withOpenssl('anchor: a token about something else is refused, and nothing is written', () =>
  withTwo(async ({ spaceA }) => {
    const first = await spaceA.anchor()
    await spaceA.db.put('c', 3)
    const second = await spaceA.anchor()
    const bytes = authority.stampFile(first.hash)
    const attach = (kind: string, token: Uint8Array) =>
      spaceA.anchors.attach(second, { kind, bytes: token })
    await rejectsWith('PROOF_INVALID', () => attach('rfc3161', bytes), /something else/)
    for (const broken of [b4a.from('junk'), bytes.subarray(0, 200), new Uint8Array(100)]) {
      await rejectsWith('PROOF_INVALID', () => attach('rfc3161', broken), /no time-stamp token/)
    }
    await rejectsWith('INVALID_ARGUMENT', () => attach('', bytes))
    await rejectsWith('INVALID_ARGUMENT', () => attach('x', new Uint8Array(0)))
    await rejectsWith('INVALID_ARGUMENT', () => attach('x', new Uint8Array(70_000)))
    assert.equal(await spaceA.anchor(), second)
  })
)

withOpenssl(
  'anchor: a token of an authority that is not trusted, or with a changed byte, fails and says why',
  () =>
    withTwo(async ({ spaceA }) => {
      const anchor = await spaceA.anchor()
      const bytes = authority.stampFile(anchor.hash)
      await spaceA.anchors.attach(anchor, { kind: 'rfc3161', bytes })
      const untrusted = /not signed by an authority that is trusted/
      for (const trusted of [[], [stranger.certificate]]) {
        const [verdict] = await verdictsOf(spaceA, anchor, trusted)
        assert.is(verdict?.verdict, 'fails')
        assert.match(verdict?.problem ?? '', untrusted)
      }
      // The last bytes are the signature's.
      const changed = Uint8Array.from(bytes)
      changed[changed.length - 10] = (changed[changed.length - 10] ?? 0) ^ 1
      await spaceA.db.put('d', 4)
      await spaceA.anchors.attach(anchor, { kind: 'rfc3161', bytes: changed })
      const verdicts = (await verdictsOf(spaceA, anchor)).map(({ verdict }) => verdict).sort()
      assert.equal(verdicts, ['fails', 'holds'])
      await rejectsWith('INVALID_ARGUMENT', () => verdictsOf(spaceA, anchor, ['no certificate']))
    })
)

withOpenssl('anchor: a token signed by a certificate that is not for time stamps fails', () =>
  withTwo(async ({ spaceA }) => {
    const anchor = await spaceA.anchor()
    const bytes = authority.signedByServer(authority.stampFile(anchor.hash))
    await spaceA.anchors.attach(anchor, { kind: 'rfc3161', bytes })
    const [verdict] = await verdictsOf(spaceA, anchor)
    assert.is(verdict?.verdict, 'fails')
    assert.match(verdict?.problem ?? '', /not for time stamps/)
  })
)

test('anchor: other proofs are carried as they are; two that are attached at once stand side by side', () =>
  withTwo(async ({ spaceA, spaceB }) => {
    const anchor = await spaceA.anchor()
    await spaceB.anchors.attach(anchor, { kind: 'newspaper', bytes: b4a.from('page 7') })
    await spaceA.anchors.attach(anchor, { kind: 'chain', bytes: b4a.from('block 9') })
    await until(async () => (await verdictsOf(spaceA, anchor, [])).length === 2)
    const { proofs } = await spaceA.anchors.verify(anchor)
    assert.equal(
      proofs.map(({ kind, bytes, verdict }) => `${kind}: ${b4a.toString(bytes)} ${verdict}`).sort(),
      ['chain: block 9 unknown', 'newspaper: page 7 unknown']
    )
  }))

test('anchor: another hash, another space, or what is not here is told apart', () =>
  withTwo(async ({ spaceA, spaceB, a }) => {
    const anchor = await spaceA.anchor()
    const hash = createHash('sha256').update('x').digest()
    await rejectsWith('ANCHOR_MISMATCH', () => spaceA.anchors.verify({ ...anchor, hash }))
    const other = await a.createSpace()
    await rejectsWith('VERSION_FOREIGN', () => other.anchors.verify(anchor))
    await rejectsWith('VERSION_FOREIGN', () =>
      other.anchors.attach(anchor, { kind: 'x', bytes: hash })
    )
    await rejectsWith('VERSION_INVALID', () => spaceA.anchors.verify({ hash, version: 'x' }))
    await rejectsWith('INVALID_ARGUMENT', () =>
      spaceA.anchors.verify({ ...anchor, hash: hash.subarray(1) })
    )
    await spaceB.db.put('late', 1)
    const late = await spaceB.anchor()
    await spaceA.db.put('x', 1)
    await until(async () => (await spaceA.anchors.verify(late).catch(() => null)) !== null)
  }))

test.run()
