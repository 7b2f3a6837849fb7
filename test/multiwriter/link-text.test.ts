/** The text of links: one for each place, and nothing that passes it on changes what it says. */
import b4a from 'b4a'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { encodeVersion } from '../../clock/index.ts'
import { decodeLink, encodeLink, type Link } from '../../multiwriter/link.ts'
import { rejectsWith } from '../support/rejects.ts'

const SPACE = z32.encode(b4a.alloc(32, 1))
const HASH = b4a.alloc(32, 2)
const VERSION = encodeVersion({
  space: b4a.alloc(8, 1),
  acl: [],
  data: [{ core: b4a.alloc(32, 3), length: 5 }]
})

const linkTo = (path: readonly string[] | null, key: Uint8Array | string | null): Link => ({
  space: SPACE,
  version: null,
  path,
  key: typeof key === 'string' ? b4a.from(key) : key,
  hash: null
})

/** Text that URLs are touchy about, and any other. */
const touchy = fc.array(
  fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '=',
    '=..',
    '#',
    '?',
    '%',
    '%25',
    ' ',
    ':',
    '+',
    '\\',
    '\t',
    '\n',
    '\0',
    '@',
    '[',
    '|',
    '^',
    'é',
    '🖐',
    '\u{feff}',
    'a'
  ),
  { minLength: 1, maxLength: 8 }
)
const texts = fc.oneof(
  touchy.map((parts) => parts.join('')),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })
)
const keys = fc.oneof(
  texts.map((text) => b4a.from(text)),
  fc.uint8Array({ minLength: 1, maxLength: 40 })
)
const names = fc.oneof(texts, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }))
const links: fc.Arbitrary<Link> = fc
  .record({
    path: fc.option(fc.array(names, { maxLength: 4 })),
    key: fc.option(keys),
    strength: fc.constantFrom('live', 'version', 'strong')
  })
  .map(({ path, key, strength }) => ({
    space: SPACE,
    version: strength === 'live' ? null : VERSION,
    path,
    key: path === null ? null : key,
    hash: strength === 'strong' ? HASH : null
  }))

const bytesOf = (link: Link) => ({
  ...link,
  key: link.key === null ? null : b4a.toString(link.key, 'hex'),
  hash: link.hash === null ? null : b4a.toString(link.hash, 'hex')
})

test('link: what is written into it is read from it, for any key and any names', () => {
  fc.assert(
    fc.property(links, (link) => {
      assert.equal(bytesOf(decodeLink(encodeLink(link))), bytesOf(link))
    }),
    { numRuns: 3000 }
  )
})

test('link: URL parsers leave it as it is, and it is plain printable ASCII', () => {
  fc.assert(
    fc.property(links, (link) => {
      const text = encodeLink(link)
      assert.is(new URL(text).href, text)
      assert.match(text, /^[!-~]+$/)
    }),
    { numRuns: 3000 }
  )
})

test('link: different places have different links', () => {
  fc.assert(
    fc.property(links, links, (one, other) => {
      const isSame = JSON.stringify(bytesOf(one)) === JSON.stringify(bytesOf(other))
      assert.is(encodeLink(one) === encodeLink(other), isSame)
    }),
    { numRuns: 2000 }
  )
})

const FORMS: [string, Link][] = [
  ['/', linkTo(null, null)],
  ['/db', linkTo([], null)],
  ['/db/contacts/ann', linkTo([], 'contacts/ann')],
  ['/db:photos', linkTo(['photos'], null)],
  ['/db:photos:2026/cat%20%26%20dog.jpg', linkTo(['photos', '2026'], 'cat & dog.jpg')],
  ['/db:a%3Ab%2Fc/k', linkTo(['a:b/c'], 'k')],
  ['/db:../=../=./.../%3D..', linkTo(['..'], '.././.../=..')],
  ['/db//', linkTo([], '/')],
  ['/db//a//', linkTo([], '/a//')],
  ['/db/%FF%00', linkTo([], b4a.from([255, 0]))],
  ['/db/caf%C3%A9%3F%23', linkTo([], 'café?#')]
]

for (const [text, link] of FORMS) {
  test(`link: the canonical form ${text}`, () => {
    assert.is(encodeLink(link), `manyhands://${SPACE}${text}`)
    assert.equal(bytesOf(decodeLink(`manyhands://${SPACE}${text}`)), bytesOf(link))
  })
}

test('link: is read leniently where nothing can be misunderstood', () => {
  const lenient: [string, Link][] = [
    [`  manyhands://${SPACE}/db/a\n`, linkTo([], 'a')],
    [`manyhands://${SPACE.slice(0, 20)}\n${SPACE.slice(20)}/db/a`, linkTo([], 'a')],
    [`MANYHANDS://${SPACE}/db/a`, linkTo([], 'a')],
    [`manyhands://${SPACE}`, linkTo(null, null)],
    [`manyhands://${SPACE}/db/`, linkTo([], null)],
    [`manyhands://${SPACE}/db/café a=b|`, linkTo([], 'café a=b|')],
    [`manyhands://${SPACE}/db/caf%c3%a9`, linkTo([], 'café')]
  ]
  for (const [text, link] of lenient) assert.equal(bytesOf(decodeLink(text)), bytesOf(link), text)
})

const BAD: [string, RegExp][] = [
  ['', /URL/],
  ['contacts/ann', /URL/],
  [`https://${SPACE}/db/a`, /begin/],
  [`manyhands:${SPACE}/db/a`, /space/],
  ['manyhands:///db/a', /space/],
  [`manyhands://${SPACE.slice(1)}/db/a`, /space/],
  [`manyhands://${SPACE}y/db/a`, /space/],
  [`manyhands://${SPACE.toUpperCase()}/db/a`, /space/],
  [`manyhands://me@${SPACE}/db/a`, /@/],
  [`manyhands://${SPACE}:80/db/a`, /:/],
  [`manyhands://${SPACE}+/db/a`, /version/],
  [`manyhands://${SPACE}+${VERSION.slice(1)}/db/a`, /version/],
  [`manyhands://${SPACE}+${VERSION}+${VERSION}/db/a`, /version/],
  [`manyhands://${SPACE}/DB/a`, /"DB"/],
  [`manyhands://${SPACE}/fs/a`, /"fs"/],
  [`manyhands://${SPACE}//db/a`, /""/],
  [`manyhands://${SPACE}/db:/a`, /sub-database/],
  [`manyhands://${SPACE}/db:a::b/a`, /sub-database/],
  [`manyhands://${SPACE}/db:%FF/a`, /text/],
  [`manyhands://${SPACE}/db:${'x'.repeat(256)}/a`, /sub-database/],
  [`manyhands://${SPACE}/db/${'x'.repeat(4097)}`, /long/],
  [`manyhands://${SPACE}/db/100%`, /%/],
  [`manyhands://${SPACE}/db/%zz`, /%/],
  [`manyhands://${SPACE}/db/a/../b`, /dots/],
  [`manyhands://${SPACE}/db/a/%2e%2E`, /dots/],
  [`manyhands://${SPACE}/db/.`, /dots/],
  [`manyhands://${SPACE}/db/a?b`, /\?/],
  [`manyhands://${SPACE}/db/a?`, /\?/],
  [`manyhands://${SPACE}/db/a#`, /#/],
  [`manyhands://${SPACE}/db/a#${z32.encode(HASH)}`, /no version/],
  [`manyhands://${SPACE}+${VERSION}/db/a#${z32.encode(HASH).slice(1)}`, /hash/],
  [`manyhands://${SPACE}+${VERSION}/db/a#hash`, /hash/]
]

for (const [text, message] of BAD) {
  const shown = text.replace(SPACE, '…').replaceAll(VERSION, 'v').slice(0, 40)
  test(`link: LINK_INVALID for ${JSON.stringify(shown)}`, async () => {
    await rejectsWith('LINK_INVALID', () => decodeLink(text), message)
  })
}

test('link: LINK_INVALID for what is no text', async () => {
  for (const each of [null, undefined, 5, {}, new URL(`manyhands://${SPACE}`)]) {
    await rejectsWith('LINK_INVALID', () => decodeLink(each as string))
  }
})

test('link: any text is read, or refused with LINK_INVALID', () => {
  const noise = fc.oneof(fc.string(), texts, fc.webUrl())
  fc.assert(
    fc.property(noise, fc.boolean(), (text, hasSpace) => {
      try {
        decodeLink(hasSpace ? `manyhands://${SPACE}/db/${text}` : text)
      } catch (error) {
        assert.is((error as { code: unknown }).code, 'LINK_INVALID', String(error))
      }
    }),
    { numRuns: 3000 }
  )
})

test.run()
