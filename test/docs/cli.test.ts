/** Every example in docs/CLI.md is run, one after the other in one folder, and prints what stands there. */
import { readFile } from 'node:fs/promises'
import { mkdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Manyhands } from '../support/cli.ts'

const text = await readFile(new URL('../../docs/CLI.md', import.meta.url), 'utf8')
const manyhands = await Manyhands.make()

test.after(() => manyhands.remove())

interface Step {
  readonly command: string
  readonly expected: string
}

function stepsIn(document: string): Step[] {
  const blocks = [...document.matchAll(/^```console\n(.*?)^```$/gms)].map(
    ([, block]) => block ?? ''
  )
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = '', ...expected] = step.trimEnd().split('\n')
        return { command, expected: expected.join('\n') }
      })
  )
}

/** `…` matches anything within a line. */
function matches(printed: string, expected: string): boolean {
  const parts = expected.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^\\n]*')}$`).test(printed)
}

test('docs: the examples of the command line print what they promise', async () => {
  const steps = stepsIn(text)
  assert.ok(steps.length > 20, `${steps.length} examples`)
  const cwd = manyhands.path('folder')
  mkdirSync(cwd)
  // One shell, so that what one example sets the next one has; a mark after each.
  const mark = '=== end of an example ==='
  const script = steps.map(({ command }) => `${command}\necho '${mark}'`).join('\n')
  const printed = (await manyhands.shell(script, cwd)).split(`${mark}\n`)
  steps.forEach(({ command, expected }, i) => {
    const got = (printed[i] ?? '').trimEnd()
    assert.ok(matches(got, expected), `$ ${command}\n${got}\n--- but docs/CLI.md says\n${expected}`)
  })
})

test('docs: every command is explained', async () => {
  const { stdout } = await manyhands.run('--help')
  const names = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name ?? '')
  assert.ok(names.length > 10)
  for (const name of names.filter((each) => each !== 'help')) {
    assert.match(text, new RegExp(`manyhands ${name}\\b|\`${name}\\b`), name)
  }
})

test.run()
