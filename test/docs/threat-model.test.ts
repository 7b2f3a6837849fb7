/** docs/THREAT-MODEL.md names tests that there are; and what it says to be protected, some test shows. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = await read('docs/THREAT-MODEL.md')

interface Row {
  readonly attack: string
  readonly outcome: string
  readonly tests: readonly string[]
}

/** Of the tables that have a column of tests. */
function rows(): readonly Row[] {
  return page.split('\n').flatMap((line) => {
    const [, attack, outcome, tests] = /^\| (.+?) \| (.+?) \| (.*?) ?\|$/.exec(line) ?? []
    if (attack === undefined || outcome === undefined || tests === undefined) return []
    if (tests === 'test') return []
    const isNone = tests.trim() === ''
    return { attack, outcome, tests: isNone ? [] : tests.split('; ').map((each) => each.trim()) }
  })
}

/** Whether a title in this file begins so. `story` writes its own name before titles. */
function hasTitle(source: string, title: string): boolean {
  const forms = [title, title.replace(/^story: /, '')]
  return forms.some((form) => ["'", '`', '"'].some((quote) => source.includes(quote + form)))
}

test('threat model: every attacker has rows', () => {
  const attackers = page.split('\n## ').filter((part) => part.includes('| it | outcome | test |'))
  assert.is(attackers.length, 8)
  for (const part of attackers) assert.ok(part.split('\n| ').length > 6, part.slice(0, 40))
})

test('threat model: every test that it names is there', async () => {
  const named = rows().flatMap(({ tests }) => tests)
  assert.ok(named.length > 80, `only ${named.length} were found`)
  for (const each of named) {
    const [, file = '', title = ''] = /^([a-z/-]+): (.+)$/.exec(each) ?? []
    const path = `test/${file}.test.ts`
    assert.ok(existsSync(new URL(`../../${path}`, import.meta.url)), `no file: ${each}`)
    assert.ok(hasTitle(await read(path), title), `no test: ${each}`)
  }
})

test('threat model: what is protected is shown by a test, what is not is bold', () => {
  const bare = rows().filter(({ attack, tests }) => tests.length === 0 && !attack.startsWith('**'))
  assert.equal(
    bare.map(({ attack }) => attack),
    []
  )
  for (const { attack, outcome } of rows())
    assert.is(attack.startsWith('**'), outcome.startsWith('**'), attack)
})

test.run()
