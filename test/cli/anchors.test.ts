/** `anchor`: what commits to a space is made, stamped by an authority (openssl), attached, listed and verified. */
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Authority, withOpenssl } from '../support/authority.ts'
import { Manyhands, type Ended } from '../support/cli.ts'
import { tempFolder } from '../support/devices.ts'

const manyhands = await Manyhands.make()
const folders = [await tempFolder(), await tempFolder()] as const
const [authority, stranger] = [new Authority(folders[0].path), new Authority(folders[1].path)]
const store = manyhands.path('store')

test.before(async () => {
  ok(await manyhands.run('--store', store, 'init', '--name', 'Laptop'))
  ok(await anchor('space', 'create', 'Family'))
  ok(await anchor('put', 'a', '1'))
})

test.after(async () => {
  await manyhands.remove()
  for (const folder of folders) await folder.remove()
})

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout.trim()
}

function anchor(...args: readonly string[]): Promise<Ended> {
  return manyhands.run('--store', store, ...args)
}

/** A file with these bytes. @returns its path */
function file(name: string, bytes: Uint8Array | string): string {
  const path = manyhands.path(name)
  writeFileSync(path, bytes)
  return path
}

/** What a failing command says of it, in JSON. */
async function failure(...args: readonly string[]) {
  const { code, stdout, stderr } = await anchor(...args, '--json')
  assert.is(stdout, '')
  const { error } = JSON.parse(stderr) as {
    readonly error: { readonly code: string; readonly message: string }
  }
  return { exit: code, code: error.code, message: error.message }
}

withOpenssl(
  'anchor: what an authority has stamped is attached, listed, and verified with its time',
  async () => {
    const query = manyhands.path('query.tsq')
    const made = ok(await anchor('anchor', 'make', '--request', query))
    assert.match(made, /^[0-9a-f]{64}\+\S+$/)
    const reply = file('reply.tsr', authority.stamp(readFileSync(query)))
    const trusted = file('ca.pem', authority.certificate)
    assert.is(ok(await anchor('anchor', 'list')), 'No anchor has a proof.')
    ok(await anchor('anchor', 'attach', made, reply))
    const hash = made.slice(0, 64)
    assert.is(ok(await anchor('anchor', 'list')), `${hash}  1 proof  rfc3161`)
    // The proof stands in the space, whose logs are those of the anchor up to where it was made.
    for (const which of [made, hash, made.toUpperCase().slice(0, 64)]) {
      const said = ok(await anchor('anchor', 'verify', which, '--authority', trusted))
      assert.match(
        said,
        /^The logs here are those of the anchor\.\nrfc3161 +holds +20\S+Z by Clock$/
      )
    }
    const told = ok(await anchor('anchor', 'verify', made, '--authority', trusted, '--json'))
    const { proofs } = JSON.parse(told) as {
      readonly proofs: readonly { readonly verdict: string; readonly authority: string }[]
    }
    assert.equal(
      proofs.map(({ verdict, authority: name }) => [verdict, name]),
      [['holds', 'Clock']]
    )
    const other = file('other.pem', stranger.certificate)
    const { code, stdout } = await anchor('anchor', 'verify', made, '--authority', other)
    assert.is(code, 1)
    assert.match(stdout, /rfc3161 +fails +The time-stamp token is not signed by an authority/)
  }
)

withOpenssl(
  'anchor: a token for other data, a truncated one, a missing or too large file are named, and nothing is written',
  async () => {
    const first = ok(await anchor('anchor', 'make'))
    ok(await anchor('put', 'a', '2'))
    const query = manyhands.path('query.tsq')
    const second = ok(await anchor('anchor', 'make', '--request', query))
    const stamp = authority.stamp(readFileSync(query))
    const before = ok(await anchor('anchor', 'list'))
    const attach = (which: string, path: string) => failure('anchor', 'attach', which, path)
    const cases = [
      [await attach(first, file('foreign.tsr', stamp)), 7, 'PROOF_INVALID', 'about something else'],
      [
        await attach(second, file('cut.tsr', stamp.subarray(0, 300))),
        7,
        'PROOF_INVALID',
        'is no time-stamp token'
      ],
      [await attach(second, file('none.tsr', '')), 2, 'INVALID_ARGUMENT', 'bytes'],
      [await attach(second, manyhands.path('missing')), 2, 'FILE', 'no such file'],
      [await attach(second, file('large', new Uint8Array(70_000))), 2, 'VALUE_TOO_LARGE', '65,536'],
      [await attach('nothing', file('good.tsr', stamp)), 2, 'USAGE', 'no anchor'],
      [await attach(`${second.slice(0, 65)}x`, file('good.tsr', stamp)), 4, 'VERSION_INVALID', ''],
      [
        await failure('anchor', 'verify', second, '--authority', manyhands.path('missing')),
        2,
        'FILE',
        'no such file'
      ],
      [await failure('anchor', 'verify', 'f'.repeat(64)), 2, 'USAGE', 'No anchor of this hash'],
      [
        await failure('anchor', 'verify', `${'f'.repeat(64)}${second.slice(64)}`),
        1,
        'ANCHOR_MISMATCH',
        'not those of the anchor'
      ]
    ] as const
    for (const [{ exit, code, message }, expected, name, words] of cases) {
      assert.equal([exit, code], [expected, name], message)
      assert.match(message, words)
    }
    assert.is(ok(await anchor('anchor', 'list')), before)
    assert.is(ok(await anchor('anchor', 'make')), second)
  }
)

test('anchor: one of another space is refused', async () => {
  const made = ok(await anchor('anchor', 'make'))
  const elsewhere = manyhands.path('elsewhere')
  ok(await manyhands.run('--store', elsewhere, 'init', '--name', 'Other'))
  ok(await manyhands.run('--store', elsewhere, 'space', 'create', 'Other'))
  const page = file('page', 'page 7')
  const args = ['attach', made, page, '--kind', 'newspaper']
  const { code, stderr } = await manyhands.run('--store', elsewhere, 'anchor', ...args)
  assert.is(code, 4)
  assert.match(stderr, 'VERSION_FOREIGN')
})

test.run()
