/** The table of attacks in docs/MEMBERSHIP.md names tests that there are. */
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const FILES = [
  'acl/stories',
  'acl/rules',
  'core/fork',
  'core/hostile-tree',
  'multiwriter/epochs',
  'multiwriter/forks',
  'multiwriter/forks-hostile',
  'multiwriter/members',
  'multiwriter/members-stories',
  'multiwriter/prefixes',
  'multiwriter/pruning',
  'multiwriter/succession'
]

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

/** The names in the last column, as far as they are written out. */
async function named(): Promise<readonly string[]> {
  const [, table = ''] = (await read('docs/MEMBERSHIP.md')).split('## Which coups are possible')
  const rows = [...table.matchAll(/^\|[^|]*\|[^|]*\|([^|]*)\|$/gm)].slice(1)
  return rows
    .flatMap(([, cell = '']) => cell.split(';'))
    .map((each) =>
      each
        .replace(/\(.*/, '')
        .replace(/^ *story: /, '')
        .trim()
    )
    .map((each) => each.replace(/…$/, ''))
    .filter((each) => each !== '' && each !== 'and the like' && !/^:?-+/.test(each))
}

test('docs: every test that the table of attacks names is there', async () => {
  const sources = await Promise.all(FILES.map((file) => read(`test/${file}.test.ts`)))
  const text = sources.join('\n').toLowerCase()
  const names = await named()
  assert.ok(names.length > 25, 'the table was not found')
  for (const name of names) assert.ok(text.includes(name.toLowerCase()), `no test: ${name}`)
})

test.run()
