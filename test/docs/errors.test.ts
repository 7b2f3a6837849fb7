/** docs/ERRORS.md is the list of codes that the code has. */
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ERROR_CODES, ManyhandsError } from '../../errors.ts'

const text = await readFile(new URL('../../docs/ERRORS.md', import.meta.url), 'utf8')
const rows = new Map(
  [...text.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map((row) => [row[1], row[2]])
)

test('docs: every code stands in docs/ERRORS.md with its next step, and no other', () => {
  assert.equal(new Set(rows.keys()), new Set(ERROR_CODES))
  for (const code of ERROR_CODES) assert.is(rows.get(code), new ManyhandsError(code, '').next)
})

test('docs: every refusal reason of the types stands in docs/ERRORS.md', async () => {
  const sources = ['core/tree/refusal.ts', 'multiwriter/refusals.ts', 'crdt/entry.ts']
  for (const source of sources) {
    const code = await readFile(new URL(`../../${source}`, import.meta.url), 'utf8')
    const types = [...code.matchAll(/type \w*Re(?:fusal|fusalReason|ason) =([\s\S]*?)\n\n/g)].map(
      (type) => type[1]
    )
    const reasons = types.flatMap((type) =>
      [...(type ?? '').matchAll(/'([a-z-]+)'/g)].map((reason) => reason[1])
    )
    assert.ok(reasons.length > 0, `no reasons found in ${source}`)
    for (const reason of reasons) assert.ok(text.includes(`\`${reason}\``), `${reason} is missing`)
  }
})

test.run()
