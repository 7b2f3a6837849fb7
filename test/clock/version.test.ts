import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeVersion, encodeVersion, type Version } from '../../clock/index.ts'

interface Vector {
  readonly text: string
  readonly space: string
  readonly acl: readonly { readonly core: string; readonly length: number }[]
  readonly data: Vector['acl']
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/version.json', import.meta.url), 'utf8')
) as { readonly versions: readonly Vector[] }

/** Of z-base-32. */
const ALPHABET = 'ybndrfg8ejkmcpqxot1uwisza345h769'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const cores = fc.uniqueArray(
  fc.record({ core: bytes(32), length: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }),
  { maxLength: 5, selector: ({ core }) => b4a.toString(core, 'hex') }
)
const versions = fc.record({ space: bytes(8), acl: cores, data: cores })

test('a version comes back from its text, cores in order', () => {
  fc.assert(
    fc.property(versions, (version) => {
      const back = decodeVersion(encodeVersion(version))
      assert.equal(
        plain(back),
        plain({ ...version, acl: sorted(version.acl), data: sorted(version.data) })
      )
    })
  )
})

test('equal states have equal texts, whatever the order and whether empty cores are named', () => {
  fc.assert(
    fc.property(versions, bytes(32), (version, core) => {
      const other = {
        ...version,
        acl: version.acl.toReversed(),
        data: [{ core, length: 0 }, ...version.data.toReversed()]
      }
      assert.is(encodeVersion(other), encodeVersion(version))
    })
  )
})

test('no other text is read as a version: not a cut one, a longer one, nor one with a changed start', () => {
  fc.assert(
    fc.property(versions, fc.nat(), (version, at) => {
      const text = encodeVersion(version)
      assert.is(decodeVersion(text.slice(0, at % text.length)), null)
      assert.is(decodeVersion(`${text}y`), null)
      assert.is(decodeVersion(`b${text.slice(1)}`), null)
    })
  )
  for (const text of ['', ' ', 'y', 'not a version', 'manyhands://'])
    assert.is(decodeVersion(text), null)
})

test('a mistyped character, and two that changed places, make no version', () => {
  fc.assert(
    fc.property(versions, fc.nat(), fc.nat(), (version, where, which) => {
      const text = encodeVersion(version)
      const at = where % text.length
      const other = ALPHABET.replace(text[at] ?? '', '')[which % (ALPHABET.length - 1)] ?? ''
      assert.is(decodeVersion(`${text.slice(0, at)}${other}${text.slice(at + 1)}`), null)
      const [one = '', two = ''] = text.slice(at, at + 2)
      if (one === two || two === '') return
      assert.is(decodeVersion(`${text.slice(0, at)}${two}${one}${text.slice(at + 2)}`), null)
    })
  )
})

test('versions are written as docs/FORMAT.md says', () => {
  assert.ok(vectors.versions.length >= 3)
  for (const { text, space, acl, data } of vectors.versions) {
    const list = (cores: Vector['acl']) =>
      cores.map(({ core, length }) => ({ core: b4a.from(core, 'hex'), length }))
    const version = { space: b4a.from(space, 'hex'), acl: list(acl), data: list(data) }
    assert.is(encodeVersion(version), text)
    assert.equal(plain(decodeVersion(text)), plain(version))
  }
})

test('a core named twice makes no version: it would be read twice', () => {
  const once = { core: b4a.alloc(32, 1), length: 5 }
  for (const length of [5, 6]) {
    const data = [once, { ...once, length }]
    assert.is(decodeVersion(encodeVersion({ space: b4a.alloc(8), acl: [], data })), null)
  }
})

function sorted(list: Version['data']): Version['data'] {
  return list.toSorted((a, b) => b4a.compare(a.core, b.core))
}

function plain(version: Version | null) {
  const hex = (each: Uint8Array) => b4a.toString(each, 'hex')
  const list = (items: Version['data'] = []) =>
    items.map(({ core, length }) => `${hex(core)} ${length}`)
  return version === null
    ? null
    : { space: hex(version.space), acl: list(version.acl), data: list(version.data) }
}

test.run()
